import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from node.fakes import IMAGE, WEB, FakeClock, FakeInvestigator, FakeObserver, at, pods, runtime_line, sync_error, until

from pullwhy.model import CauseId, Confidence, Finding, PodRef, PullFailure, Reason, State
from pullwhy.node.engine import IDLE, Engine
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.incidents.incidents import Sight
from pullwhy.node.incidents.remarks import Remarks
from pullwhy.node.metrics import Metrics
from pullwhy.node.parts import Parts
from pullwhy.node.state import Kept
from pullwhy.watch.lines import LogLine

NOT_FOUND = "failed to resolve image: registry.example/shop/web:1: not found"
DENIED = (
    "failed to resolve image: failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
)


class Bench:
    """An engine with stand-ins around it."""

    def __init__(
        self,
        kept: Kept = Kept(),  # noqa: B008 - it is frozen
        seconds: float = 0,
        apart: frozenset[str] = frozenset(),
    ) -> None:
        self.clock = FakeClock()
        self.observer = FakeObserver(WEB, *pods("a", "b", "c"))
        self.investigator = FakeInvestigator(self.clock, seconds)
        self.told: list[Finding] = []
        self.metrics = Metrics()
        self.remarks = Remarks()
        parts = Parts(
            observer=self.observer,
            investigator=self.investigator,
            tell=self._tell,
            clock=self.clock,
            metrics=self.metrics,
            chance=random.Random(1),
            remarks=self.remarks,
            apart=apart,
            hang_after=timedelta(seconds=300),
        )
        self.engine = Engine(Identity("node-a"), parts, kept)

    def _tell(self, finding: Finding, now: datetime) -> None:
        assert now == self.clock.now
        self.told.append(finding)

    async def settle(self) -> None:
        """Make steps, as `run` would, until nothing is under way."""
        for _ in range(3):
            await self.engine.step()
            while self.engine._tasks:
                await until(lambda: self.engine._wake.is_set() or not self.engine._tasks)
                self.engine._wake.clear()
                await self.engine.step()

    def states(self) -> list[tuple[str, str]]:
        return [(finding.diagnosis.cause.value, finding.state.value) for finding in self.told]


def run(scenario: Callable[[Bench], Awaitable[None]], bench: Bench | None = None) -> Bench:
    used = bench or Bench()

    async def go() -> None:
        await scenario(used)
        await used.engine._give_up()

    asyncio.run(go())
    return used


async def one_failure(bench: Bench) -> None:
    bench.engine.take([sync_error(0, NOT_FOUND)])
    await bench.settle()


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
    assert all(word in said for word in ("1 container(s) seen to fail", f"{seconds} s", "does not answer"))


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


def test_a_sandbox_that_names_no_image_is_told_by_the_runtimes_own() -> None:
    async def scenario(bench: Bench) -> None:
        line = sync_error(0, "no space left on device").text.replace("StartContainer", "CreatePodSandbox")
        failure = PullFailure(at(0), "kubelet.service", Reason.CREATE_POD_SANDBOX_ERROR, line, WEB)
        bench.engine._failed(failure)
        await bench.settle()

    assert [each.image for each in run(scenario).told] == ["registry.example/pause:3"]


def sandbox_failure(image: str) -> PullFailure:
    error = f'failed to get sandbox image "{image}": not found'
    return PullFailure(at(0), "kubelet.service", Reason.CREATE_POD_SANDBOX_ERROR, error, WEB, image=image)


@pytest.mark.parametrize(
    ("image", "walked"),
    [("registry.example/pause:3", True), ("10.0.0.5:8080/pause:3", False)],
)
def test_a_line_about_a_sandbox_leads_to_no_other_image_than_the_runtimes_own(image: str, walked: bool) -> None:
    async def scenario(bench: Bench) -> None:
        bench.observer.sandbox = "registry.example/pause:3"
        bench.engine._tracker.failed(sandbox_failure(image))
        await bench.settle()
        await bench.settle()

    bench = run(scenario)
    assert bench.investigator.walked == ([image] if walked else [])
    assert bool(bench.investigator.reproduced) is walked
    assert len(bench.told) == 1


