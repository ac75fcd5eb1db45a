"""The SQLite schema of the collector and its migrations: a file of an older version is brought up, a newer one is refused."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from typing import Any, Final

from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import FindingRecord, Session, Speaker, StoreError
from pullwhy.collector.store.findingsql import finding_row, moment
from pullwhy.collector.store.problemsql import Touched, note
from pullwhy.collector.store.transaction import FindingState, Transaction
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.diagnose.document.decoding import decode

logger = logging.getLogger(__name__)

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

_SECOND: Final = """
CREATE TABLE problems (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL, cause TEXT NOT NULL, via TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, changed_us INTEGER NOT NULL,
    revision INTEGER NOT NULL, active INTEGER NOT NULL,
    scope BLOB, scope_us INTEGER, silence BLOB, silence_until_us INTEGER, canary BLOB
) WITHOUT ROWID;
CREATE INDEX problems_active ON problems (active, last_us, id);
CREATE INDEX problems_last ON problems (last_us, id);
CREATE INDEX problems_silenced ON problems (silence_until_us) WHERE silence_until_us IS NOT NULL;
CREATE TABLE problem_facts (
    kind TEXT NOT NULL, value TEXT NOT NULL, problem TEXT NOT NULL,
    PRIMARY KEY (kind, value, problem)
) WITHOUT ROWID;
CREATE INDEX problem_facts_problem ON problem_facts (problem);
CREATE TABLE probes (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL, image TEXT NOT NULL, purpose TEXT NOT NULL,
    asked_us INTEGER NOT NULL, deadline_us INTEGER NOT NULL,
    asked_by TEXT NOT NULL, problem TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX probes_asked ON probes (asked_us);
CREATE INDEX probes_deadline ON probes (deadline_us);
CREATE TABLE walks (
    probe TEXT NOT NULL, node TEXT NOT NULL,
    state TEXT NOT NULL, at_us INTEGER NOT NULL, reason TEXT NOT NULL, document BLOB NOT NULL, walked_us INTEGER,
    PRIMARY KEY (probe, node)
);
CREATE TABLE buckets (
    cluster TEXT NOT NULL, registry TEXT NOT NULL, full_us INTEGER NOT NULL,
    PRIMARY KEY (cluster, registry)
) WITHOUT ROWID;
ALTER TABLE findings ADD COLUMN problem TEXT NOT NULL DEFAULT '';
ALTER TABLE findings ADD COLUMN pod_count INTEGER NOT NULL DEFAULT 0;
CREATE INDEX findings_problem ON findings (problem, last_us);
CREATE INDEX findings_problem_active ON findings (problem, node, pod_count) WHERE state = 'Active';
-- What SQLite's planner should take the data for: without figures it takes all findings that are Active for few, and looks at each.
-- Fixed, so that a plan that is quick today is the same tomorrow (sqlite.org/optoverview.html, "Manual Control Of Query Plans").
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('findings', 'sqlite_autoindex_findings_1', '1000000 70 70 1'),
    ('findings', 'findings_id', '1000000 2'),
    ('findings', 'findings_last', '1000000 1'),
    ('findings', 'findings_repository', '1000000 1000 1'),
    ('findings', 'findings_registry', '1000000 50000 1'),
    ('findings', 'findings_cause', '1000000 50000 1'),
    ('findings', 'findings_state', '1000000 250000 1 1'),
    ('findings', 'findings_received', '1000000 1'),
    ('findings', 'findings_problem', '1000000 500 1'),
    ('findings', 'findings_problem_active', '250000 150 2 1'),
    ('pods', 'pods', '1000000 10000 2 1'),
    ('pods', 'pods_name', '1000000 2 2 1'),
    ('pods', 'pods_finding', '1000000 1 1 1'),
    ('problems', 'problems', '10000 1'),
    ('problems', 'problems_active', '10000 5000 1 1'),
    ('problems', 'problems_last', '10000 1 1'),
    ('problem_facts', 'problem_facts', '40000 20000 5000 1'),
    ('problem_facts', 'problem_facts_problem', '40000 4 4 1'),
    ('walks', 'sqlite_autoindex_walks_1', '100000 10 1'),
    ('probes', 'probes', '10000 1'),
    ('probes', 'probes_asked', '10000 1'),
    ('probes', 'probes_deadline', '10000 1');
"""

_THIRD: Final = """
-- A moment tells when a finding came, not when it could be read: what was judged is told by the revision instead.
ALTER TABLE problems RENAME COLUMN changed_us TO changed_revision;
ALTER TABLE problems ADD COLUMN scope_revision INTEGER NOT NULL DEFAULT 0;
UPDATE problems SET changed_revision = revision;
-- Which of a node's streams, counted over all collectors, is its newest.
ALTER TABLE nodes ADD COLUMN stream INTEGER NOT NULL DEFAULT 0;
-- Nodes are looked up by name whatever their cluster, and told with what fails on them now.
CREATE INDEX nodes_node ON nodes (node);
CREATE INDEX findings_active ON findings (node, cluster) WHERE state = 'Active';
"""


def _find_problems(connection: sqlite3.Connection) -> None:
    """Say of which problem each stored finding is; one that cannot be read is of none until its agent reports it again."""
    key = 0
    while rows := connection.execute(
        "SELECT key, document, image, repository, registry, cause, state, first_us, last_us, received_us FROM findings "
        "WHERE key > ? ORDER BY key LIMIT 1000",
        (key,),
    ).fetchall():
        key, touched = rows[-1][0], Touched()
        for row in rows:
            with contextlib.suppress(InvalidDocument):
                state = _state(row)
                stored = finding_row(state)
                connection.execute(
                    "UPDATE findings SET problem = ?, pod_count = ? WHERE key = ?", (*stored[-2:], row[0])
                )
                touched.add(state, stored, changed=True)
        note(Transaction(connection), touched, max(row[-1] for row in rows))


def _state(row: tuple[Any, ...]) -> FindingState:
    document, image, repository, registry, cause, state, first_us, last_us, received_us = row[1:]
    finding = decode(document)
    record = FindingRecord(
        sequence=0,
        id=finding.id,
        image=image,
        repository=repository,
        registry=registry,
        cause=cause,
        state=state,
        first_seen=moment(first_us),
        last_seen=moment(last_us),
        pods=tuple({(pod.namespace, pod.name) for pod in finding.pods}),
        document=document,
        problem=problem_key(finding),
    )
    return FindingState(Session(0, Speaker(finding.cluster, finding.node, ""), 0), record, received_us)


MIGRATIONS: Final[tuple[tuple[str, Callable[[sqlite3.Connection], None] | None], ...]] = (
    (_FIRST, None),
    (_SECOND, None),
    (_THIRD, _find_problems),
)
"""The script, and then the step, at index n bring a file from version n to n + 1 (`PRAGMA user_version`)."""


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
    for number, (script, step) in enumerate(MIGRATIONS[version:], version + 1):
        if version:
            logger.info("%s: bringing its schema from version %d to %d", path, number - 1, number)
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}")
            if step:
                step(connection)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
