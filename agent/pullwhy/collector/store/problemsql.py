"""Problems in SQL that every database here understands: what findings make of them, and the questions about them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from pullwhy.collector.fleet import Canary, Change, ProblemQuery, Silence, StoredProblem
from pullwhy.collector.problem import ProblemKey, SubjectKind
from pullwhy.collector.store.findingsql import Parameters, Row, microseconds, moment, scope_of, with_pod
from pullwhy.collector.store.transaction import Connection, FindingState, Transaction
from pullwhy.model import CauseId

NOTE_PROBLEM: Final = """
INSERT INTO problems (id, cluster, cause, via, kind, subject, first_us, last_us, changed_revision, revision, active)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 1, 1)
ON CONFLICT (id) DO UPDATE SET
    first_us = CASE WHEN excluded.first_us < problems.first_us THEN excluded.first_us ELSE problems.first_us END,
    last_us = CASE WHEN excluded.last_us > problems.last_us THEN excluded.last_us ELSE problems.last_us END,
    changed_revision = CASE WHEN ? THEN problems.revision + 1 ELSE problems.changed_revision END,
    revision = problems.revision + 1
"""
_NOTE_LEFT: Final = "UPDATE problems SET changed_revision = revision + 1, revision = revision + 1 WHERE id = ?"
_REFRESH_ACTIVE: Final = """
UPDATE problems SET active = CASE
    WHEN EXISTS (SELECT 1 FROM findings WHERE problem = problems.id AND state = 'Active') THEN 1 ELSE 0 END
WHERE id = ?
"""
_NOTE_FACT: Final = "INSERT INTO problem_facts (kind, value, problem) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_UNWANTED: Final = (
    "NOT EXISTS (SELECT 1 FROM findings WHERE problem = problems.id) AND coalesce(silence_until_us, 0) <= ?"
)
_FORGET_EMPTY: Final = f"DELETE FROM problems WHERE id = ? AND {_UNWANTED}"  # noqa: S608 - constants
_FORGET_SILENCED: Final = f"DELETE FROM problems WHERE silence_until_us <= ? AND {_UNWANTED}"  # noqa: S608 - constants
_FORGET_FACTS: Final = (
    "DELETE FROM problem_facts WHERE problem = ? AND NOT EXISTS (SELECT 1 FROM problems WHERE id = ?)"
)
_AFTER: Final = "SELECT id FROM problems WHERE id > ? ORDER BY id LIMIT ?"
# Takes the problem's row, as who stores findings of it does before noting their facts: none of theirs goes by mistake.
_LOCK: Final = "UPDATE problems SET revision = revision WHERE id = ?"
_HAS: Final = {
    "namespace": "SELECT pods.namespace FROM findings AS f JOIN pods ON pods.finding = f.key WHERE f.problem = ?",
    **{column: f"SELECT {column} FROM findings WHERE problem = ?" for column in ("image", "repository", "registry")},  # noqa: S608 - constants
}
_FORGET_LEFT: Final = tuple(
    f"DELETE FROM problem_facts WHERE problem = ? AND kind = '{kind}' AND value NOT IN ({has})"  # noqa: S608 - constants
    for kind, has in _HAS.items()
)

# A revision that the problem has not reached is of one of the same id that was forgotten meanwhile: judge again.
SET_SCOPE: Final = """
UPDATE problems SET scope = ?, scope_us = ?, scope_revision = CASE WHEN ? > revision THEN 0 ELSE ? END WHERE id = ?
"""
SET_CANARY: Final = "UPDATE problems SET canary = ? WHERE id = ?"
SET_SILENCE: Final = "UPDATE problems SET silence = ?, silence_until_us = ? WHERE id = ?"
_FAILING: Final = (
    "SELECT DISTINCT f.node FROM findings AS f WHERE f.problem = ? AND f.state = 'Active' {}ORDER BY f.node LIMIT 20000"
)
NAMESPACES: Final = (
    "SELECT value FROM problem_facts WHERE problem = ? AND kind = 'namespace' ORDER BY value LIMIT 20000"
)
FAILURES: Final = """
SELECT node, image, first_us, last_us FROM findings WHERE problem = ? AND state = 'Active' AND last_us >= ?
ORDER BY last_us DESC, key LIMIT ?
"""
FAILING_IMAGES: Final = "SELECT DISTINCT image FROM findings WHERE problem = ? AND state = 'Active' LIMIT ?"

_SELECT: Final = """
SELECT p.cluster, p.cause, p.via, p.kind, p.subject, p.id, p.revision, p.first_us, p.last_us, p.scope, p.scope_us, p.silence,
    p.silence_until_us, p.canary,
    (SELECT f.document FROM findings AS f WHERE f.problem = p.id ORDER BY f.last_us DESC, f.key DESC LIMIT 1)
