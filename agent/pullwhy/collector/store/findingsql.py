"""Findings, nodes and sessions in SQL that every database here understands: statements and rows; pure text and parameters."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from pullwhy.collector.records import NodeFacts, Query, Speaker, StoredFinding, StoredNode
from pullwhy.collector.store.transaction import FindingState
from pullwhy.model import Scope, State

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Parameters = list[str | int]
Row = tuple[Any, ...]

OPEN_SESSION: Final = """
INSERT INTO sessions (cluster, node, outbox_id, seen_us) VALUES (?, ?, ?, ?)
ON CONFLICT (cluster, node, outbox_id) DO UPDATE SET seen_us = excluded.seen_us
RETURNING number, acknowledged
"""
ACKNOWLEDGE: Final = """
UPDATE sessions SET acknowledged = CASE WHEN acknowledged < ? THEN ? ELSE acknowledged END, seen_us = ? WHERE number = ?
"""
NOTE_NODE: Final = """
INSERT INTO nodes (cluster, node, first_us, last_us, agent_version, facts) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (cluster, node) DO UPDATE SET
    last_us = excluded.last_us, agent_version = excluded.agent_version, facts = excluded.facts
"""
FACTS: Final = "SELECT facts FROM nodes WHERE cluster = ? AND node = ?"
SET_FACTS: Final = "UPDATE nodes SET facts = ? WHERE cluster = ? AND node = ?"
NOTE_STREAM: Final = "UPDATE nodes SET stream = stream + 1 WHERE cluster = ? AND node = ? RETURNING stream"
NOTE_SEEN: Final = "UPDATE nodes SET last_us = ? WHERE cluster = ? AND node = ?"

FINDING_COLUMNS: Final = (
    "cluster, node, id, session, sequence, image, repository, registry, cause, state, first_us, last_us, received_us, "
    "document, problem, pod_count"
)
"""In the order of `finding_row`."""

DOCUMENT: Final = "SELECT key, document FROM findings WHERE cluster = ? AND node = ? AND id = ?"
SET_DOCUMENT: Final = "UPDATE findings SET document = ?, pod_count = ? WHERE key = ?"
LEAVE_OUT: Final = "DELETE FROM pods WHERE finding = ? AND namespace = ? AND name = ?"
FORGET_FINDINGS: Final = """
DELETE FROM findings WHERE key IN (SELECT key FROM findings WHERE received_us < ? ORDER BY received_us LIMIT ?) RETURNING problem
"""
FORGET_NODES: Final = "DELETE FROM nodes WHERE last_us < ?"
# The newest session of a node stays while the node does: its agent may be connected and have had nothing to report for long.
FORGET_SESSIONS: Final = """
DELETE FROM sessions WHERE seen_us < ? AND (
    EXISTS (SELECT 1 FROM sessions AS later WHERE later.cluster = sessions.cluster AND later.node = sessions.node
            AND later.number > sessions.number)
    OR NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.cluster = sessions.cluster AND nodes.node = sessions.node)
)
"""
SHRINK: Final = tuple(
    f"DELETE FROM findings WHERE key IN (SELECT key FROM findings {where}ORDER BY received_us LIMIT ?) RETURNING problem"  # noqa: S608 - constants
    for where in ("WHERE state <> 'Active' ", "")
)

_SELECT_FINDING: Final = """
SELECT f.cluster, f.document, f.first_us, f.last_us, f.key, f.problem, p.scope
FROM findings AS f LEFT JOIN problems AS p ON p.id = f.problem
"""
_LAST_FIRST: Final = "ORDER BY f.last_us DESC, f.key DESC"
FINDING: Final = f"{_SELECT_FINDING} WHERE f.id = ? AND (? = '' OR f.cluster = ?) ORDER BY f.cluster LIMIT 20"
TRANSITIONS: Final = "SELECT at_us, state FROM transitions WHERE finding = ? ORDER BY at_us, rowid"
ACTIVE_BY_CAUSE: Final = """
SELECT p.cause, sum(of_problem) FROM (
    SELECT problem, count(*) AS of_problem FROM findings WHERE state = 'Active' GROUP BY problem
) AS counted JOIN problems AS p ON p.id = counted.problem GROUP BY p.cause
"""
_SELECT_NODES: Final = """
SELECT cluster, node, first_us, last_us, agent_version, facts, (
    SELECT count(*) FROM findings AS f WHERE f.node = nodes.node AND f.cluster = nodes.cluster AND f.state = 'Active'
) FROM nodes {} ORDER BY cluster, node LIMIT ?
"""


def nodes(cluster: str, node: str, limit: int, after: tuple[str, str] | None) -> tuple[str, Parameters]:
    """Return the statement that answers with nodes in the order of cluster and name, and its parameters."""
    wanted = {"cluster": cluster, "node": node}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value]
    parameters: Parameters = [value for value in wanted.values() if value]
    if after:
        conditions.append("(cluster, node) > (?, ?)")
        parameters += after
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return _SELECT_NODES.format(where), [*parameters, limit]


def of_nodes(cluster: str, names: Sequence[str]) -> tuple[str, Parameters]:
    """Return the statement that answers with these nodes, and its parameters."""
    where = f"WHERE cluster = ? AND node IN ({', '.join('?' * len(names))})"
    return _SELECT_NODES.format(where), [cluster, *names, len(names)]


def findings(query: Query) -> tuple[str, Parameters]:
    """Return the statement that answers `query`, last seen first, and its parameters."""
    conditions, parameters = _conditions(query)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    # Documents are read of the page alone, not of all that it is chosen from.
    page = f"SELECT f.key FROM findings AS f {where}{_LAST_FIRST} LIMIT ?"  # noqa: S608 - columns are constants
    return f"{_SELECT_FINDING} WHERE f.key IN ({page}) {_LAST_FIRST}", [*parameters, query.limit]


# A namespace has many findings that are over: those of its active problems are few, and found in an index. CROSS JOIN: see registries.
_ACTIVE_IN_NAMESPACE: Final = """f.key IN (
    SELECT a.key FROM problem_facts AS r CROSS JOIN findings AS a
    WHERE r.kind = 'namespace' AND r.value = ? AND a.problem = r.problem AND a.state = 'Active'
        AND EXISTS (SELECT 1 FROM pods WHERE pods.finding = a.key AND pods.namespace = ?)
)"""


def _conditions(query: Query) -> tuple[list[str], Parameters]:
    equal = {
        "cluster": query.cluster,
        "node": query.node,
        "image": query.image,
        "repository": query.repository,
        "registry": query.registry,
        "cause": query.cause,
        "state": query.state,
        "problem": query.problem,
    }
    conditions = [f"f.{column} = ?" for column, value in equal.items() if value]
    parameters: Parameters = [value for value in equal.values() if value]
    pod = {"namespace": query.namespace, "name": query.pod}
    if query.namespace and query.state == State.ACTIVE and not query.pod:
        conditions.append(_ACTIVE_IN_NAMESPACE)
        parameters += [query.namespace, query.namespace]
    elif any(pod.values()):
        wanted = " AND ".join(f"{column} = ?" for column, value in pod.items() if value)
        conditions.append(f"f.key IN (SELECT finding FROM pods WHERE {wanted})")  # noqa: S608 - columns are constants
        parameters += [value for value in pod.values() if value]
    if query.namespaces:
        conditions.append(with_pod(query.namespaces))
        parameters += query.namespaces
    if query.id_prefix:
        # By the index of ids, however the rest is asked for: ids are hexadecimal, so that g comes after each that begins so.
        conditions.append("f.key IN (SELECT key FROM findings WHERE id >= ? AND id < ?)")
        parameters += [query.id_prefix, f"{query.id_prefix}g"]
    if query.since:
        conditions.append("f.last_us >= ?")
        parameters.append(microseconds(query.since))
    if query.after:
        conditions.append("(f.last_us, f.key) < (?, ?)")
        parameters += query.after
    return conditions, parameters


def with_pod(namespaces: Collection[str]) -> str:
    """Return the condition that a pod in one of so many namespaces waits for the finding `f`."""
    wanted = ", ".join("?" * len(namespaces))
    return f"EXISTS (SELECT 1 FROM pods WHERE pods.finding = f.key AND pods.namespace IN ({wanted}))"  # noqa: S608 - marks


def without_pod(document: bytes, pod: tuple[str, str]) -> tuple[bytes, int]:
    """Return a finding's document without a pod (namespace, name), and how many others it has."""
    told = msgspec.json.decode(document)
    told["pods"] = [each for each in told["pods"] if (each["namespace"], each["name"]) != pod]
    return msgspec.json.encode(told), len({(each["namespace"], each["name"]) for each in told["pods"]})


