"""Which image a failed pull was for, and whether credentials went along, from the lines about single pulls."""

from datetime import UTC, datetime, timedelta

import pytest

from pullwhy.watch.attempts import MAX_ATTEMPTS, TRIED, TRIED_WITHOUT, Attempts, Pull
from pullwhy.watch.lines import LogLine

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
PREFIX = "rpc error: code = Unknown desc = "

Fed = tuple[str, str, str]
"""Message, error, image."""


def line(after: float = 0.0, stream: str = "s") -> LogLine:
    return LogLine(NOW + timedelta(seconds=after), "kubelet.service", "", stream, 20212)


def fed(*records: Fed) -> Attempts:
    attempts = Attempts()
    for message, error, image in records:
        assert attempts.feed(line(), message, {"err": error, "image": image})
    return attempts


def take(attempts: Attempts, message: str, named: str = "", wanted: tuple[str, ...] = ()) -> Pull:
    return attempts.take(line(0.1), message, named, wanted)


@pytest.mark.parametrize(
    ("records", "sent"),
    [
        ([], None),
        ([(TRIED, PREFIX + "denied", "web:1")], True),
        ([(TRIED, PREFIX + "denied", "web:1"), (TRIED_WITHOUT, "denied", "web:1")], False),
        ([(TRIED_WITHOUT, "denied", "web:1")], False),
        ([(TRIED, "denied", "web:1"), (TRIED, "denied", "web:1")], True),
        ([(TRIED, "denied", "web:1"), (TRIED_WITHOUT, "other", "web:1")], True),
        ([(TRIED, "other", "web:1"), (TRIED_WITHOUT, "other", "web:1")], None),
    ],
)
def test_the_second_line_alone_tells_that_none_matched(records: list[Fed], sent: bool | None) -> None:
    assert take(fed(*records), "denied").credentials_sent is sent


def test_other_records_are_not_taken() -> None:
    assert not Attempts().feed(line(), "Error syncing pod, skipping", {"err": "x"})


@pytest.mark.parametrize(
    "message",
    [
        "[denied, expired]",
        f"[{PREFIX}denied, {PREFIX}expired]",
        "[denied\n, expired\n]",
        "[first, denied]",
    ],
)
def test_each_part_of_an_aggregate_is_a_pull(message: str) -> None:
    attempts = fed((TRIED, PREFIX + "denied\n", "web:1"), (TRIED, PREFIX + "expired", "web:1"))
    assert take(attempts, message) == Pull("web:1", True, 1 if "first" in message else 2)


@pytest.mark.parametrize("message", ["[denied once more]", "denied, expired", "[]", "["])
def test_a_part_counts_as_a_whole_only(message: str) -> None:
    assert take(fed((TRIED, "denied", "web:1")), message) == Pull("")


def test_an_error_whose_pieces_were_lost_is_known_by_its_image() -> None:
    lost = fed((TRIED, "", "web:1"), (TRIED_WITHOUT, "denied", "web:1"))
    assert take(lost, "denied", wanted=("web:1",)) == Pull("web:1", False)
    assert take(fed((TRIED, "", "web:1")), "denied", wanted=("db:1",)) == Pull("")


def test_a_message_in_the_kubelets_own_words_is_known_by_its_image() -> None:
    message = "image pull failed for web:1 because the registry is unavailable: refused"
    records = ((TRIED, PREFIX + "RegistryUnavailable: refused", "web:1"), (TRIED, "x", "db:1"))
    assert take(fed(*records), message, named="web:1") == Pull("web:1", True, 1)


def test_pulls_with_and_without_credentials_that_fail_alike_at_once_are_not_told_apart() -> None:
    attempts = fed((TRIED, "denied", "web:1"), (TRIED, "denied", "web:1"), (TRIED_WITHOUT, "denied", "web:1"))
    assert [take(attempts, "denied") for _ in range(3)] == [Pull("web:1"), Pull("web:1"), Pull("")]


def test_pulls_in_turn_are_told_apart() -> None:
    attempts = fed((TRIED, "denied", "web:1"), (TRIED_WITHOUT, "denied", "web:1"))
    assert take(attempts, "denied") == Pull("web:1", False)
    attempts.feed(line(), TRIED, {"err": "denied", "image": "web:1"})
    assert take(attempts, "denied") == Pull("web:1", True, 1)


def test_the_same_words_for_two_images_tell_of_credentials_where_both_agree() -> None:
    records = [(TRIED, "refused", image) for image in ("web:1", "db:1")]
    assert take(fed(*records), "refused") == Pull("", True)
    assert take(fed(*records), "refused", wanted=("db:1",)) == Pull("db:1", True, 1)
    mixed = [*records, (TRIED_WITHOUT, "refused", "db:1")]
    assert take(fed(*mixed), "refused") == Pull("")


@pytest.mark.parametrize("late", [line(after=3.0), line(stream="other")])
def test_old_lines_and_those_of_other_writers_do_not_count(late: LogLine) -> None:
    attempts = fed((TRIED, "denied", "web:1"))
    assert attempts.take(late, "denied", "", ()) == Pull("")
    attempts.feed(late, TRIED_WITHOUT, {"err": "denied", "image": "web:1"})
    assert take(attempts, "denied") == Pull("web:1", True, 1)


def test_memory_is_bounded() -> None:
    attempts = fed((TRIED, "denied", "web:1"), *[(TRIED, "other", "db:1")] * MAX_ATTEMPTS)
    assert take(attempts, "denied") == Pull("")
