"""The SQLite schema of the collector and its migrations: a file of an older version is brought up, a newer one is refused."""

from __future__ import annotations

import sqlite3
from typing import Final

from pullwhy.collector.records import StoreError

APPLICATION_ID: Final = 0x70756C6C
"""Marks the file as ours (`pull`), so that another program's database is never written to."""

_FIRST: Final = """
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster TEXT NOT NULL, node TEXT NOT NULL, outbox_id TEXT NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    seen_us INTEGER NOT NULL,
    UNIQUE (cluster, node, outbox_id)
);
CREATE TABLE nodes (
    cluster TEXT NOT NULL, node TEXT NOT NULL,
    first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
    agent_version TEXT NOT NULL, facts BLOB NOT NULL,
    PRIMARY KEY (cluster, node)
) WITHOUT ROWID;
CREATE TABLE findings (
    key INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL, node TEXT NOT NULL, id TEXT NOT NULL,
    session INTEGER NOT NULL, sequence INTEGER NOT NULL,
    image TEXT NOT NULL, repository TEXT NOT NULL, registry TEXT NOT NULL,
    cause TEXT NOT NULL, state TEXT NOT NULL,
    first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, received_us INTEGER NOT NULL,
    document BLOB NOT NULL,
    UNIQUE (node, cluster, id)
);
CREATE INDEX findings_id ON findings (id);
CREATE INDEX findings_last ON findings (last_us);
CREATE INDEX findings_repository ON findings (repository, last_us);
CREATE INDEX findings_registry ON findings (registry, last_us);
CREATE INDEX findings_cause ON findings (cause, last_us);
CREATE INDEX findings_state ON findings (state, last_us, cause);
CREATE INDEX findings_received ON findings (received_us);
CREATE TABLE pods (
    namespace TEXT NOT NULL, name TEXT NOT NULL,
    finding INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, finding)
) WITHOUT ROWID;
CREATE INDEX pods_name ON pods (name);
CREATE INDEX pods_finding ON pods (finding);
CREATE TABLE transitions (
    finding INTEGER NOT NULL,
    at_us INTEGER NOT NULL, state TEXT NOT NULL
);
CREATE INDEX transitions_finding ON transitions (finding, at_us);
CREATE TRIGGER finding_began AFTER INSERT ON findings BEGIN
    INSERT INTO transitions VALUES (new.key, new.received_us, new.state);
END;
CREATE TRIGGER finding_forgotten AFTER DELETE ON findings BEGIN
    DELETE FROM pods WHERE finding = old.key;
    DELETE FROM transitions WHERE finding = old.key;
END;
CREATE TRIGGER finding_changed AFTER UPDATE OF state ON findings WHEN old.state <> new.state BEGIN
    INSERT INTO transitions VALUES (new.key, new.received_us, new.state);
    -- A finding that flaps must not fill the disk.
    DELETE FROM transitions WHERE rowid IN (
        SELECT rowid FROM transitions WHERE finding = new.key ORDER BY at_us DESC, rowid DESC LIMIT -1 OFFSET 20
    );
END;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST,)
"""The script at index n brings a file from version n to n + 1 (`PRAGMA user_version`)."""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to the newest schema; raises StoreError where it is newer than this program or not ours."""
    version = _pragma(connection, "user_version")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path}: its schema has version {version}, this collector knows versions up to {len(MIGRATIONS)}: a newer collector "
            "wrote it; run that one, or name another file in `database`"
        )
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path}: this is another program's database: name another file in `database`")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