def microseconds(when: datetime) -> int:
    """Return `when` as the database keeps it: microseconds since the epoch."""
    return (when - _EPOCH) // _MICROSECOND


def moment(us: int) -> datetime:
    """Return the time that the database keeps as `us`."""
    return _EPOCH + us * _MICROSECOND


def finding_row(state: FindingState) -> Row:
    """Return the values of FINDING_COLUMNS."""
    session, record, now = state.session, state.record, state.received_us
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
        record.problem.id,
        len(record.pods),
    )


def node_row(speaker: Speaker, facts: NodeFacts, now: int) -> Row:
    """Return the parameters of NOTE_NODE."""
    return speaker.cluster, speaker.node, now, now, speaker.agent_version, encode_facts(facts)


def stored_finding(row: tuple[str, bytes, int, int, int, str, bytes | None]) -> StoredFinding:
    """Return a row of FINDING or of `findings` as a record."""
    return StoredFinding(row[0], row[1], moment(row[2]), (row[3], row[4]), row[5], scope_of(row[6]))


def stored_node(row: tuple[str, str, int, int, str, bytes, int]) -> StoredNode:
    """Return a row of NODES as a record."""
    return StoredNode(row[0], row[1], moment(row[2]), moment(row[3]), row[4], row[6], facts_of(row[5]))


encode_facts: Final = msgspec.json.Encoder().encode
facts_of: Final = msgspec.json.Decoder(NodeFacts).decode
"""A node's facts as they are stored."""


@functools.lru_cache(maxsize=256)  # a page's findings are of few problems
def scope_of(encoded: bytes | None) -> Scope:
    """Return a problem's scope as it is stored."""
    return _SCOPE.decode(encoded) if encoded else Scope()


_SCOPE: Final = msgspec.json.Decoder(Scope)