FROM {} AS p
"""
_LAST_FIRST: Final = "ORDER BY p.last_us DESC, p.id DESC"
PROBLEM: Final = f"{_SELECT.format('problems')} WHERE p.id = ? AND (? = '' OR p.cluster = ?)"
_JUDGED_FIRST: Final = "ORDER BY coalesce(p.scope_us, 0), p.id"
_UNSCOPED: Final = f"""(
    SELECT * FROM problems AS p WHERE p.active = 1 AND (p.scope_us IS NULL OR p.changed_revision > p.scope_revision OR p.scope_us < ?)
    AND (coalesce(p.scope_us, 0), p.id) > (?, ?) {_JUDGED_FIRST} LIMIT ?
)"""  # noqa: S608 - constants
UNSCOPED: Final = _SELECT.format(_UNSCOPED) + _JUDGED_FIRST
_NEVER_JUDGED: Final = """(
    SELECT * FROM problems AS p WHERE p.active = 1 AND p.scope_us IS NULL ORDER BY p.first_us DESC, p.id LIMIT ?
)"""
NEVER_JUDGED: Final = f"{_SELECT.format(_NEVER_JUDGED)} ORDER BY p.first_us DESC, p.id"
_COUNTS: Final = """
SELECT problem, sum(of_node), count(*), sum(pods), max(of_node) FROM (
    SELECT problem, node, count(*) AS of_node, sum(pod_count) AS pods FROM findings
    WHERE problem IN ({}) AND state = 'Active' GROUP BY problem, node
) AS by_node GROUP BY problem
"""
COUNT_PODS: Final = """
SELECT count(*) FROM (
    SELECT DISTINCT f.node, pods.namespace, pods.name FROM findings AS f JOIN pods ON pods.finding = f.key
    WHERE f.problem = ? AND f.state = 'Active'
) AS distinct_pods
"""
"""For problems of which a node has several findings: a pod may be in more than one of them."""
MOST_PODS_COUNTED: Final = 1000
"""Findings of a problem up to which its pods are told apart; beyond, a pod counts once for each of its images that fails."""

_FACTS: Final = ("namespace", "image", "repository", "registry")


@dataclass(slots=True)
class Touch:
    """What a group's findings say about one problem."""

    key: ProblemKey
    first_us: int
    last_us: int
    changed: bool = False
    """Whether a finding came to it, left it, or took another state."""
    namespaces: set[str] = field(default_factory=set)
    images: set[tuple[str, str, str]] = field(default_factory=set)
    """Image, repository and registry."""

    def facts(self) -> list[tuple[str, str]]:
        """Return what problems with such findings are looked for by, in the order of all collectors."""
        told = {("namespace", namespace) for namespace in self.namespaces}
        for image in self.images:
            told.update(zip(_FACTS[1:], image, strict=True))
        return sorted(told)


