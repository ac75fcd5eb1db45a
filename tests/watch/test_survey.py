from pathlib import Path

import pytest

from pullwhy.watch.survey import JournalFiles, journal_files, looks_like_ours


@pytest.mark.parametrize(
    ("message", "ours"),
    [
        (b'E1122 08:10:35.850846   20212 pod_workers.go:1] "Error syncing pod"', True),
        (b"kubelet I1122 08:10:35.850846   20212 x.go:1] text", True),
        (b'time="2026-11-22T08:10:35Z" level=info msg=x', True),
        (b'{"ts":1.5,"msg":"x"}', True),
        (b'{"level":"info","msg":"x"}', True),
        (b'{"msg":"x"}', False),
        (b"I am a line", False),
        (b"E1122", False),
        (b"\x7fELF", False),
        (b"", False),
        (b"a" * 100_000, False),
    ],
)
def test_a_line_shows_what_wrote_it(message: bytes, *, ours: bool) -> None:
    assert looks_like_ours(message) is ours


def test_journal_files_are_counted_where_libsystemd_looks(tmp_path: Path) -> None:
    (tmp_path / "0123").mkdir()
    for name in ("a.journal", "b.journal~", "0123/c.journal", "0123/d.txt", "e.log"):
        (tmp_path / name).touch()
    assert journal_files(tmp_path) == JournalFiles(3, 0)
    assert journal_files(tmp_path, lambda path: path.name != "c.journal") == JournalFiles(3, 1)
    assert journal_files(tmp_path / "a.journal") == JournalFiles(1, 0)
    assert journal_files(tmp_path / "a.journal", lambda _: False) == JournalFiles(1, 1)


@pytest.mark.parametrize("denied", ["", "0123"])
def test_a_directory_that_may_not_be_listed_is_named(tmp_path: Path, denied: str) -> None:
    (tmp_path / "0123").mkdir()
    with pytest.raises(PermissionError, match="may not be listed"):
        journal_files(tmp_path, lambda path: path != tmp_path / denied)
