import asyncio
import logging

import pytest

from pullwhy.node.feed import SourceUnreadable
from pullwhy.node.impairments import Impairments
from pullwhy.node.supervise import PAUSES, supervise


def supervised(
    outcomes: list[Exception | None], told: tuple[type[Exception], ...] = ()
) -> tuple[list[str], list[float]]:
    """Run a task that ends in these ways, and return whose faults were told and how long was paused."""
    failed: list[str] = []
    pauses: list[float] = []
    left = iter(outcomes)

    async def task() -> None:
        outcome = next(left, ...)
        if outcome is ...:
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def run() -> None:
        running = asyncio.create_task(supervise("journal", task, failed.append, sleep, told))
        while len(pauses) < len(outcomes):  # noqa: ASYNC110 - it is told by no event
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())
    return failed, pauses


def test_a_task_that_fails_is_begun_again_ever_later() -> None:
    failed, pauses = supervised([OSError("x")] * 8)
    assert failed == ["journal"] * 8
    assert pauses == [*PAUSES, PAUSES[-1], PAUSES[-1]]


def test_a_task_that_ends_is_begun_again_too() -> None:
    assert supervised([None])[0] == ["journal"]


def test_the_same_fault_is_logged_once_with_its_context(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        supervised([OSError("x"), OSError("x"), OSError("y")])
    assert [record.getMessage() for record in caplog.records] == ["journal failed; it is started again"] * 2
    assert all(record.exc_info for record in caplog.records)


def test_a_fault_that_the_task_told_itself_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    assert supervised([SourceUnreadable("x"), OSError("y")], (SourceUnreadable,))[0] == ["journal"] * 2
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["y"]


def test_an_impairment_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    impairments = Impairments()
    heard: list[tuple[str, ...]] = []
    impairments.listener = lambda: heard.append(impairments.lines)
    with caplog.at_level(logging.INFO):
        for line in ("", "no\x1b[31m socket", "no\x1b[31m socket", ""):
            impairments.set("runtime", line)
    assert heard == [("no\x1b[31m socket",), ()]
    assert len(caplog.records) == 2
    assert "\x1b" not in caplog.text
