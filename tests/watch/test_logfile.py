import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullwhy.model import PodRef, PullFailure
from pullwhy.watch.cursor import FilePosition
from pullwhy.watch.failures import Recogniser
from pullwhy.watch.gate import gate
from pullwhy.watch.logfile import MAX_LINE, FileFollower, LogFile
from pullwhy.watch.lookback import MAX_BYTES
from pullwhy.watch.rejoin import Rejoiner

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


class Opener:
    """Opens log files and closes them after the test."""

    def __init__(self) -> None:
        self._files: list[LogFile] = []

    def file(self, path: Path, accept: Callable[[bytes], bool] = bool) -> LogFile:
        self._files.append(LogFile(path, "kubelet.log", accept, lambda: NOW))
        return self._files[-1]

    def opened(self, path: Path) -> LogFile:
        """Open a file that is followed from its end on."""
        file = self.file(path)
        assert not file.open(None)
        return file

    def close(self) -> None:
        for file in self._files:
            file.close()


@pytest.fixture
def logs() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close()


def texts(file: LogFile) -> list[str]:
    found: list[str] = []
    while True:
        lines, end = file.read()
        found += [line.text for line in lines]
        if end:
            return found


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_first_read_begins_at_the_end(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.write_text("old\nhalf")
    file = logs.opened(path)
    append(path, " old\nnew\n")
    assert texts(file) == ["new"]


def test_half_a_line_waits_for_its_end(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "one\ntw")
    assert texts(file) == ["one"]
    append(path, "o\n")
    assert texts(file) == ["two"]


def test_unwanted_lines_are_dropped_and_wanted_ones_stamped(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.file(path, lambda line: b"pull" in line)
    file.open(None)
    append(path, "noise\npull failed\n")
    (line,), _ = file.read()
    assert (line.text, line.unit, line.when, line.stream) == ("pull failed", "kubelet.log", NOW, str(path))


def test_resumes_behind_the_last_whole_line(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "one\ntw")
    texts(file)
    position = file.position()
    append(path, "o\nthree\n")
    resumed = logs.file(path)
    assert not resumed.open(position)
    assert texts(resumed) == ["two", "three"]


def test_rotation_by_renaming_loses_nothing(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "one\n")
    texts(file)
    append(path, "two\n")
    path.rename(tmp_path / "kubelet.log.1")
    append(path, "three\n")
    assert texts(file) == ["two", "three"]


def test_the_moment_between_rename_and_new_file_is_waited_out(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    path.rename(tmp_path / "kubelet.log.1")
    assert texts(file) == []
    append(path, "new\n")
    assert texts(file) == ["new"]


def test_a_file_emptied_in_place_is_read_from_its_beginning(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "a long first line\n")
    texts(file)
    path.write_text("new\n")
    assert texts(file) == ["new"]


def test_rotation_while_not_running_goes_on_in_the_renamed_file(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "one\n")
    texts(file)
    position = file.position()
    append(path, "two\n")
    path.rename(tmp_path / "kubelet.log.1")
    append(path, "three\n")
    resumed = logs.file(path)
    assert not resumed.open(position)
    assert texts(resumed) == ["two", "three"]


@pytest.mark.parametrize("content", ["an other beginning, at least as long\n", "x\n"])
def test_a_file_that_is_not_the_one_that_was_read_is_a_gap(logs: Opener, tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "one line to know it by\n")
    texts(file)
    position = file.position()
    path.write_text(content)
    resumed = logs.file(path)
    assert "rotated away" in resumed.open(position)
    assert texts(resumed) == [content.strip()]


def test_a_file_that_does_not_exist_yet_is_read_from_its_beginning(logs: Opener, tmp_path: Path) -> None:
    file = logs.opened(tmp_path / "kubelet.log")
    assert texts(file) == []
    append(tmp_path / "kubelet.log", "first\n")
    assert texts(file) == ["first"]


def test_an_endless_line_is_cut_and_the_next_one_read(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()
    file = logs.opened(path)
    append(path, "x" * (MAX_LINE * 10) + "\nnext\n")
    first, second = texts(file)
    assert len(first) == MAX_LINE
    assert second == "next"


def test_an_unreadable_file_is_an_error(logs: Opener, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        logs.file(tmp_path).open(None)


def test_follows_a_file_on_the_event_loop(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.touch()

    async def run() -> tuple[list[str], FilePosition | None]:
        batches = FileFollower(logs.file(path), poll_seconds=0.01).batches(None)
        following = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0.05)
        append(path, "one\ntwo\n")
        async with asyncio.timeout(5):
            batch = await following
        await batches.aclose()
        return [line.text for line in batch.lines], batch.position

    lines, position = asyncio.run(run())
    assert lines == ["one", "two"]
    assert position
    assert position.offset == len("one\ntwo\n")


FAILED = (
    'E1126 02:45:42.123456     812 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for \\"web\\" '
    'with ErrImagePull: \\"rpc error: code = NotFound desc = failed to resolve reference: registry.example/shop/web:1: not found\\"" '
    'pod="shop/web-0" podUID="9d1f"'
)


@pytest.mark.parametrize(
    ("header", "unit", "pid"),
    [
        ("", "kubelet.log", 0),
        ("Nov 26 02:45:42 n0 kubelet[812]: ", "kubelet", 812),
        ("Nov  6 02:45:42 n0 kubelet: ", "kubelet", 0),
        ("2026-11-26T02:45:42.123456+00:00 n0 kubelet[812]: ", "kubelet", 812),
    ],
)
def test_lines_of_syslog_are_read_without_their_header(
    logs: Opener, tmp_path: Path, header: str, unit: str, pid: int
) -> None:
    path = tmp_path / "syslog"
    path.touch()
    file = logs.file(path, gate)
    file.open(None)
    append(path, f"{header}{FAILED}\n{header}I1126 02:45:43.000000     812 kubelet.go:1] full of nothing\n")
    (line,), _ = file.read()
    assert (line.text, line.unit, line.pid) == (FAILED, unit, pid)
    (failure,) = Recogniser().feed(line)
    assert isinstance(failure, PullFailure)
    assert failure.pod == PodRef("shop", "web-0", "9d1f")


OTHERS = "Nov 26 02:45:42 n0 cron[9]: pull\n"


def test_a_record_that_syslog_tears_apart_is_joined_again(logs: Opener, tmp_path: Path) -> None:
    path = tmp_path / "syslog"
    path.touch()
    file = logs.file(path, gate)
    file.open(None)
    record = 'E1126 02:45:42.1 812 log.go:32] "PullImage from image service failed" err=<\n\trpc error: denied\n > image="a/b:1"'
    append(path, "".join(f"Nov 26 02:45:42 n0 kubelet[812]: {line}\n{OTHERS}" for line in record.split("\n")))
    rejoiner = Rejoiner()
    told = [whole.text for line in file.read()[0] if (whole := rejoiner.feed(line)) and whole.pid == 812]
    assert told == [record]


LOOKBACK = timedelta(minutes=10)


def klog(when: datetime, message: str = "x") -> str:
    return f'E{when:%m%d %H:%M:%S.%f}   20212 a.go:1] "{message}"\n'


def looked_back(path: Path, *, changed: datetime = NOW, more: str = "") -> list[tuple[str, datetime]]:
    """Return what a first reading that looks back hands over, and `more`, written after the file was opened."""
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    file = LogFile(path, "kubelet.log", bool, lambda: NOW, LOOKBACK)
    assert not file.open(None)
    append(path, more)
    found: list[tuple[str, datetime]] = []
    end = False
    while not end:
        lines, end = file.read()
        found += [(line.text, line.when) for line in lines]
    file.close()
    return found


@pytest.mark.parametrize("zone", [timedelta(0), timedelta(hours=2), timedelta(hours=-9, minutes=-30)])
def test_a_first_reading_looks_back_whatever_the_nodes_zone(tmp_path: Path, zone: timedelta) -> None:
    ages = [timedelta(minutes=minutes) for minutes in (600, 11, 9, 1, 0)]
    path = tmp_path / "kubelet.log"
    path.write_text("".join(klog(NOW + zone - age) for age in ages) + klog(NOW + zone)[:20])
    found = looked_back(path, more="the rest\n" + klog(NOW, "new"))
    assert [when for _, when in found[:3]] == [NOW - age for age in ages[2:]]
    assert [(text.endswith("the rest"), when) for text, when in found[3:]] == [(True, NOW), (False, NOW)]


def test_an_idle_file_holds_nothing_of_late(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.write_text(klog(NOW - timedelta(hours=3)))
    assert looked_back(path, changed=NOW - timedelta(hours=3)) == []


@pytest.mark.parametrize(
    "line",
    [
        'time="2026-11-22T09:55:00.000000000+02:00" level=error msg=x\n',
        '{"ts":1795334100000.0,"msg":"x"}\n',
        "2026-11-22T07:55:00+00:00 node k3s[7]: x\n",
    ],
)
def test_a_zone_that_is_told_is_believed(tmp_path: Path, line: str) -> None:
    path = tmp_path / "containerd.log"
    path.write_text(line + klog(NOW - timedelta(hours=5)))
    assert looked_back(path)[0][1] == NOW - timedelta(minutes=5)


def test_lines_without_a_time_belong_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.write_text("unknown\n" + klog(NOW - LOOKBACK * 2) + "\told\n" + klog(NOW) + "\tnew\n")
    assert [text for text, _ in looked_back(path)][1:] == ["\tnew"]
    path.write_text("no time at all\n" * 3)
    assert looked_back(path) == []


def test_no_more_than_the_files_end_is_looked_back_into(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    line = klog(NOW, "y" * 1000)
    count = 2 * MAX_BYTES // len(line)
    path.write_text(line * count)
    assert MAX_BYTES // len(line) - 1 <= len(looked_back(path)) <= MAX_BYTES // len(line)


def test_what_was_there_is_handed_over_at_once(tmp_path: Path) -> None:
    path = tmp_path / "kubelet.log"
    path.write_text(klog(NOW, "y" * 1000) * 1000)
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))

    async def first() -> int:
        follower = FileFollower(LogFile(path, "kubelet.log", bool, lambda: NOW, LOOKBACK))
        async with contextlib.aclosing(follower.batches(None)) as batches:
            batch = await anext(batches)
            assert batch.position is not None
            assert batch.position.offset == path.stat().st_size
            return len(batch.lines)

    assert asyncio.run(first()) == 1000
