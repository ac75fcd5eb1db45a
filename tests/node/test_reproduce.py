import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pullwhy.model import Outcome, Stage, Via
from pullwhy.node.investigate.reproduce import Policy, Reproducer, Situation, decide, fails_early
from pullwhy.runtime.cri import CRIError
from pullwhy.trace import ConfigFacts, ConfigFault, HTTPFacts, Identity, StageResult, StorageFacts, Trace

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
IMAGE = "registry.example/web:1"


def stage(name: Stage, outcome: Outcome = Outcome.FAILED, endpoint: int | None = 0, **changes: object) -> StageResult:
    return replace(StageResult(name, "registry.example", outcome, endpoint=endpoint), **changes)  # type: ignore[arg-type]


def walk(*results: StageResult, complete: bool = True) -> Trace:
    return Trace(results, complete=complete)


def config(*, decides: bool = True, fault: ConfigFault = ConfigFault.INVALID) -> StageResult:
    return stage(Stage.CONFIG, endpoint=None, config=ConfigFacts(fault, "hosts.toml", "why", "mend", decides=decides))


def disk(free_bytes: int, free_inodes: int) -> StageResult:
    facts = StorageFacts("/var", "images", 100, free_bytes, 100, free_inodes, read_only=False)
    return stage(Stage.STORAGE, Outcome.PASSED, None, storage=facts)


NOT_FOUND = stage(Stage.MANIFEST)
SERVED = stage(Stage.MANIFEST, Outcome.PASSED)
DEAD_MIRROR = stage(Stage.CONNECT, via=Via.MIRROR)


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (walk(NOT_FOUND), True),
        (walk(stage(Stage.DNS)), True),
        (walk(SERVED, stage(Stage.PLATFORM)), True),
        (walk(SERVED, stage(Stage.PLATFORM), stage(Stage.PLATFORM, Outcome.PASSED)), False),
        (walk(SERVED), False),
        (walk(SERVED, stage(Stage.BLOB)), False),
        (walk(stage(Stage.AUTH, identity=Identity.ANONYMOUS), replace(SERVED, identity=Identity.NODE)), False),
        (walk(DEAD_MIRROR, replace(SERVED, endpoint=1)), False),
        (walk(DEAD_MIRROR, replace(NOT_FOUND, endpoint=1)), True),
        (walk(DEAD_MIRROR, stage(Stage.CONNECT, Outcome.ERROR, 1)), False),
        (walk(stage(Stage.DNS, Outcome.SKIPPED)), False),
        (walk(stage(Stage.AUTH, Outcome.PASSED, None), NOT_FOUND), True),
        (walk(stage(Stage.AUTH, Outcome.SKIPPED, None)), False),
        (walk(NOT_FOUND, complete=False), False),
        (walk(), False),
        (walk(config()), True),
        (walk(config(decides=False)), False),
        (walk(config(fault=ConfigFault.IGNORED)), False),
    ],
)
def test_predicts_a_failure_only_where_no_endpoint_would_serve_layers(trace: Trace, expected: bool) -> None:
    assert fails_early(trace) is expected


SAFE = Situation(trace=walk(NOT_FOUND), now=NOW)