@dataclass(slots=True)
class Touched:
    """What a group's findings say about problems; filled by the databases, each in its own way of storing."""

    problems: dict[str, Touch] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    """Problems that a finding was of before."""

    def add(self, state: FindingState, row: Row, *, changed: bool) -> None:
        """Note a finding's state that was stored as `row` (findingsql.finding_row)."""
        record, (first_us, last_us), problem_id = state.record, row[10:12], row[14]
        touch = self.problems.get(problem_id)
        if touch is None:
            touch = self.problems[problem_id] = Touch(record.problem, first_us, last_us)
        touch.first_us, touch.last_us = min(touch.first_us, first_us), max(touch.last_us, last_us)
        touch.changed |= changed
        touch.images.add((record.image, record.repository, record.registry))
        for namespace, _ in record.pods:
            touch.namespaces.add(namespace)


def note(transaction: Transaction, touched: Touched, now: int) -> None:
    """Bring the problems of stored findings up to date: one row each, however many findings there are."""
    connection, problems = transaction.connection, sorted(touched.problems.items())
    rows = [_row(problem_id, touch) for problem_id, touch in problems]
    connection.executemany(NOTE_PROBLEM, rows)
    connection.executemany(_REFRESH_ACTIVE, [(problem_id,) for problem_id, touch in problems if touch.changed])
    facts = [(kind, value, problem_id) for problem_id, touch in problems for kind, value in touch.facts()]
    connection.executemany(_NOTE_FACT, facts)
    findings_left(transaction, touched.left, now)
    if problems:
        transaction.change |= Change.FINDINGS | Change.PROBLEMS


def findings_left(transaction: Transaction, problems: Iterable[str], now: int) -> None:
    """Bring problems up to date that findings were of before; one without any is forgotten, unless it is silenced."""
    connection = transaction.connection
    for problem_id in sorted(problems):
        connection.execute(_NOTE_LEFT, (problem_id,))
        connection.execute(_REFRESH_ACTIVE, (problem_id,))
        if connection.execute(_FORGET_EMPTY, (problem_id, now)).rowcount:
            connection.execute(_FORGET_FACTS, (problem_id, problem_id))
        transaction.change |= Change.FINDINGS | Change.PROBLEMS


def forget_silenced(connection: Connection, now: int) -> None:
    """Forget problems without findings whose silence is over."""
    for (problem_id,) in connection.execute(f"{_FORGET_SILENCED} RETURNING id", (now, now)).fetchall():
        connection.execute(_FORGET_FACTS, (problem_id, problem_id))


def forget_facts(connection: Connection, after: str, limit: int) -> str:
    """Forget facts that no finding of their problem has any more, of some problems; return the last one's id, "" at the end."""
    ids = [problem_id for (problem_id,) in connection.execute(_AFTER, (after, limit)).fetchall()]
    for problem_id in ids:
        connection.execute(_LOCK, (problem_id,))
        for statement in _FORGET_LEFT:
            connection.execute(statement, (problem_id, problem_id))
    return ids[-1] if len(ids) == limit else ""


def failing(problem_id: str, namespaces: Collection[str]) -> tuple[str, Parameters]:
    """Return the statement for the nodes of a problem, where a pod of these namespaces waits or any, and its parameters."""
    where = f"AND {with_pod(namespaces)} " if namespaces else ""
    return _FAILING.format(where), [problem_id, *namespaces]


def problems(query: ProblemQuery, now: int) -> tuple[str, Parameters]:
    """Return the statement that answers `query`, last seen first, and its parameters."""
    conditions, parameters = _conditions(query, now)
    for condition, values in _finding_conditions(query):
        conditions.append(condition)
        parameters += values
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    # Of the page alone, not of all that it is chosen from, an example is looked up.
    page = f"(SELECT * FROM problems AS p {where}{_LAST_FIRST} LIMIT ?)"  # noqa: S608 - columns are constants
    return f"{_SELECT.format(page)}{_LAST_FIRST}", [*parameters, query.limit]


