"""Many states of findings into PostgreSQL at once: a statement for each table, with a column's values as one array.

Measured against COPY into a temporary table (cheaper for the collector from 1,000 rows on, twice the server's CPU for few) and
against pipelined single statements (twice the collector's CPU): arrays cost little at every size, and make one round trip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pullwhy.collector.store import findingsql
from pullwhy.collector.store.problemsql import Touched
from pullwhy.collector.store.transaction import Connection, FindingState

_TYPES: Final = (*("text",) * 3, *("bigint",) * 2, *("text",) * 5, *("bigint",) * 3, "bytea", "text", "integer")
"""Of `findingsql.FINDING_COLUMNS`."""
_COLUMNS: Final = findingsql.FINDING_COLUMNS.split(", ")
_KEY: Final = ("cluster", "node", "id")


def _arrays(types: Sequence[str]) -> str:
    return ", ".join(f"%b::{each}[]" for each in types)


_KEPT: Final = ", ".join(f"{each} = excluded.{each}" for each in _COLUMNS if each not in (*_KEY, "first_us"))
# A later outbox of the node wins over an earlier one, then the higher sequence number; what was overtaken changes nothing.
# The order in which rows are locked is that of every collector.
_PUT: Final = f"""
INSERT INTO findings ({findingsql.FINDING_COLUMNS})
SELECT * FROM unnest({_arrays(_TYPES)}) AS given ({findingsql.FINDING_COLUMNS}) ORDER BY node, cluster, id
ON CONFLICT (node, cluster, id) DO UPDATE SET
    first_us = least(findings.first_us, excluded.first_us), state_before = findings.state, problem_before = findings.problem,
    {_KEPT}
WHERE (excluded.session, excluded.sequence) > (findings.session, findings.sequence)
RETURNING key, cluster, node, id, state_before, problem_before
"""  # noqa: S608 - constants
_CLEAR_PODS: Final = "DELETE FROM pods WHERE finding = ANY (%b::bigint[])"
_ADD_PODS: Final = f"""
INSERT INTO pods (namespace, name, finding) SELECT * FROM unnest({_arrays(("text", "text", "bigint"))}) ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants
_ADD_TRANSITIONS: Final = f"""
INSERT INTO transitions (finding, at_us, state) SELECT * FROM unnest({_arrays(("bigint", "bigint", "text"))})
"""  # noqa: S608 - constants
# A finding that flaps must not fill the disk.
_BOUND_TRANSITIONS: Final = """
DELETE FROM transitions WHERE rowid IN (
    SELECT rowid FROM (
        SELECT rowid, row_number() OVER (PARTITION BY finding ORDER BY at_us DESC, rowid DESC) AS place
        FROM transitions WHERE finding = ANY (%b::bigint[])
    ) AS placed WHERE place > 20
)
"""


def store_states(connection: Connection, states: Sequence[FindingState]) -> Touched:
    """Store states of findings; of one finding in the order given, each in a statement after the other."""
    touched = Touched()
    for once in _rounds(states):
        _store_round(connection, once, touched)
    return touched


def text(value: str) -> str:
    """Return `value` as PostgreSQL takes it: it knows no NUL in a text."""
    return value.replace("\0", "␀") if "\0" in value else str(value)


def _rounds(states: Sequence[FindingState]) -> Iterator[dict[tuple[str, str, str], FindingState]]:
    """Yield states by cluster, node and id, no finding twice in one round."""
    left: Sequence[FindingState] = states
    while left:
        once: dict[tuple[str, str, str], FindingState] = {}
        again = []
        for state in left:
            speaker = state.session.speaker
            key = (text(speaker.cluster), text(speaker.node), text(state.record.id))
            if once.setdefault(key, state) is not state:
                again.append(state)
        yield once
        left = again


def _store_round(connection: Connection, states: dict[tuple[str, str, str], FindingState], touched: Touched) -> None:
    rows = {key: findingsql.finding_row(state) for key, state in states.items()}
    arrays = _columns(list(rows.values()), _TYPES)
    updated: list[int] = []
    pods: list[tuple[str, str, int]] = []
    transitions: list[tuple[int, int, str]] = []
    for key, cluster, node, finding_id, state_before, problem_before in connection.execute(_PUT, arrays).fetchall():
        state, row = states[cluster, node, finding_id], rows[cluster, node, finding_id]
        record, problem = state.record, row[14]
        if state_before is not None:
            updated.append(key)
            if problem_before != problem:
                touched.left.add(problem_before)
        if state_before != record.state:
            transitions.append((key, state.received_us, record.state))
        touched.add(state, row, changed=(state_before, problem_before) != (record.state, problem))
        pods += [(namespace, name, key) for namespace, name in record.pods]
    if updated:
        connection.execute(_CLEAR_PODS, (updated,))
    if pods:
        connection.execute(_ADD_PODS, _columns(pods, ("text", "text", "bigint")))
    if transitions:
        connection.execute(_ADD_TRANSITIONS, _columns(transitions, ("bigint", "bigint", "text")))
    if changed := set(updated) & {key for key, _, _ in transitions}:
        connection.execute(_BOUND_TRANSITIONS, (sorted(changed),))


def _columns(rows: Sequence[tuple[Any, ...]], types: Sequence[str]) -> list[list[Any]]:
    columns = zip(zip(*rows, strict=True), types, strict=True)
    return [list(map(text, values)) if kind == "text" else list(values) for values, kind in columns]
