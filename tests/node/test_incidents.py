from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pullwhy.model import HintKind, KubeletHint, PodRef, PullFailure, Reason, State
from pullwhy.node.incidents.incidents import BLIND_GRACE, GRACE, MAX_INCIDENTS, Closed, Incident, Sight, Tracker

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
WEB = PodRef("shop", "web", "uid-1")
IMAGE = "registry.example/shop/web:1"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def failure(seconds: float = 0, message: str = "not found", **changes: object) -> PullFailure:
    base = PullFailure(at(seconds), "kubelet.service", Reason.ERR_IMAGE_PULL, message, WEB, "app", IMAGE)
    return replace(base, **changes)  # type: ignore[arg-type]


def backing_off(seconds: float, message: str = "Back-off") -> PullFailure:
    return failure(seconds, message, reason=Reason.IMAGE_PULL_BACK_OFF)


def tracker(*failures: PullFailure) -> Tracker:
    tracked = Tracker(lambda message: "" if message == "Back-off" else message)
    for each in failures:
        tracked.failed(each)
    return tracked


def only(tracked: Tracker) -> Incident:
    (incident,) = tracked.incidents
    return incident


def sight(*pods: PodRef, containers: dict[tuple[str, str], datetime] | None = None, made: float = -60) -> Sight:
    return Sight({pod.uid: (pod, at(made)) for pod in pods}, containers or {})


def states(closed: list[Closed]) -> list[State]:
    return [each.state for each in closed]


def test_every_real_failure_is_an_attempt_and_a_back_off_line_is_none() -> None:
    incident = only(tracker(failure(0), backing_off(12), backing_off(23), failure(24)))
    assert (incident.attempts, incident.backoff.seconds) == (2, 20)
    assert (incident.first_seen, incident.last_seen, incident.last_attempt) == (at(0), at(24), at(24))


def test_a_line_that_is_read_twice_is_one_attempt() -> None:
    assert only(tracker(failure(0), failure(0))).attempts == 1


def test_back_off_lines_without_a_cause_keep_the_last_error() -> None:
    incident = only(tracker(failure(0, "denied"), backing_off(12)))
    assert (incident.message, incident.topic, incident.reason) == ("denied", "denied", Reason.ERR_IMAGE_PULL)


def test_a_back_off_line_that_repeats_its_cause_tells_it() -> None:
    assert only(tracker(backing_off(0, "denied"))).topic == "denied"


def test_a_back_off_line_keeps_whether_credentials_were_sent_and_a_real_failure_tells_anew() -> None:
    told = (failure(0, credentials_sent=False), backing_off(12), failure(24, credentials_sent=True))
    assert [only(tracker(*told[:count])).failure().credentials_sent for count in (1, 2, 3)] == [False, False, True]
    assert only(tracker(replace(backing_off(0), credentials_sent=True))).failure().credentials_sent is True


def test_each_pod_container_and_image_is_an_incident_of_its_own() -> None:
    other = PodRef("shop", "web", "uid-2")
    tracked = tracker(failure(), failure(pod=other), failure(container="side"))
    assert len(tracked.incidents) == 3


def test_an_image_that_only_a_later_line_tells_is_filled_in() -> None:
    incident = only(tracker(failure(0, image=""), failure(15)))
    assert (incident.image, incident.attempts) == (IMAGE, 2)


def test_a_line_without_an_image_belongs_to_the_incident_of_its_container() -> None:
    assert only(tracker(failure(0), failure(15, image=""))).attempts == 2


@pytest.mark.parametrize(
    "spellings", [("web:latest", "web", "web:latest"), ("web", "web:latest"), ("web:latest", "web")]
)
def test_an_image_without_a_tag_is_one_incident_as_the_pod_spells_it(spellings: tuple[str, ...]) -> None:
    tracked = Tracker(str)
    closed = [one for i, image in enumerate(spellings) for one in tracked.failed(failure(i, image=image))[1]]
    assert closed == []
    assert (only(tracked).image, only(tracked).attempts) == ("web", len(spellings))


def test_another_image_in_the_same_container_supersedes_the_first() -> None:
    tracked = tracker(failure(0))
    assert states(tracked.failed(failure(20, image="registry.example/shop/web:2"))[1]) == [State.SUPERSEDED]
    assert only(tracked).image.endswith(":2")


def test_a_container_that_fails_shows_that_its_sandbox_works() -> None:
    tracked = tracker(failure(reason=Reason.CREATE_POD_SANDBOX_ERROR, container="", image="registry.example/pause:3"))
    assert states(tracked.failed(failure(20))[1]) == [State.RECOVERED]


def test_an_incident_is_confirmed_by_the_pod_that_cri_shows() -> None:
    tracked = tracker(failure())
    assert not only(tracked).confirmed
    tracked.reconcile(sight(WEB), at(1))
    assert only(tracked).confirmed


@pytest.mark.parametrize(
    "shown", [sight(), sight(PodRef("other", "web", "uid-1")), sight(PodRef("shop", "web", "uid-9"))]
)
def test_a_pod_that_cri_does_not_show_is_not_told_and_counted(shown: Sight) -> None:
    tracked = tracker(failure())
    tracked.reconcile(shown, at(29))
    assert not only(tracked).confirmed
    tracked.reconcile(shown, at(31))
    assert (tracked.incidents, tracked.unconfirmed) == ((), 1)


