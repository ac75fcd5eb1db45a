from pathlib import Path

import pytest

from pullwhy.watch.cursor import FilePosition, JournalPosition, Positions, read_bounded, write_atomically


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / "state.json", b"one")
    write_atomically(tmp_path / "state.json", b"two")
    assert read_bounded(tmp_path / "state.json") == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    write_atomically(tmp_path / "state.json", b"one")
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_no_file_is_no_content(tmp_path: Path) -> None:
    assert read_bounded(tmp_path / "absent") is None


def test_a_failed_write_keeps_the_old_content_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "state.json"
    target.mkdir()  # a rename onto a directory fails, after the new content was written
    with pytest.raises(OSError, match="directory"):
        write_atomically(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_each_file_keeps_its_own_position() -> None:
    one, two = FilePosition(1, 2, 3, "a", 4), FilePosition(5, 6, 7, "b", 8)
    positions = Positions().with_file("x", one).with_file("y", one).with_file("x", two)
    positions = positions.with_journal(JournalPosition("c", 9))
    assert (positions.file("x"), positions.file("y"), positions.file("z")) == (two, one, None)
    assert positions.journal == JournalPosition("c", 9)
