"""Probes, walks and buckets in SQL that every database here understands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pullwhy.collector.fleet import Probe, Purpose, Walk, WalkOrder, WalkState
from pullwhy.collector.store.findingsql import microseconds, moment
from pullwhy.collector.store.transaction import Connection

KEPT: Final = timedelta(days=1)
"""How long answers of walks are kept: they tell of a moment."""
MOST_KEPT: Final = 100_000
"""Walks that are kept, unless more are waited for."""
_SHOWN_AFTER: Final = timedelta(minutes=5)
"""How long after the deadline a trace of a node that passes is there to look at."""

ADD_PROBE: Final = """
INSERT INTO probes (id, cluster, image, purpose, asked_us, deadline_us, asked_by, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
ADD_WALK: Final = """
INSERT INTO walks (probe, node, state, at_us, reason, document) VALUES (?, ?, 'Waiting', ?, '', ?) ON CONFLICT DO NOTHING
"""
WAITING: Final = """
SELECT walks.probe, p.cluster, walks.node, p.image, p.purpose, p.deadline_us, coalesce(n.stream, 0)
FROM probes AS p JOIN walks ON walks.probe = p.id LEFT JOIN nodes AS n ON n.cluster = p.cluster AND n.node = walks.node
WHERE p.deadline_us > ? AND walks.state = 'Waiting' ORDER BY p.asked_us, walks.node LIMIT 50000
"""
TAKE: Final = "UPDATE walks SET state = 'Asked', at_us = ? WHERE probe = ? AND node = ? AND state = 'Waiting'"
ANSWER: Final = """
UPDATE walks SET state = ?, at_us = ?, reason = ?, document = ?, walked_us = ?
WHERE probe = ? AND node = ? AND state IN ('Waiting', 'Asked')
    AND EXISTS (SELECT 1 FROM probes WHERE id = walks.probe AND cluster = ? AND deadline_us >= ?)
"""
_PROBE_COLUMNS: Final = "id, cluster, image, purpose, asked_us, deadline_us, asked_by, problem"
PROBE: Final = f"SELECT {_PROBE_COLUMNS} FROM probes WHERE id = ?"  # noqa: S608 - constants
PROBES: Final = f"""
SELECT {_PROBE_COLUMNS} FROM probes WHERE (? = '' OR cluster = ?) AND (? = '' OR purpose = ?)
ORDER BY asked_us DESC, id LIMIT ?
"""  # noqa: S608 - constants
_WALKS: Final = "SELECT node, state, at_us, reason, {}, walked_us FROM walks WHERE probe = ? AND (? = '' OR node = ?) {}ORDER BY node"
COUNTS: Final = "SELECT state, count(*) FROM walks WHERE probe = ? GROUP BY state"
# The generic cell rate algorithm: a bucket is the time at which it will be full, and each token moves it on.
SPEND: Final = """
INSERT INTO buckets (cluster, registry, full_us) VALUES (?, ?, ?)
ON CONFLICT (cluster, registry) DO UPDATE SET
    full_us = CASE WHEN buckets.full_us > ? THEN buckets.full_us ELSE ? END + ?
WHERE buckets.full_us <= ?
RETURNING full_us
"""

_COUNT: Final = "SELECT count(*) FROM walks"
_OLDEST: Final = "SELECT id FROM probes WHERE asked_us < ? AND deadline_us < ? ORDER BY asked_us, id LIMIT 1"
_FORGET_WALKS: Final = "DELETE FROM walks WHERE probe = ?"
_FORGET_PROBE: Final = "DELETE FROM probes WHERE id = ?"
_FORGET_BUCKETS: Final = "DELETE FROM buckets WHERE full_us < ?"
# length() of a document asks for its size alone; the document itself is not read.
_FORGET_PASSES: Final = """
UPDATE walks SET document = ? WHERE (probe, node) IN (
    SELECT w.probe, w.node FROM walks AS w JOIN probes AS p ON p.id = w.probe
    WHERE w.state = 'Passes' AND length(w.document) > 0 AND p.deadline_us < ? LIMIT ?
)
"""

_OPEN: Final = "(state IN ('Waiting', 'Asked'))"
_ANSWERED: Final = f"SELECT probe, count(*) FROM walks WHERE probe IN ({{}}) AND NOT {_OPEN} GROUP BY probe"  # noqa: S608 - constants
_UNANSWERED: Final = frozenset({WalkState.WAITING, WalkState.ASKED})


def probe_row(probe: Probe) -> tuple[Any, ...]:
    """Return the parameters of ADD_PROBE."""
    asked, deadline = microseconds(probe.asked_at), microseconds(probe.deadline)
    return probe.id, probe.cluster, probe.image, probe.purpose, asked, deadline, probe.asked_by, probe.problem


def stored_probe(row: tuple[Any, ...]) -> Probe:
    """Return a row of PROBE or PROBES as a record."""
    return Probe(row[0], row[1], row[2], Purpose(row[3]), moment(row[4]), moment(row[5]), row[6], row[7])


def order(row: tuple[Any, ...]) -> WalkOrder:
    """Return a row of WAITING as a record."""
    return WalkOrder(row[0], row[1], row[2], row[3], Purpose(row[4]), moment(row[5]))


def stored_walk(row: tuple[Any, ...], deadline: datetime, now: datetime) -> Walk:
    """Return a row of WALKS as a record: Late where nothing came by the deadline."""
    state = WalkState(row[1])
    if state in _UNANSWERED and now > deadline:
        return Walk(row[0], WalkState.LATE, deadline)
    return Walk(row[0], state, moment(row[2]), row[3], row[4] or b"", None if row[5] is None else moment(row[5]))


def walks(
    probe: Probe, now: datetime, node: str, since: datetime | None, *, documents: bool
) -> tuple[str, tuple[Any, ...]]:
    """Return the statement for a probe's walks, of one node or of what came since then, and its parameters."""
    which, narrowed = (probe.id, node, node), ""
    if since:
        # One that is Late came with the deadline.
        late = now > probe.deadline >= since
        narrowed = f"AND (at_us >= ?{' OR ' + _OPEN if late else ''}) "
    text = _WALKS.format("document" if documents else "''", narrowed)
    return text, (*which, microseconds(since)) if since else which


def answered(probe_ids: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the statement that counts the answers to each of these probes, and its parameters."""
    return _ANSWERED.format(", ".join("?" * len(probe_ids))), probe_ids


def counted(rows: Iterable[tuple[str, int]], deadline: datetime, now: datetime) -> dict[WalkState, int]:
    """Return rows of COUNTS as they are told: Late where nothing came by the deadline."""
    counts: Counter[WalkState] = Counter()
    for told, number in rows:
        state = WalkState(told)
        counts[WalkState.LATE if state in _UNANSWERED and now > deadline else state] += number
    return dict(counts)


def forget(connection: Connection, before: datetime, now: datetime, limit: int) -> int:
    """Forget probes asked before `before` or more than KEPT ago, those beyond MOST_KEPT, traces of passes, and buckets that are full.

    Returns how many rows went or shrank, `limit` or little more at a time: again, until it returns 0.
    """
    connection.execute(_FORGET_BUCKETS, (microseconds(now),))
    gone = forget_oldest(connection, max(before, now - KEPT), now, limit)
    excess = connection.execute(_COUNT).fetchone()[0] - MOST_KEPT
    if excess > 0 and gone < limit:
        gone += forget_oldest(connection, now, now, min(excess, limit - gone))
    if gone < limit:
        gone += connection.execute(_FORGET_PASSES, (b"", microseconds(now - _SHOWN_AFTER), limit - gone)).rowcount
    return gone


def forget_oldest(connection: Connection, before: datetime, now: datetime, least: int) -> int:
    """Forget probes that are over and were asked before `before`, the oldest first, until `least` rows went; return how many did.

    A probe goes as a whole: with some of its nodes missing, it would tell what was not so.
    """
    gone, which = 0, (microseconds(before), microseconds(now))
    while gone < least and (probe := connection.execute(_OLDEST, which).fetchone()):
        gone += connection.execute(_FORGET_WALKS, probe).rowcount
        gone += connection.execute(_FORGET_PROBE, probe).rowcount
    return gone
