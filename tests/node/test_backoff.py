from datetime import UTC, datetime, timedelta

import pytest

from pullwhy.model import Reason
from pullwhy.node.incidents.backoff import Backoff, advance

START = datetime(2026, 11, 22, 8, tzinfo=UTC)


def after(*seconds: float, reason: Reason = Reason.ERR_IMAGE_PULL) -> Backoff:
    """Return the entry after failures at these seconds."""
    backoff = Backoff()
    for moment in seconds:
        backoff = advance(backoff, reason, START + timedelta(seconds=moment))
    return backoff


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ((0,), 10),
        ((0, 15), 20),
        ((0, 15, 43), 40),
        ((0, 15, 43, 93), 80),
        ((0, 15, 43, 93, 182), 160),
        ((0, 15, 43, 93, 182, 349), 300),
        ((0, 15, 43, 93, 182, 349, 655), 300),
    ],
)
def test_it_doubles_from_ten_to_three_hundred_seconds(failures: tuple[float, ...], expected: float) -> None:
    assert after(*failures).seconds == expected


def test_it_begins_anew_ten_minutes_after_the_last_failure() -> None:
    assert after(0, 15, 43, 93, 182, 182 + 601).seconds == 10
    assert after(0, 15, 43, 93, 182, 182 + 600).seconds == 300


def test_the_next_try_is_the_last_failure_and_the_step() -> None:
    assert after(0, 15).next_try_at == START + timedelta(seconds=35)
    assert Backoff().next_try_at is None


@pytest.mark.parametrize(("apart", "expected"), [(89, 160), (167, 300), (306, 300)])
def test_a_watch_that_began_in_the_middle_corrects_itself(apart: float, expected: float) -> None:
    assert after(0, apart).seconds == expected


@pytest.mark.parametrize("reason", [Reason.INVALID_IMAGE_NAME, Reason.ERR_IMAGE_NEVER_PULL, Reason.IMAGE_INSPECT_ERROR])
def test_what_fails_before_the_pull_knows_no_back_off(reason: Reason) -> None:
    backoff = after(0, 12, reason=reason)
    assert backoff.seconds == 0
    assert backoff.next_try_at == START + timedelta(seconds=12)
