"""Stored logs in every form that people hand over."""

import contextlib
import gzip
import io
import struct
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.watch.lines import LogLine
from pullwhy.watch.logtext import UnreadableLog, read_log

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
THEN = datetime(2026, 11, 22, 8, 10, 35, tzinfo=UTC)
STAMP = str(int(THEN.timestamp() * 1_000_000))
KLOG = 'E1122 08:10:35.000000   20212 a.go:1] "m"'


def lines(data: bytes, now: datetime = NOW) -> list[LogLine]:
    return list(read_log(io.BufferedReader(io.BytesIO(data)), "kubelet.log", now))


def entry(message: bytes) -> bytes:
    return b"__CURSOR=c\n__REALTIME_TIMESTAMP=%s\n_SYSTEMD_UNIT=kubelet.service\n_STREAM_ID=s\n_PID=7\n%s\n" % (
        STAMP.encode(),
        message,
    )


ENTRY = LogLine(THEN, "kubelet.service", "hello", "s", 7, "c")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_journal_export(pack: type[bytes]) -> None:
    assert lines(pack(entry(b"MESSAGE=hello\n") * 2)) == [ENTRY, ENTRY]


def test_binary_field_may_hold_line_breaks() -> None:
    value = b"a\n\nMESSAGE=b"
    found = lines(entry(b"MESSAGE\n" + struct.pack("<Q", len(value)) + value + b"\n") + entry(b"MESSAGE=hello\n"))
    assert [each.text for each in found] == ["a\n\nMESSAGE=b", "hello"]


def test_first_of_repeated_fields_counts_and_entries_without_message_do_not() -> None:
    found = lines(entry(b"MESSAGE=hello\nMESSAGE=other\n") + entry(b"OTHER=1\n"))
    assert found == [ENTRY]


@pytest.mark.parametrize(
    "damage",
    [
        entry(b"MESSAGE\n" + struct.pack("<Q", 100) + b"short\n"),
        entry(b"MESSAGE\n" + struct.pack("<Q", 2**63) + b"x"),
        entry(b"MESSAGE\n" + struct.pack("<Q", 1) + b"xyz\n"),
        gzip.compress(entry(b"MESSAGE=hello\n"))[:-12],
    ],
)
def test_damage_is_named_after_what_could_be_read(damage: bytes) -> None:
    with pytest.raises(UnreadableLog, match=r"kubelet\.log: "):
        lines(damage)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (KLOG, LogLine(THEN, "kubelet.log", KLOG)),
        (f"Nov 22 08:10:35 node-a kubelet[7]: {KLOG}", LogLine(THEN, "kubelet", KLOG, pid=7)),
        (f"2026-11-22T09:10:35+0100 node-a kubelet[7]: {KLOG}", LogLine(THEN, "kubelet", KLOG, pid=7)),
        ("Nov 22 08:10:35 node-a kubelet[7]: \tvalue", LogLine(THEN, "kubelet", "\tvalue", pid=7)),
        (
            'time="2026-11-22T08:10:35.834296788Z" level=info msg=x',
            LogLine(THEN, "kubelet.log", 'time="2026-11-22T08:10:35.834296788Z" level=info msg=x'),
        ),
        (
            f'{{"MESSAGE":"m","__REALTIME_TIMESTAMP":"{STAMP}","_SYSTEMD_UNIT":"kubelet.service","_STREAM_ID":"s","_PID":"7"}}',
            LogLine(THEN, "kubelet.service", "m", "s", 7),
        ),
        (f'{{"MESSAGE":[109,255],"__REALTIME_TIMESTAMP":"{STAMP}"}}', LogLine(THEN, "kubelet.log", "m\ufffd")),
        (
            f'{{"ts":{int(STAMP) / 1000},"msg":"m"}}',
            LogLine(THEN, "kubelet.log", f'{{"ts":{int(STAMP) / 1000},"msg":"m"}}'),
        ),
        ("no time at all", LogLine(NOW, "kubelet.log", "no time at all")),
        ("{broken", LogLine(NOW, "kubelet.log", "{broken")),
    ],
)
def test_text_forms(text: str, line: LogLine) -> None:
    assert lines(text.encode() + b"\n") == [replace(line, from_file="MESSAGE" not in text)]


def test_line_without_a_time_takes_the_last_one() -> None:
    assert [each.when for each in lines(f"{KLOG}\n\tmore\n".encode())] == [THEN, THEN]


def test_header_without_a_year_is_of_the_past() -> None:
    assert lines(KLOG.encode(), datetime(2027, 1, 3, tzinfo=UTC))[0].when == THEN


def test_overlong_line_is_cut_and_the_next_is_whole() -> None:
    found = lines(b"x" * 3_000_000 + b"\nnext\n")
    assert [len(each.text) for each in found] == [1_048_576, 4]


@given(st.binary(max_size=300), st.sampled_from([b"", b"__CURSOR=c\nA=b\n", b"\x1f\x8b\x08\x00", b"{", b"Nov 99 "]))
def test_any_bytes_give_lines_or_the_one_expected_error(data: bytes, prefix: bytes) -> None:
    with contextlib.suppress(UnreadableLog):
        lines(prefix + data)