@pytest.mark.parametrize(
    ("policy", "situation", "reason"),
    [
        (Policy.SAFE, SAFE, ""),
        (Policy.ALWAYS, SAFE, ""),
        (Policy.NEVER, SAFE, "never"),
        (Policy.SAFE, replace(SAFE, trace=walk(SERVED)), "does not predict"),
        (Policy.ALWAYS, replace(SAFE, trace=walk(SERVED)), ""),
        (Policy.SAFE, replace(SAFE, trace=None), "no walk"),
        (Policy.SAFE, replace(SAFE, proved=True), "not needed"),
        (Policy.ALWAYS, replace(SAFE, proved=True), ""),
        (Policy.SAFE, replace(SAFE, credentials_held=("registry.example",)), "credentials for registry.example"),
        (Policy.SAFE, replace(SAFE, credentials_sent=True), "kubelet sent credentials"),
        (Policy.ALWAYS, replace(SAFE, runtime_answers=False), "does not answer"),
        (
            Policy.ALWAYS,
            replace(SAFE, trace=walk(stage(Stage.MANIFEST, http=HTTPFacts("HEAD", "u", 429)))),
            "rate limit",
        ),
        (Policy.ALWAYS, replace(SAFE, limited=True), "rate limit"),
        (Policy.ALWAYS, replace(SAFE, trace=walk(NOT_FOUND, disk(9, 50))), "nearly full"),
        (Policy.ALWAYS, replace(SAFE, trace=walk(NOT_FOUND, disk(50, 9))), "nearly full"),
        (Policy.SAFE, replace(SAFE, trace=walk(NOT_FOUND, disk(50, 50))), ""),
        (Policy.ALWAYS, replace(SAFE, trace=walk(stage(Stage.REFERENCE))), "invalid"),
        (Policy.ALWAYS, replace(SAFE, previous=NOW - timedelta(seconds=299)), "back-off"),
        (Policy.SAFE, replace(SAFE, previous=NOW - timedelta(seconds=300)), ""),
        (Policy.SAFE, replace(SAFE, previous=NOW - timedelta(seconds=21), window=timedelta(seconds=20)), ""),
    ],
)
def test_asks_only_where_it_is_safe_and_tells_something(policy: Policy, situation: Situation, reason: str) -> None:
    found = decide(policy, situation)
    assert bool(found) is bool(reason)
    assert reason in found


class FakePuller:
    def __init__(self, error: CRIError | None = None, seconds: float = 0) -> None:
        self.images: list[str] = []
        self.at_once = self.most = 0
        self.cancelled = False
        self._error, self._seconds = error, seconds

    async def pull(self, image: str, deadline: float) -> str:
        del deadline
        self.images.append(image)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.at_once -= 1
        if self._error:
            raise self._error
        return "sha256:1"


def test_a_failure_is_the_runtimes_own_words() -> None:
    reproduction = asyncio.run(Reproducer(FakePuller(CRIError("NotFound", "not found")), lambda: NOW).pull(IMAGE))
    assert (reproduction.outcome, reproduction.code, reproduction.message) == ("Failed", "NotFound", "not found")


def test_an_image_that_came_is_said() -> None:
    reproduction = asyncio.run(Reproducer(FakePuller(), lambda: NOW).pull(IMAGE))
    assert reproduction.outcome == "Succeeded"
    assert "on the node now" in reproduction.reason


@pytest.mark.parametrize(
    ("message", "outcome"),
    [("Deadline Exceeded", "Error"), ("failed to pull and unpack image: dial tcp: i/o timeout", "Failed")],
)
def test_our_own_deadline_is_told_from_the_runtimes_timeout(message: str, outcome: str) -> None:
    error = CRIError("DeadlineExceeded", message)
    assert asyncio.run(Reproducer(FakePuller(error), lambda: NOW).pull(IMAGE)).outcome == outcome


def test_one_pull_at_a_time() -> None:
    puller = FakePuller(seconds=0.01)

    async def run() -> None:
        reproducer = Reproducer(puller, lambda: NOW)
        await asyncio.gather(*(reproducer.pull(f"{IMAGE}{n}") for n in range(3)))
        assert reproducer.previous(f"{IMAGE}2") == NOW

    asyncio.run(run())
    assert (len(puller.images), puller.most) == (3, 1)


def test_a_pull_that_waits_for_its_turn_counts_already() -> None:
    async def run() -> None:
        reproducer = Reproducer(FakePuller(seconds=60), lambda: NOW)
        tasks = [asyncio.create_task(reproducer.pull(f"{IMAGE}{n}")) for n in range(2)]
        await asyncio.sleep(0.01)
        assert reproducer.previous(f"{IMAGE}1") == NOW
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(run())


def test_cancelling_stops_the_runtimes_pull() -> None:
    puller = FakePuller(seconds=60)

    async def run() -> None:
        task = asyncio.create_task(Reproducer(puller, lambda: NOW).pull(IMAGE))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert puller.cancelled
