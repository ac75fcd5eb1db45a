"""The collector's SQL: statements, the one that a query makes, and records as rows; pure text and parameters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pullwhy.collector.records import FindingRecord, NodeFacts, Query, Session, Speaker, StoredFinding

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Parameters = list[str | int]
Row = tuple[str | int | bytes, ...]

OPEN_SESSION: Final = """
INSERT INTO sessions (cluster, node, outbox_id, seen_us) VALUES (?, ?, ?, ?)
ON CONFLICT (cluster, node, outbox_id) DO UPDATE SET seen_us = excluded.seen_us
RETURNING number, acknowledged
"""
ACKNOWLEDGE: Final = "UPDATE sessions SET acknowledged = max(acknowledged, ?), seen_us = ? WHERE number = ?"
NOTE_NODE: Final = """
INSERT INTO nodes (cluster, node, first_us, last_us, agent_version, facts) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (cluster, node) DO UPDATE SET
    last_us = excluded.last_us, agent_version = excluded.agent_version, facts = excluded.facts
"""
NOTE_SEEN: Final = "UPDATE nodes SET last_us = ? WHERE cluster = ? AND node = ?"

_INSERT_FINDING: Final = """
INSERT INTO findings (
    cluster, node, id, session, sequence, image, repository, registry, cause, state, first_us, last_us, received_us, document
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (node, cluster, id) DO
"""
ADD_FINDING: Final = f"{_INSERT_FINDING} NOTHING"
# A later outbox of the node wins over an earlier one, then the higher sequence number; what was overtaken changes nothing.
UPDATE_FINDING: Final = f"""{_INSERT_FINDING} UPDATE SET
    session = excluded.session, sequence = excluded.sequence, image = excluded.image, repository = excluded.repository,
    registry = excluded.registry, cause = excluded.cause, state = excluded.state,
    first_us = min(first_us, excluded.first_us), last_us = excluded.last_us, received_us = excluded.received_us,
    document = excluded.document
WHERE (excluded.session, excluded.sequence) > (session, sequence)
RETURNING key
"""
CLEAR_PODS: Final = "DELETE FROM pods WHERE finding = ?"
ADD_POD: Final = "INSERT OR IGNORE INTO pods (namespace, name, finding) VALUES (?, ?, ?)"

FORGET_FINDINGS: Final = (
    "DELETE FROM findings WHERE key IN (SELECT key FROM findings WHERE received_us < ? ORDER BY received_us LIMIT ?)"
)
FORGET_NODES: Final = "DELETE FROM nodes WHERE last_us < ?"
# The newest session of a node stays while the node does: its agent may be connected and have had nothing to report for long.
FORGET_SESSIONS: Final = """
DELETE FROM sessions WHERE seen_us < ? AND (
    EXISTS (SELECT 1 FROM sessions AS later WHERE later.cluster = sessions.cluster AND later.node = sessions.node
            AND later.number > sessions.number)
    OR NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.cluster = sessions.cluster AND nodes.node = sessions.node)
)
"""
GIVE_BACK: Final = "PRAGMA incremental_vacuum(1000)"
"""Gives pages that deletions left free back to the filesystem, some at a time."""
SHRINK: Final = (
    "DELETE FROM findings WHERE key IN (SELECT key FROM findings WHERE state <> 'Active' ORDER BY received_us LIMIT ?)",
    "DELETE FROM findings WHERE key IN (SELECT key FROM findings ORDER BY received_us LIMIT ?)",
)

_FINDING_COLUMNS: Final = "cluster, document, first_us, last_us, key"
FINDING: Final = (
    f"SELECT {_FINDING_COLUMNS} FROM findings WHERE id = ? AND (? = '' OR cluster = ?) ORDER BY cluster LIMIT 20"  # noqa: S608 - constants
)
TRANSITIONS: Final = "SELECT at_us, state FROM transitions WHERE finding = ? ORDER BY at_us, rowid"
ACTIVE_BY_CAUSE: Final = "SELECT cause, count(*) FROM findings WHERE state = 'Active' GROUP BY cause"
NODES: Final = """
SELECT cluster, node, first_us, last_us, agent_version, facts, (
    SELECT count(*) FROM findings AS f WHERE f.node = nodes.node AND f.cluster = nodes.cluster AND f.state = 'Active'
) FROM nodes
WHERE (? = '' OR cluster = ?) AND (? = '' OR node = ?) AND (cluster, node) > (?, ?)
ORDER BY cluster, node LIMIT ?
"""


def findings(query: Query) -> tuple[str, Parameters]:
    """Return the statement that answers `query`, last seen first, and its parameters."""
    conditions, parameters = _conditions(query)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    text = f"SELECT {_FINDING_COLUMNS} FROM findings {where}ORDER BY last_us DESC, key DESC LIMIT ?"  # noqa: S608 - columns are constants
    return text, [*parameters, query.limit]


def _conditions(query: Query) -> tuple[list[str], Parameters]:
    equal = {
        "cluster": query.cluster,
        "node": query.node,
        "image": query.image,
        "repository": query.repository,
        "registry": query.registry,
        "cause": query.cause,
        "state": query.state,
    }
    conditions = [f"{column} = ?" for column, value in equal.items() if value]
    parameters: Parameters = [value for value in equal.values() if value]
    pod = {"namespace": query.namespace, "name": query.pod}
    if any(pod.values()):
        wanted = " AND ".join(f"{column} = ?" for column, value in pod.items() if value)
        conditions.append(f"key IN (SELECT finding FROM pods WHERE {wanted})")  # noqa: S608 - columns are constants
        parameters += [value for value in pod.values() if value]
    if query.id_prefix:
        conditions.append("substr(id, 1, ?) = ?")
        parameters += [len(query.id_prefix), query.id_prefix]
    if query.since:
        conditions.append("last_us >= ?")
        parameters.append(microseconds(query.since))
    if query.after:
        conditions.append("(last_us, key) < (?, ?)")
        parameters += query.after
    return conditions, parameters


def microseconds(when: datetime) -> int:
    """Return `when` as the database keeps it: microseconds since the epoch."""
    return (when - _EPOCH) // _MICROSECOND


def moment(us: int) -> datetime:
    """Return the time that the database keeps as `us`."""
    return _EPOCH + us * _MICROSECOND


def finding_row(session: Session, record: FindingRecord, now: int) -> Row:
    """Return the parameters of ADD_FINDING and UPDATE_FINDING."""
    return (
        session.speaker.cluster,
        session.speaker.node,
        record.id,
        session.number,
        record.sequence,
        record.image,
        record.repository,
        record.registry,
        record.cause,
        record.state,
        microseconds(record.first_seen),
        # By the agent's clock, but never in the future of ours: a clock that runs ahead must not head every list.
        min(microseconds(record.last_seen), now),
        now,
        record.document,
    )


def node_row(speaker: Speaker, facts: NodeFacts, now: int) -> Row:
    """Return the parameters of NOTE_NODE."""
    return speaker.cluster, speaker.node, now, now, speaker.agent_version, msgspec.json.encode(facts)


def stored_finding(row: tuple[str, bytes, int, int, int]) -> StoredFinding:
    """Return a row of FINDING or of `findings` as a record."""
    return StoredFinding(row[0], row[1], moment(row[2]), (row[3], row[4]))
