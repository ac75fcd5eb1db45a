"""Failures become incidents: what is walked, when, and what is told."""

import logging

import pytest
from node.bench import NOT_FOUND, Bench, one_failure, run
from node.fakes import IMAGE, WEB, at, pods, sync_error

from pullwhy.model import CauseId, Confidence, PodRef, State
from pullwhy.node.incidents.incidents import Sight
from pullwhy.watch.lines import LogLine

DENIED = (
    "failed to resolve image: failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
)


def test_a_failure_is_walked_and_told_once() -> None:
    bench = run(one_failure)
    assert bench.investigator.walked == [IMAGE]
    (told,) = bench.told
    assert (told.image, told.diagnosis.confidence, told.state) == (IMAGE, Confidence.PROVED, State.ACTIVE)
    assert told.reproduction
    assert told.pods[0].name == "web"
    assert bench.metrics.findings.get(cause=CauseId.TAG_NOT_FOUND) == 1


SAID = (
    "E1122 08:00:00.000000    1201 plugin.go:440] Failed getting credential from external registry credential provider: "
    "error execing credential provider plugin p for image registry.example/shop/web: exit status 1"
)


def test_what_the_kubelet_said_of_credentials_is_kept_with_the_incident_and_reaches_the_investigation() -> None:
    async def scenario(bench: Bench) -> None:
        bench.engine.take([LogLine(at(0), "kubelet.service", SAID, "aa", 1201), sync_error(1, DENIED)])
        await bench.settle()

    bench = run(scenario)
    (incident,) = bench.engine.kept().incidents
    assert [hint.provider for hint in incident.hints] == ["p"]
    assert [failure.hints for failure in bench.investigator.failures] == [incident.hints]


def test_a_pod_that_cri_does_not_show_is_neither_walked_nor_told() -> None:
    async def scenario(bench: Bench) -> None:
        bench.observer.shown = Sight({}, {})
        await one_failure(bench)
        bench.clock.move(31)
        await bench.settle()

    bench = run(scenario)
    assert (bench.investigator.walked, bench.told) == ([], [])
    assert bench.metrics.unconfirmed.get() == 1


