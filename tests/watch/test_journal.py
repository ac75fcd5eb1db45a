import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from watch.journals import EPOCH, MACHINE, JournalWriter, host, wait_until, write_journal

from pullwhy.watch.cursor import JournalPosition
from pullwhy.watch.journal import JournalReader, JournalUnreadable, Place, Start, newest, read_stored

UNITS = ("kubelet.service", "containerd.service")
START = datetime.fromtimestamp(EPOCH / 1_000_000, UTC)
OTHER_MACHINE = "0" * 31 + "1"


def everything(message: bytes) -> bool:
    return bool(message)


def open_files() -> set[str]:
    """Names of the files that this process holds open, deleted ones too."""
    names = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists this directory
            names.add(descriptor.readlink().name.removesuffix(" (deleted)"))
    return names


def texts(reader: JournalReader) -> list[str]:
    found: list[str] = []
    while True:
        part = reader.read(limit=3)
        found += [line.text for line in part.lines]
        if part.end:
            return found


def reader_at(
    root: Path, resume: JournalPosition | None = None, since: datetime = START
) -> tuple[JournalReader, Start]:
    reader = JournalReader(Place(root), UNITS, everything)
    return reader, reader.open(resume, since)


def test_reads_only_the_units_it_was_asked_for(tmp_path: Path) -> None:
    with JournalWriter(host(tmp_path) / "system.journal") as writer:
        for number, unit in enumerate(["kubelet.service", "sshd.service", "containerd.service"]):
            writer.write(number, f"by {unit}", unit)
    reader, start = reader_at(tmp_path)
    assert texts(reader) == ["by kubelet.service", "by containerd.service"]
    assert start is Start.LOOKED_BACK
    reader.close()


def test_a_line_carries_time_unit_stream_and_pid(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(1))
    reader, _ = reader_at(tmp_path)
    (line,) = reader.read().lines
    assert (line.when, line.unit, line.text, line.stream, line.pid) == (START, "kubelet.service", "line 0", "aa", 1201)
    reader.close()


def test_entries_before_the_look_back_are_not_read(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(10))
    reader, _ = reader_at(tmp_path, since=START + timedelta(seconds=7))
    assert texts(reader) == ["line 7", "line 8", "line 9"]
    reader.close()


def test_both_trees_are_interleaved(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(0, 6, 2))
    write_journal(tmp_path / "run/log/journal" / MACHINE / "system.journal", range(1, 6, 2))
    reader, _ = reader_at(tmp_path)
    assert texts(reader) == [f"line {n}" for n in range(6)]
    reader.close()


def test_another_machines_journal_in_the_same_tree_is_not_read(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(3))
    write_journal(tmp_path / "var/log/journal" / OTHER_MACHINE / "system.journal", range(3, 6), OTHER_MACHINE)
    reader, _ = reader_at(tmp_path)
    assert texts(reader) == ["line 0", "line 1", "line 2"]
    reader.close()


def test_undecodable_bytes_are_replaced_and_missing_messages_passed_over(tmp_path: Path) -> None:
    with JournalWriter(host(tmp_path) / "system.journal") as writer:
        writer.write(0, b"\xff pull")
        writer.write(1, b"")
        writer.write(2, "next")
    reader, _ = reader_at(tmp_path)
    assert texts(reader) == ["� pull", "next"]
    reader.close()


def test_unwanted_messages_still_move_the_position(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(5))
    reader = JournalReader(Place(tmp_path), UNITS, lambda _: False)
    reader.open(None, START)
    part = reader.read()
    assert (part.lines, part.entries, part.end) == ((), 5, True)
    position = reader.position
    assert position
    assert position.realtime == EPOCH + 4_000_000
    reader.close()


def test_resumes_behind_the_entry_that_was_read_last(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(10))
    first, _ = reader_at(tmp_path)
    first.read(limit=4)
    resumed, start = reader_at(tmp_path, first.position)
    assert texts(resumed) == [f"line {n}" for n in range(4, 10)]
    assert start is Start.RESUMED
    first.close()
    resumed.close()


def test_resuming_at_the_end_reads_nothing_twice(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(3))
    first, _ = reader_at(tmp_path)
    texts(first)
    resumed, _ = reader_at(tmp_path, first.position)
    assert texts(resumed) == []
    first.close()
    resumed.close()


def test_letting_go_of_mapped_files_neither_repeats_nor_misses(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(10))
    reader, _ = reader_at(tmp_path)
    seen = []
    while True:
        part = reader.read(limit=3)
        seen += [line.text for line in part.lines]
        reader.release()
        if part.end:
            break
    assert seen == [f"line {n}" for n in range(10)]
    reader.close()


