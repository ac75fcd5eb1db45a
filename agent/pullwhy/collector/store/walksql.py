"""Probes, walks and buckets in SQL that every database here understands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from pullwhy.collector.fleet import Probe, Purpose, Walk, WalkOrder, WalkState
from pullwhy.collector.store.findingsql import microseconds, moment

KEPT: Final = timedelta(days=1)
"""How long answers of walks are kept: they tell of a moment."""

ADD_PROBE: Final = """
INSERT INTO probes (id, cluster, image, purpose, asked_us, deadline_us, asked_by, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""
ADD_WALK: Final = """
INSERT INTO walks (probe, node, state, at_us, reason, document) VALUES (?, ?, 'Waiting', ?, '', ?) ON CONFLICT DO NOTHING
"""
WAITING: Final = """
SELECT walks.probe, p.cluster, walks.node, p.image, p.purpose, p.deadline_us FROM probes AS p JOIN walks ON walks.probe = p.id
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
WALKS: Final = "SELECT node, state, at_us, reason, document, walked_us FROM walks WHERE probe = ? ORDER BY node"
# The generic cell rate algorithm: a bucket is the time at which it will be full, and each token moves it on.
SPEND: Final = """
INSERT INTO buckets (cluster, registry, full_us) VALUES (?, ?, ?)
ON CONFLICT (cluster, registry) DO UPDATE SET
    full_us = CASE WHEN buckets.full_us > ? THEN buckets.full_us ELSE ? END + ?
WHERE buckets.full_us <= ?
RETURNING full_us
"""

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
    return Walk(row[0], state, moment(row[2]), row[3], row[4], None if row[5] is None else moment(row[5]))


def forget(before: datetime, now: datetime) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the statements that forget probes asked before `before` or more than KEPT ago, and buckets that are full."""
    until = microseconds(max(before, now - KEPT))
    yield "DELETE FROM walks WHERE probe IN (SELECT id FROM probes WHERE asked_us < ?)", (until,)
    yield "DELETE FROM probes WHERE asked_us < ?", (until,)
    yield "DELETE FROM buckets WHERE full_us < ?", (microseconds(now),)
