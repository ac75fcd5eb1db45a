"""The outbox keeps what `append` returned from, through kill -9, a full disk and damage, within its bounds."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullwhy.node.report.outbox import FOLDER, RETRY_SECONDS, InUse, Limits, Outbox

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def filled(outbox: Outbox, *ids: str) -> Outbox:
    for each in ids:
        outbox.append(each, f"document {each}".encode(), NOW)
    return outbox


def waiting(outbox: Outbox) -> list[tuple[int, str]]:
    return [(report.sequence, report.finding_id) for report in outbox.pending(limit=10_000)]


def files(state: Path) -> set[str]:
    return {path.name for path in (state / FOLDER).iterdir() if not path.name.startswith(".")}


def test_reports_wait_in_sequence_until_they_are_acknowledged(tmp_path: Path) -> None:
    outbox = filled(Outbox(tmp_path), "a", "b", "c")
    assert waiting(outbox) == [(1, "a"), (2, "b"), (3, "c")]
    outbox.acknowledge(2)
    assert waiting(outbox) == [(3, "c")]
    assert files(tmp_path) == {"c.report"}


def test_a_report_comes_back_as_it_went_in(tmp_path: Path) -> None:
    document = bytes(range(256)) + b"\n{}\n"
    first = Outbox(tmp_path)
    first.append("a", document, NOW)
    first.close()
    (report,) = Outbox(tmp_path).pending()
    assert (report.finding_id, report.document, report.observed_at) == ("a", document, NOW)


def test_a_newer_state_takes_the_place_of_an_older_one_that_waits(tmp_path: Path) -> None:
    outbox = filled(Outbox(tmp_path), "a", "b")
    assert outbox.append("a", b"newer", NOW) == 3
    assert waiting(outbox) == [(2, "b"), (3, "a")]
    assert outbox.pending()[1].document == b"newer"


def test_acknowledging_an_older_state_keeps_the_newer_one(tmp_path: Path) -> None:
    outbox = filled(Outbox(tmp_path), "a")
    outbox.append("a", b"newer", NOW)
    outbox.acknowledge(1)
    assert waiting(outbox) == [(2, "a")]


def test_pending_gives_what_fits_and_at_least_one(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for each in "abcd":
        outbox.append(each, b"x" * 100, NOW)
    assert len(outbox.pending(limit=2)) == 2
    assert [report.finding_id for report in outbox.pending(after=2)] == ["c", "d"]
    assert len(outbox.pending(max_bytes=250)) == 2
    assert len(outbox.pending(max_bytes=1)) == 1


def test_a_restart_keeps_what_waits_and_goes_on_counting_under_another_id(tmp_path: Path) -> None:
    first = filled(Outbox(tmp_path), "a", "b", "c")
    first.acknowledge(1)
    first.close()
    second = Outbox(tmp_path)
    assert second.id != first.id
    assert waiting(second) == [(2, "b"), (3, "c")]
    assert second.append("d", b"d", NOW) == 4


@pytest.mark.parametrize(
    ("limits", "kept"),
    [(Limits(reports=3), ["h", "i", "j"]), (Limits(bytes=250), ["i", "j"]), (Limits(bytes=1), ["j"])],
)
def test_the_oldest_is_dropped_and_counted_where_there_is_no_room(
    tmp_path: Path, limits: Limits, kept: list[str]
) -> None:
    outbox = Outbox(tmp_path, limits)
    for each in "abcdefghij":
        outbox.append(each, b"x" * 100, NOW)
    assert [finding_id for _, finding_id in waiting(outbox)] == kept
    assert outbox.dropped == 10 - len(kept)
    assert files(tmp_path) == {f"{each}.report" for each in kept}


def test_a_document_that_no_collector_takes_is_dropped_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(tmp_path, Limits(document=10))
    assert outbox.append("a", b"x" * 11, NOW) == 0
    assert (len(outbox), outbox.dropped) == (0, 1)
    assert "finding a" in caplog.text


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", "a/b", "a b", "x" * 65, "a\n"])
def test_an_id_that_could_leave_the_folder_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ValueError, match="id is at most 64"):
        Outbox(tmp_path).append(bad, b"", NOW)


def test_without_a_state_directory_it_lives_in_memory_and_that_is_no_impairment() -> None:
    outbox = filled(Outbox(None), "a")
    outbox.acknowledge(0)
    assert waiting(outbox) == [(1, "a")]
    assert outbox.impairments == ()


def test_the_listener_hears_of_each_append(tmp_path: Path) -> None:
    heard = []
    outbox = Outbox(tmp_path)
    outbox.listener = lambda: heard.append(len(outbox))
    filled(outbox, "a", "b")
    assert heard == [1, 2]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}\n",
        b"not json\nbody",
        b'{"format": 1, "sequence": 1, "observed_us": 1, "size": 4, "crc32": 0}\nbody',
        b'{"format": 1, "sequence": 1, "observed_us": 1, "size": 9, "crc32": 0}\nbody',
        b'{"format": 1, "sequence": -1, "observed_us": 1, "size": 0, "crc32": 0}\n',
        b'{"format": 1, "sequence": 1, "observed_us": 1e300, "size": 0, "crc32": 0}\n',
        b'{"format": 2, "sequence": 1, "observed_us": 1, "size": 0, "crc32": 0}\n',
        b'{"format": 1' + b" " * 5000 + b"}\n",
    ],
)
def test_a_damaged_file_is_removed_with_one_line_and_the_others_are_kept(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    filled(Outbox(tmp_path), "a").close()
    (tmp_path / FOLDER / "torn.report").write_bytes(damage)
    (tmp_path / FOLDER / "b.new").write_bytes(b"begun, never finished")
    outbox = Outbox(tmp_path)
    assert [finding_id for _, finding_id in waiting(outbox)] == ["a"]
    assert files(tmp_path) == {"a.report"}
    assert [record.message for record in caplog.records if "torn.report" in record.message]


def test_a_second_agent_in_the_same_directory_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    first = filled(Outbox(tmp_path), "a")
    with pytest.raises(InUse, match=rf"{tmp_path}: another agent \(pid {os.getpid()}\).*state_directory"):
        Outbox(tmp_path)
    first.close()
    assert waiting(Outbox(tmp_path)) == [(1, "a")]


def test_a_holder_that_wrote_no_pid_is_told_without_one(tmp_path: Path) -> None:
    _first = Outbox(tmp_path)
    (tmp_path / FOLDER / ".lock").write_bytes(b"\xff\n")
    with pytest.raises(InUse, match=": another agent uses"):
        Outbox(tmp_path)


def test_an_agent_that_comes_while_the_disk_fails_for_ours_keeps_the_directory(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / FOLDER).write_text("in the way")
    ours = filled(Outbox(tmp_path, monotonic=clock), "b")
    (tmp_path / FOLDER).unlink()
    other = filled(Outbox(tmp_path), "a")
    clock.now += RETRY_SECONDS
    ours.retry_disk()
    assert waiting(ours) == [(1, "b")]
    assert "another agent" in ours.impairments[0]
    other.close()
    clock.now += RETRY_SECONDS
    ours.retry_disk()
    assert ours.impairments == ()
    assert files(tmp_path) == {"a.report", "b.report"}


def test_a_directory_that_cannot_be_made_is_one_line_and_an_impairment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    outbox = filled(Outbox(tmp_path / "file"), "a", "b")
    assert len(waiting(outbox)) == 2
    assert len(caplog.records) == 1
    assert "state directory that it can write" in outbox.impairments[0]


FULL_DISK = """
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from pullwhy.node.report.outbox import Outbox
clock = [0.0]
outbox = Outbox(Path(sys.argv[1]), monotonic=lambda: clock[0])
now = datetime.now(UTC)
outbox.append("before", b"x" * 100, now)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
outbox.append("large", b"y" * 5000, now)
outbox.append("before", b"z" * 5000, now)
assert len(outbox) == 2 and len(outbox.impairments) == 1, outbox.impairments
assert [r.finding_id for r in outbox.pending()] == ["large", "before"]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
outbox.retry_disk()
assert outbox.impairments, "the disk is left alone for a while"
clock[0] += 61
outbox.retry_disk()
assert not outbox.impairments
"""


def test_a_disk_that_takes_nothing_is_survived_in_memory_and_caught_up_later(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], check=True)
    outbox = Outbox(tmp_path)
    assert [(report.finding_id, len(report.document)) for report in outbox.pending()] == [
        ("large", 5000),
        ("before", 5000),
    ]
    assert not list((tmp_path / FOLDER).glob("*.new"))


def test_what_is_acknowledged_leaves_a_full_disk_too(tmp_path: Path) -> None:
    outbox = filled(Outbox(tmp_path), "a", "b")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        outbox.acknowledge(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == {"b.report"}


WRITER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from pullwhy.node.report.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
start = int(sys.argv[2])
for number in range(start, start + 100000):
    outbox.append(f"f{number % 500}", b"%d " % number * 200, datetime.now(UTC))
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
"""