@pytest.mark.parametrize(("answered", "seconds"), [(False, 5), (True, 30)])
def test_where_cri_never_answered_a_failure_is_told_sooner_and_the_wait_is_said_once(
    answered: bool, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(bench: Bench) -> None:
        bench.observer.shown, bench.observer.answered = None, answered
        bench.engine.take([sync_error(0, NOT_FOUND)])
        for moment in (1, seconds):
            bench.clock.now = at(moment)
            await bench.settle()
        assert bench.told == []
        bench.clock.now = at(seconds + 1)
        await bench.settle()

    assert run(scenario).told
    (said,) = [record.getMessage() for record in caplog.records if "waiting" in record.getMessage()]
    assert all(word in said for word in ("1 container seen to fail", f"{seconds} s", "does not answer"))


def test_many_pods_with_one_image_are_one_walk_and_one_finding() -> None:
    async def scenario(bench: Bench) -> None:
        bench.engine.take([sync_error(0, NOT_FOUND, pod) for pod in pods("a", "b", "c")])
        await bench.settle()

    bench = run(scenario)
    assert bench.investigator.walked == [IMAGE]
    assert len({each.id for each in bench.told}) == 1
    assert [pod.name for pod in bench.told[-1].pods] == ["a", "b", "c"]


def test_two_texts_about_one_image_at_once_share_a_walk() -> None:
    async def scenario(bench: Bench) -> None:
        a, b, _ = pods("a", "b", "c")
        bench.engine.take([sync_error(0, NOT_FOUND, a), sync_error(0, DENIED, b)])
        await bench.settle()

    assert run(scenario, Bench(seconds=0.05)).investigator.walked == [IMAGE]


@pytest.mark.parametrize(("apart", "walks"), [(frozenset({"shop"}), 2), (frozenset[str](), 1)])
def test_pods_of_a_namespace_with_pull_secrets_share_no_walk_with_others(apart: frozenset[str], walks: int) -> None:
    other = PodRef("other", "web", "uid-of-other")

    async def scenario(bench: Bench) -> None:
        bench.observer.shown = Sight({pod.uid: (pod, at(-60)) for pod in (WEB, other)}, {})
        bench.engine.take([sync_error(0, DENIED, WEB), sync_error(0, DENIED, other)])
        await bench.settle()

    walked = run(scenario, Bench(seconds=0.05, apart=apart)).investigator.failures
    assert len(walked) == walks
    assert len({each.pod.namespace for each in walked if each.pod}) == walks


def test_one_registry_is_walked_once_at_a_time() -> None:
    async def scenario(bench: Bench) -> None:
        images = ["one.example/a:1", "one.example/b:1", "two.example/a:1", "three.example/a:1"]
        bench.engine.take([sync_error(0, f"{image}: not found", image=image) for image in images])
        await bench.settle()

    async def apart(bench: Bench) -> None:
        for pod, image in zip(
            pods("a", "b", "c"), ["one.example/a:1", "one.example/b:1", "two.example/a:1"], strict=True
        ):
            bench.engine.take([sync_error(0, f"{image}: not found", pod, image=image)])
        await bench.settle()

    bench = run(apart, Bench(seconds=0.05))
    assert len(bench.investigator.walked) == 3
    assert bench.investigator.most == {"all": 2, "one.example": 1, "two.example": 1}
    assert run(scenario).investigator.most["all"] <= 2


def test_a_walk_that_takes_long_is_preceded_by_what_the_text_tells() -> None:
    async def scenario(bench: Bench) -> None:
        bench.engine.investigations.first_word = 0.02
        bench.investigator.cause = CauseId.REPOSITORY_NOT_FOUND
        await one_failure(bench)

    bench = run(scenario, Bench(seconds=0.1))
    assert bench.told[0].diagnosis.confidence is Confidence.LIKELY
    assert bench.states() == [
        ("TagNotFound", "Active"),
        ("RepositoryNotFound", "Active"),
        ("TagNotFound", "Superseded"),
    ]


def test_lines_that_repeat_the_failure_do_not_walk_again_before_ten_minutes() -> None:
    async def scenario(bench: Bench) -> None:
        await one_failure(bench)
        for moment in (12, 300, 590):
            bench.clock.now = at(moment)
            bench.engine.take([sync_error(moment, NOT_FOUND)])
            await bench.settle()
        assert len(bench.investigator.walked) == 1
        bench.clock.now = at(670)
        bench.engine.take([sync_error(670, NOT_FOUND)])
        await bench.settle()

    assert len(run(scenario).investigator.walked) == 2


@pytest.mark.parametrize("change", ["text", "configuration"])
def test_a_changed_error_or_configuration_is_walked_at_once(change: str) -> None:
    async def scenario(bench: Bench) -> None:
        await one_failure(bench)
        bench.clock.now = at(12)
        bench.observer.mark = "f" if change == "text" else "g"
        bench.engine.take([sync_error(12, DENIED if change == "text" else NOT_FOUND)])
        await bench.settle()

    assert len(run(scenario).investigator.walked) == 2


def test_the_kubelets_own_retry_is_a_reproduction_where_proof_is_missing() -> None:
    async def scenario(bench: Bench) -> None:
        bench.investigator.confidence = Confidence.LIKELY
        await one_failure(bench)
        bench.clock.now = at(15)
        bench.engine.take([sync_error(15, NOT_FOUND)])
        await bench.settle()

    bench = run(scenario)
    again = bench.told[-1].reproduction
    assert again
    assert (again.outcome, "kubelet" in again.reason) == ("Failed", True)
    assert bench.told[-1].diagnosis.confidence is Confidence.PROVED


def test_a_reproduction_that_takes_long_does_not_hold_up_the_finding() -> None:
    async def scenario(bench: Bench) -> None:
        bench.investigator.reproduction_seconds = 0.2
        await one_failure(bench)

    assert [each.reproduction is not None for each in run(scenario).told] == [False, True]