def test_where_the_sandbox_image_is_not_known_nothing_is_done_about_a_sandbox() -> None:
    async def scenario(bench: Bench) -> None:
        bench.observer.sandbox = ""
        bench.engine._failed(sandbox_failure("registry.example/pause:3"))
        await bench.settle()

    assert run(scenario).investigator.walked == []


def test_a_container_that_starts_is_the_recovery() -> None:
    async def scenario(bench: Bench) -> None:
        await one_failure(bench)
        bench.clock.now = at(20)
        bench.observer.shown = Sight({WEB.uid: (WEB, at(-60))}, {(WEB.uid, "app"): at(19)})
        bench.engine.take([runtime_line(18, f'PullImage "{IMAGE}" returns image reference "sha256:1"')])
        await bench.settle()

        bench.clock.now = at(60)
        await bench.settle()
        assert bench.engine._patience() == IDLE

    bench = run(scenario)
    assert bench.states()[-1] == ("TagNotFound", "Recovered")
    assert bench.told[-1].resolved_at == at(20)


def test_what_was_never_proved_and_recovers_was_transient() -> None:
    async def scenario(bench: Bench) -> None:
        bench.investigator.cause, bench.investigator.confidence = CauseId.UNDETERMINED, Confidence.UNKNOWN
        await one_failure(bench)
        bench.clock.now = at(40)
        bench.observer.shown = Sight({WEB.uid: (WEB, at(-60))}, {(WEB.uid, "app"): at(39)})
        await bench.settle()

    assert run(scenario).states()[-3:] == [
        ("Transient", "Active"),
        ("Undetermined", "Superseded"),
        ("Transient", "Recovered"),
    ]


def test_fifteen_minutes_of_silence_end_a_finding() -> None:
    async def scenario(bench: Bench) -> None:
        await one_failure(bench)
        bench.clock.move(901)
        await bench.settle()

    assert run(scenario).states()[-1] == ("TagNotFound", "Gone")


def test_a_pull_that_hangs_is_told_and_its_end_ends_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.investigator.cause = CauseId.PULL_STALLED
        bench.observer.written = at(-60)
        bench.engine.take([runtime_line(0, f'PullImage "{IMAGE}"')])
        bench.clock.move(200)
        await bench.settle()
        assert bench.told == []
        bench.clock.move(101)
        await bench.settle()
        assert bench.states()[-1] == ("PullStalled", "Active")
        bench.engine.take([runtime_line(310, f'PullImage "{IMAGE}" returns image reference "sha256:1"')])
        await bench.settle()

    bench = run(scenario)
    assert bench.states()[-1] == ("PullStalled", "Recovered")


@pytest.mark.parametrize("serial", [True, False])
def test_pods_that_wait_while_a_pull_hangs_are_counted_without_findings_of_their_own(serial: bool) -> None:
    waiting = tuple(pods("a", "b", "c"))

    async def scenario(bench: Bench) -> None:
        bench.observer.written = at(-60)
        assert bench.observer.shown
        bench.observer.shown = replace(bench.observer.shown, starting=(WEB, *waiting))
        bench.engine.take([runtime_line(0, f'PullImage "{IMAGE}"')])
        bench.engine.take([sync_error(1, NOT_FOUND, waiting[2], image="registry.example/own:1")])
        if not serial:
            bench.engine.take([runtime_line(2, 'PullImage "registry.example/other:1"')])
        for seconds in (301, 2):
            bench.clock.move(seconds)
            await bench.settle()

    bench = run(scenario)
    queue = bench.remarks.queue
    assert queue.pods == (WEB, *waiting[:2])
    assert queue.moves is not serial
    named = {pod.name for finding in bench.told for pod in finding.pods}
    assert named == {"c"}


def test_the_runtimes_lines_about_hosts_are_kept_for_the_pull_that_was_under_way() -> None:
    async def scenario(bench: Bench) -> None:
        bench.engine.take([runtime_line(0, f'PullImage "{IMAGE}"')])
        line = runtime_line(1, "trying next host after status: 503 Service Unavailable")
        bench.engine.take([replace(line, text=f"{line.text} host=mirror.example")])

    (remark,) = run(scenario).remarks.about(IMAGE, at(2))
    assert (remark.host, remark.text, remark.is_mirror) == ("mirror.example", "answered 503 Service Unavailable", True)