@pytest.mark.slow
def test_nothing_that_append_returned_from_is_lost_or_torn_by_kill_9(tmp_path: Path) -> None:
    chance = random.Random(7)
    newest: dict[str, int] = {}
    for turn in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(turn * 100_000)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout
            first = writer.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.12))
            os.kill(writer.pid, signal.SIGKILL)
            lines = [first, *writer.stdout.read().splitlines(keepends=True)]
        done = [int(line) for line in lines if line.endswith(b"\n")]
        newest |= {f"f{number % 500}": number for number in done}
        outbox = Outbox(tmp_path)
        kept = {report.finding_id: report.document for report in outbox.pending(limit=10_000, max_bytes=10**9)}
        outbox.close()
        # The one append that was under way when the kill came may have been saved before its line was printed.
        under_way = done[-1] + 1
        if kept.get(f"f{under_way % 500}") == b"%d " % under_way * 200:
            newest[f"f{under_way % 500}"] = under_way
        assert kept == {finding_id: b"%d " % number * 200 for finding_id, number in newest.items()}


def test_an_hour_of_findings_costs_no_memory_once_acknowledged(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for number in range(300):
        sequence = outbox.append(f"f{number}", b"x" * 1000, NOW + timedelta(seconds=number))
        outbox.acknowledge(sequence)
    assert (len(outbox), files(tmp_path), outbox.dropped) == (0, set(), 0)
