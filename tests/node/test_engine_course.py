"""How an incident goes on: sandboxes, recovery, silence, pulls that hang, and the agent's next life."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace

import pytest
from node.bench import NOT_FOUND, Bench, one_failure, run
from node.fakes import IMAGE, WEB, at, pods, runtime_line, sync_error, until

from pullwhy.model import CauseId, Confidence, PullFailure, Reason
from pullwhy.node.engine import IDLE
from pullwhy.node.incidents.incidents import Sight


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