def test_a_vacuumed_cursor_is_a_gap_and_reading_goes_on_with_what_is_left(tmp_path: Path) -> None:
    directory = host(tmp_path)
    write_journal(directory / "system@old.journal", range(5))
    first, _ = reader_at(tmp_path)
    first.read(limit=2)
    first.close()
    (directory / "system@old.journal").unlink()
    write_journal(directory / "system.journal", range(8, 10))
    resumed, start = reader_at(tmp_path, first.position)
    assert start is Start.GAP
    assert texts(resumed) == ["line 8", "line 9"]
    resumed.close()


def test_a_vanished_cursor_with_nothing_lost_after_it_is_no_gap(tmp_path: Path) -> None:
    directory = host(tmp_path)
    write_journal(directory / "system.journal", range(5))
    lost = JournalPosition("s=0;i=0;b=0;m=0;t=0;x=0", EPOCH + 2_000_000)
    reader, start = reader_at(tmp_path, lost)
    assert start is Start.RESUMED
    assert texts(reader) == ["line 3", "line 4"]
    reader.close()


def test_a_garbled_cursor_falls_back_on_the_time(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(5))
    reader, _ = reader_at(tmp_path, JournalPosition("garbage", EPOCH + 3_000_000))
    assert texts(reader) == ["line 4"]
    reader.close()


def test_dropped_messages_of_our_units_are_counted(tmp_path: Path) -> None:
    dropped = {"MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e"}
    with JournalWriter(host(tmp_path) / "system.journal") as writer:
        for number, name in enumerate(["kubelet.service", "/system.slice/kubelet.service", "sshd.service"]):
            writer.write(number, f"Suppressed 7 messages from {name}", "systemd-journald.service", **dropped)
    reader = JournalReader(Place(tmp_path), UNITS, lambda message: b"ull" in message)
    reader.open(None, START)
    assert reader.read().suppressed == 14
    reader.close()


def test_newest_entry_of_a_unit_is_told(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(3))
    assert newest(Place(tmp_path), UNITS) == START + timedelta(seconds=2)
    assert newest(Place(tmp_path), ("crio.service",)) is None


def test_a_missing_place_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(JournalUnreadable, match="no such file or directory"):
        newest(Place(tmp_path / "absent", stored=True), UNITS)


def test_a_file_that_is_no_journal_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.journal").write_text("no journal")
    with pytest.raises(JournalUnreadable, match=r"x\.journal"):
        newest(Place(tmp_path / "x.journal", stored=True), UNITS)


@pytest.mark.parametrize("inside", ["", "x.journal"])
def test_a_stored_journal_is_read_from_directory_or_file(tmp_path: Path, inside: str) -> None:
    with JournalWriter(tmp_path / "x.journal") as writer:
        for number in range(3):
            writer.write(number, f'E1122 "Failed to pull image" image="{number}"')
        writer.write(9, 'E1122 "Failed to pull image" image="forged"', "sshd.service")
    lines = list(read_stored(tmp_path / inside, START + timedelta(seconds=1)))
    assert [line.text[-2] for line in lines] == ["1", "2"]


def test_a_stored_journal_without_known_units_is_read_whole(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "x.journal") as writer:
        writer.write(0, 'E1122 "Failed to pull image" image="1"', "my-kubelet.service")
    assert len(list(read_stored(tmp_path / "x.journal"))) == 1


def test_a_growing_journal_is_followed_over_rotation(tmp_path: Path) -> None:
    directory = host(tmp_path)
    reader, _ = reader_at(tmp_path)
    seen: list[str] = []

    def follow(count: int) -> bool:
        reader.process()
        seen.extend(texts(reader))
        return len(seen) >= count

    with JournalWriter(directory / "system.journal") as writer:
        writer.write(0, "line 0")
        wait_until(lambda: follow(1))
        writer.write(1, "line 1")
        wait_until(lambda: follow(2))
    (directory / "system.journal").rename(directory / "system@1.journal")
    with JournalWriter(directory / "system.journal") as writer:
        writer.write(2, "line 2")
        wait_until(lambda: follow(3))
        (directory / "system@1.journal").unlink()
        writer.write(3, "line 3")
        wait_until(lambda: follow(4))
    assert seen == ["line 0", "line 1", "line 2", "line 3"]
    assert "system@1.journal" not in open_files()
    reader.close()
