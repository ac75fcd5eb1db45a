"""Multi-line records, torn apart by the journal and put together again."""

from datetime import UTC, datetime, timedelta

import pytest

from pullwhy.watch.lines import LogLine
from pullwhy.watch.rejoin import MAX_CHARACTERS, MAX_LINES, MAX_STREAMS, Rejoiner

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
OPEN = 'E1122 08:10:35.850846   20212 a.go:1] "m" err=<'
CLOSE = ' > image="x"'


def line(text: str, stream: str = "s", after: float = 0.0, cursor: str = "") -> LogLine:
    return LogLine(NOW + timedelta(seconds=after), "kubelet.service", text, stream, 7, cursor)


def joined(*lines: LogLine) -> list[str]:
    rejoiner = Rejoiner()
    return [whole.text for each in lines if (whole := rejoiner.feed(each)) is not None]


def test_a_record_is_joined_and_ends_at_its_last_entry() -> None:
    rejoiner = Rejoiner()
    assert rejoiner.feed(line(OPEN, cursor="1")) is None
    assert rejoiner.feed(line("\tone")) is None
    assert rejoiner.feed(line(CLOSE, after=0.1, cursor="3")) == line(f"{OPEN}\n\tone\n{CLOSE}", cursor="3")


def test_two_multi_line_values_in_one_record() -> None:
    assert joined(line(OPEN), line("\ta"), line(" > b=<"), line("\tc"), line(CLOSE)) == [
        f"{OPEN}\n\ta\n > b=<\n\tc\n{CLOSE}"
    ]


def test_interleaved_streams_are_kept_apart() -> None:
    lines = [
        line(OPEN, "s"),
        line(OPEN, "t"),
        line("\tof s", "s"),
        line("\tof t", "t"),
        line(CLOSE, "t"),
        line(CLOSE, "s"),
    ]
    assert joined(*lines) == [f"{OPEN}\n\tof t\n{CLOSE}", f"{OPEN}\n\tof s\n{CLOSE}"]


def test_text_within_a_value_cannot_end_it_or_begin_a_record() -> None:
    forged = [line(OPEN), line("\t > image=forged"), line("\t" + OPEN), line(CLOSE)]
    assert joined(*forged) == [f"{OPEN}\n\t > image=forged\n\t{OPEN}\n{CLOSE}"]


def test_an_interrupted_record_is_dropped_and_the_interrupting_line_is_not() -> None:
    assert joined(line(OPEN), line("\tone"), line("another line"), line("\ttwo"), line(CLOSE)) == ["another line"]


def test_continuations_without_a_beginning_are_dropped() -> None:
    assert joined(line("\tone"), line(CLOSE), line("next")) == ["next"]


@pytest.mark.parametrize(
    "middle",
    [
        [line("\tx")] * (MAX_LINES + 1),
        [line("\t" + "x" * 50_000)] * (MAX_CHARACTERS // 50_000 + 1),
        [line("\tx", after=6.0)],
    ],
    ids=["lines", "characters", "time"],
)
def test_a_record_that_breaks_a_bound_is_dropped(middle: list[LogLine]) -> None:
    assert joined(line(OPEN), *middle, line(CLOSE), line("next")) == ["next"]


def test_the_oldest_of_too_many_open_records_is_dropped() -> None:
    streams = [str(number) for number in range(MAX_STREAMS + 1)]
    opened = [line(OPEN, stream) for stream in streams]
    closed = [line(CLOSE, stream) for stream in streams]
    assert len(joined(*opened, *closed)) == MAX_STREAMS