@pytest.mark.parametrize("grace", [GRACE, BLIND_GRACE])
def test_without_cri_a_line_is_believed_after_the_grace_until_cri_shows_its_pod(grace: timedelta) -> None:
    tracked = tracker(failure())
    tracked.reconcile(None, START + grace, grace)
    assert not only(tracked).confirmed
    tracked.reconcile(None, START + grace + timedelta(seconds=1), grace)
    assert (only(tracked).confirmed, only(tracked).unshown) == (True, True)
    tracked.reconcile(sight(WEB), at(40), grace)
    assert (only(tracked).confirmed, only(tracked).unshown) == (True, False)


def test_a_runtime_that_is_away_is_believed_where_the_text_says_so() -> None:
    tracked = tracker(failure(message="RuntimeUnavailable//Runtime/"))
    tracked.reconcile(None, at(1))
    assert only(tracked).confirmed


def test_a_failed_sandbox_leaves_nothing_in_cri_and_is_believed() -> None:
    tracked = tracker(failure(reason=Reason.CREATE_POD_SANDBOX_ERROR, container=""))
    tracked.reconcile(sight(), at(1))
    assert only(tracked).confirmed
    assert states(tracked.reconcile(sight(WEB, made=5), at(6))) == [State.RECOVERED]


@pytest.mark.parametrize(("made", "expected"), [(-1, []), (30, [State.RECOVERED])])
def test_a_container_made_after_the_last_attempt_is_the_recovery(made: float, expected: list[State]) -> None:
    tracked = tracker(failure(0), failure(20))
    containers = {(WEB.uid, "app"): at(made)}
    assert states(tracked.reconcile(sight(WEB, containers=containers), at(31))) == expected


def test_a_pod_that_left_cri_is_gone_at_the_second_look() -> None:
    tracked = tracker(failure())
    tracked.reconcile(sight(WEB), at(1))
    assert states(tracked.reconcile(sight(), at(31))) == []
    assert states(tracked.reconcile(sight(), at(61))) == [State.GONE]


def test_a_pod_that_is_back_at_the_second_look_is_not_gone() -> None:
    tracked = tracker(failure())
    for shown in (sight(WEB), sight(), sight(WEB), sight()):
        assert states(tracked.reconcile(shown, at(1))) == []


def test_fifteen_minutes_of_silence_is_gone() -> None:
    tracked = tracker(failure(0), backing_off(12))
    assert tracked.expire(at(12 + 900)) == []
    assert states(tracked.expire(at(13 + 900))) == [State.GONE]


def test_a_pull_that_worked_ends_a_hang_but_not_another_pods_failure() -> None:
    hang = failure(reason=Reason.PULL_HANGS, pod=None, container="")
    tracked = tracker(hang, failure())
    assert states(tracked.pulled(IMAGE, at(5), alone=False)) == [State.RECOVERED]
    assert only(tracked).pod == WEB


def test_without_cri_a_pull_that_worked_has_to_do() -> None:
    tracked = tracker(failure(10))
    assert tracked.pulled(IMAGE, at(5), alone=True) == []
    assert states(tracked.pulled(IMAGE, at(11), alone=True)) == [State.RECOVERED]


def test_a_hang_that_ended_in_failure_is_superseded() -> None:
    tracked = tracker(failure(reason=Reason.PULL_HANGS, pod=None, container=""))
    assert states(tracked.ended(IMAGE)) == [State.SUPERSEDED]


def test_a_hang_that_goes_on_is_one_attempt() -> None:
    hang = failure(0, reason=Reason.PULL_HANGS, pod=None, container="")
    tracked = tracker(hang, replace(hang, when=at(60)))
    incident = only(tracked)
    assert (incident.attempts, incident.last_seen) == (1, at(60))


def test_the_longest_silent_is_dropped_when_there_are_too_many() -> None:
    pods = (PodRef("shop", f"web-{n}", f"uid-{n}") for n in range(MAX_INCIDENTS + 1))
    tracked = tracker(*(failure(n, pod=pod) for n, pod in enumerate(pods)))
    assert len(tracked.incidents) == MAX_INCIDENTS
    assert tracked.dropped == 1
    assert min(incident.first_seen for incident in tracked.incidents) == at(1)


PROVIDER = KubeletHint(START, "kubelet.service", HintKind.CREDENTIAL_PROVIDER_FAILED, "exit status 1")


def test_what_the_kubelet_said_of_credentials_makes_another_topic_and_stays_while_it_backs_off() -> None:
    tracked = tracker(
        failure(0, "denied"), failure(10, "denied", hints=(PROVIDER,), tries=2), backing_off(12, "denied")
    )
    incident = only(tracked)
    assert (incident.topic, incident.hints, incident.tries) == ("denied/CredentialProviderFailed", (PROVIDER,), 2)
    assert incident.failure().hints == (PROVIDER,)
    tracked.failed(failure(30, "denied"))
    assert (only(tracked).topic, only(tracked).hints) == ("denied", ())


def test_a_first_line_that_is_a_back_off_brings_its_hints() -> None:
    first = failure(0, "denied", reason=Reason.IMAGE_PULL_BACK_OFF, hints=(PROVIDER,))
    assert only(tracker(first)).hints == (PROVIDER,)


def test_open_incidents_survive_a_restart() -> None:
    before = tracker(failure(0), failure(15))
    after = Tracker(lambda message: message, before.incidents)
    after.failed(failure(44))
    assert (only(after).attempts, only(after).backoff.seconds) == (3, 40)