def test_an_investigation_that_breaks_is_our_fault_and_the_text_is_told() -> None:
    async def scenario(bench: Bench) -> None:
        bench.investigator.error = RuntimeError("a bug")
        await one_failure(bench)
        a, *_ = pods("a")
        bench.investigator.error = None
        bench.clock.move(2)
        bench.engine.take([sync_error(1, "two.example/x:1: not found", a, image="two.example/x:1")])
        await bench.settle()

    bench = run(scenario)
    assert [(each.image, each.diagnosis.confidence) for each in bench.told][:1] == [(IMAGE, Confidence.LIKELY)]
    assert "two.example/x:1" in {each.image for each in bench.told}


def test_a_second_life_neither_repeats_nor_forgets() -> None:
    first = run(one_failure)
    kept = first.engine.kept()
    assert len(kept.incidents) == 1

    async def scenario(bench: Bench) -> None:
        bench.clock.now = at(12)
        await bench.settle()
        assert (bench.investigator.walked, bench.told) == ([], [])
        bench.engine.take([sync_error(12, NOT_FOUND)])
        await bench.settle()

    second = run(scenario, Bench(kept))
    assert second.investigator.walked == []
    assert [(each.id, each.count) for each in second.told] == [(first.told[0].id, 2)]


def test_a_kill_before_the_walk_ended_leads_to_the_walk_in_the_next_life() -> None:
    async def killed(bench: Bench) -> None:
        bench.engine.take([sync_error(0, NOT_FOUND)])
        await bench.engine.step()

    first = run(killed, Bench(seconds=60))
    assert first.told == []
    assert run(Bench.settle, Bench(first.engine.kept())).investigator.walked == [IMAGE]


def test_run_wakes_up_for_new_lines() -> None:
    async def scenario(bench: Bench) -> None:
        running: Coroutine[None, None, None] = bench.engine.run()
        task = asyncio.create_task(running)
        await asyncio.sleep(0.02)
        bench.engine.take([sync_error(0, NOT_FOUND)])
        await until(lambda: bool(bench.told))
        task.cancel()
        await asyncio.wait([task])

    assert run(scenario).states()[0] == ("TagNotFound", "Active")


def test_back_off_lines_are_no_attempts() -> None:
    async def scenario(bench: Bench) -> None:
        await one_failure(bench)
        bench.engine.take([sync_error(12, NOT_FOUND, reason=Reason.IMAGE_PULL_BACK_OFF)])
        await bench.settle()

    assert run(scenario).engine.kept().incidents[0].attempts == 1


def test_a_registry_that_asks_to_wait_is_left_alone_for_all_images_until_then() -> None:
    other, limit = "registry.example/shop/other:1", "failed to resolve image: unexpected status: 429 Too Many Requests"
    a, *_ = pods("a")

    async def scenario(bench: Bench) -> None:
        bench.investigator.cause, bench.investigator.arguments = CauseId.RATE_LIMITED, {"until": "2026-11-22T08:20:00Z"}
        bench.engine.take([sync_error(0, limit)])
        await bench.settle()
        for minutes in range(1, 20):  # the kubelet goes on trying, and ten minutes would be time for another walk
            bench.clock.now = at(60 * minutes)
            bench.engine.take([sync_error(60 * minutes, limit), sync_error(60 * minutes, limit, a, image=other)])
            await bench.settle()
        assert bench.investigator.walked == [IMAGE]
        assert {finding.image for finding in bench.told} == {IMAGE, other}
        bench.clock.now = at(60 * 22)
        bench.engine.take([sync_error(60 * 22, limit), sync_error(60 * 22, limit, a, image=other)])
        await bench.settle()

    bench = run(scenario)
    assert sorted(bench.investigator.walked[1:]) in ([IMAGE], [other], [other, IMAGE])
    assert bench.investigator.reproduced.count(other) <= 1
    confidences = [each.diagnosis.confidence for each in bench.told if each.image == IMAGE]
    assert set(confidences) == {Confidence.PROVED}