def _conditions(query: ProblemQuery, now: int) -> tuple[list[str], Parameters]:
    conditions: list[str] = []
    parameters: Parameters = []

    def add(condition: str, *values: str | int) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if query.cluster:
        add("p.cluster = ?", query.cluster)
    if query.cause:
        add("p.cause = ?", query.cause)
    if query.id_prefix:
        add("p.id >= ? AND p.id < ?", query.id_prefix, f"{query.id_prefix}g")  # ids are hexadecimal
    if query.active is not None:
        add("p.active = ?", int(query.active))
    if query.silenced is not None:
        add(f"coalesce(p.silence_until_us, 0) {'>' if query.silenced else '<='} ?", now)
    if query.since:
        add("p.last_us >= ?", microseconds(query.since))
    if query.after:
        add("(p.last_us, p.id) < (?, ?)", *query.after)
    return conditions, parameters


def _finding_conditions(query: ProblemQuery) -> Iterable[tuple[str, Parameters]]:
    """Yield what asks for problems with a finding that has all that is wanted, and is Active where active problems are asked for."""
    wanted = {name: value for name in (*_FACTS, "node") if (value := getattr(query, name))}
    if not wanted:
        return
    facts = [(name, wanted[name]) for name in _FACTS if name in wanted]
    namespace = wanted.pop("namespace", "")
    conditions = [f"f.{column} = ?" for column in wanted]
    parameters: Parameters = list(wanted.values())
    if query.active:
        conditions.append("f.state = 'Active'")
    if namespace:
        conditions.append("EXISTS (SELECT 1 FROM pods WHERE pods.finding = f.key AND pods.namespace = ?)")
        parameters.append(namespace)
    where = " AND ".join(conditions)
    if query.node or query.repository:  # which have few
        yield f"p.id IN (SELECT f.problem FROM findings AS f WHERE {where})", parameters  # noqa: S608 - columns are constants
        return
    # What a problem ever had narrows the choice; only few are then looked at finding by finding, the last ones first. CASE keeps
    # both databases from doing that the other way round.
    had = " AND ".join(["p.id IN (SELECT problem FROM problem_facts WHERE kind = ? AND value = ?)"] * len(facts))
    has = f"EXISTS (SELECT 1 FROM findings AS f WHERE f.problem = p.id AND {where})"  # noqa: S608 - columns are constants
    yield f"CASE WHEN {had} THEN {has} ELSE FALSE END", [*itertools.chain(*facts), *parameters]


def counts(ids: Sequence[str]) -> tuple[str, Parameters]:
    """Return the statement that counts what is Active of each problem: id, findings, nodes, pods, most findings of one node."""
    return _COUNTS.format(", ".join("?" * len(ids))), list(ids)


@dataclass(frozen=True, slots=True)
class Counts:
    """What is Active of a problem."""

    findings: int = 0
    nodes: int = 0
    pods: int = 0


def stored_problem(row: Sequence[Any], counted: Counts, now: int) -> StoredProblem:
    """Return a row as a record."""
    return StoredProblem(
        key=ProblemKey(row[0], CauseId(row[1]), row[2], SubjectKind(row[3]), row[4]),
        first_seen=moment(row[7]),
        last_seen=moment(row[8]),
        active=counted.findings,
        nodes=counted.nodes,
        pods=counted.pods,
        scope=scope_of(row[9]),
        scope_at=_moment(row[10]),
        silence=_SILENCE.decode(row[11]) if row[11] and row[12] > now else None,
        canary=_CANARY.decode(row[13]) if row[13] else None,
        example=row[14] or b"",
        revision=row[6],
        position=(row[8], row[5]),
    )


def revision(row: Sequence[Any]) -> tuple[str, int]:
    """Return a row's id and the number that grows with every change of its findings."""
    return row[5], row[6]


def _moment(us: int | None) -> datetime | None:
    return None if us is None else moment(us)


def _row(problem_id: str, touch: Touch) -> tuple[Any, ...]:
    key = touch.key
    return (
        problem_id, key.cluster, key.cause, key.via, key.kind, key.subject, touch.first_us, touch.last_us, touch.changed,
    )  # fmt: skip


_SILENCE: Final = msgspec.json.Decoder(Silence)
_CANARY: Final = msgspec.json.Decoder(Canary)
