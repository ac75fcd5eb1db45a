from datetime import UTC, datetime, timedelta

from pullwhy.model import PullFailure, Reason
from pullwhy.node.incidents.hangs import Hangs
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
IMAGE = "registry.example/web:1"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(kind: RuntimeEventKind, seconds: float = 0, error: str = "") -> RuntimeEvent:
    return RuntimeEvent(at(seconds), "containerd.service", kind, IMAGE, error=error)


def started(*more: RuntimeEvent) -> Hangs:
    hangs = Hangs(timedelta(seconds=300))
    for each in (event(RuntimeEventKind.PULL_STARTED), *more):
        hangs.observe(each)
    return hangs


def told(hangs: Hangs, seconds: float, progress: float | None = -60, runtime: float | None = None) -> list[PullFailure]:
    return hangs.failures(
        at(seconds), at(progress) if progress is not None else None, at(runtime) if runtime is not None else None
    )


def test_a_pull_without_an_end_is_a_failure_past_the_threshold() -> None:
    hangs = started()
    assert told(hangs, 299) == []
    assert not hangs.overdue(at(299))
    assert hangs.overdue(at(300))
    (failure,) = told(hangs, 300)
    assert (failure.reason, failure.image, failure.pod) == (Reason.PULL_HANGS, IMAGE, None)


def test_a_pull_that_ended_is_none_whether_it_worked_or_not() -> None:
    assert told(started(event(RuntimeEventKind.PULL_ENDED, 10)), 400) == []
    assert told(started(event(RuntimeEventKind.PULL_ENDED, 10, "failed")), 400) == []


def test_progress_puts_it_off() -> None:
    assert told(started(), 400, progress=200) == []
    assert told(started(), 500, progress=200)


def test_a_hang_that_goes_on_is_told_once_a_minute() -> None:
    hangs = started()
    assert [len(told(hangs, seconds)) for seconds in (300, 330, 360, 361, 420)] == [1, 0, 1, 0, 1]


def test_a_second_start_begins_anew() -> None:
    assert told(started(event(RuntimeEventKind.PULL_STARTED, 200)), 400) == []


def test_a_restarted_runtime_has_forgotten_its_pulls() -> None:
    hangs = started()
    assert told(hangs, 400, runtime=100) == []
    assert not hangs.pulls


def test_where_progress_cannot_be_seen_it_takes_much_longer_and_is_said() -> None:
    hangs = started()
    assert told(hangs, 1799, progress=None) == []
    (failure,) = told(hangs, 1800, progress=None)
    assert "whether data flows was not seen" in failure.message


def test_it_tells_since_when_nothing_was_written() -> None:
    (failure,) = told(started(), 500, progress=200)
    assert "no progress since 08:03:20" in failure.message


def test_a_pull_is_alone_until_another_begins() -> None:
    hangs = started()
    assert hangs.alone_since(IMAGE)
    hangs.observe(RuntimeEvent(at(5), "containerd.service", RuntimeEventKind.PULL_STARTED, "registry.example/other:1"))
    assert not hangs.alone_since(IMAGE)
    assert not hangs.alone_since("registry.example/unknown:1")
