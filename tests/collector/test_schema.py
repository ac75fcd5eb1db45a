"""A database is brought to the newest schema, or refused with the reason; another program's is never written to."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullwhy.collector.records import StoreError
from pullwhy.collector.store.sqliteschema import APPLICATION_ID, MIGRATIONS, prepare


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def dump(connection: sqlite3.Connection) -> list[str]:
    return list(connection.iterdump())


def test_an_empty_file_gets_the_newest_schema_and_our_mark(tmp_path: Path) -> None:
    with database(tmp_path / "c.db") as connection:
        prepare(connection, "c.db")
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    with database(tmp_path / "c.db") as connection:
        prepare(connection, "c.db")
        connection.execute("INSERT INTO sessions (cluster, node, outbox_id, seen_us) VALUES ('', 'n', 'b', 1)")
        before = dump(connection)
        prepare(connection, "c.db")
        assert dump(connection) == before


@pytest.mark.parametrize("version", [len(MIGRATIONS) + 1, 2**31 - 1])
def test_a_newer_schema_is_refused_with_the_mend_and_left_alone(tmp_path: Path, version: int) -> None:
    with database(tmp_path / "c.db") as connection:
        prepare(connection, "c.db")
        connection.execute(f"PRAGMA user_version = {version}")
        before = dump(connection)
        with pytest.raises(StoreError, match=rf"c\.db: its schema has version {version}, .* a newer collector"):
            prepare(connection, "c.db")
        assert dump(connection) == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with database(tmp_path / "c.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
        with pytest.raises(StoreError, match="another program's database"):
            prepare(connection, "c.db")
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["theirs"]
