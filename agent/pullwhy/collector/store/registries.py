"""Registries that fail, in the store: their part of `FleetStore`, in SQL that every database here understands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pullwhy.collector.fleet import RegistryFailure
from pullwhy.collector.store.database import Part
from pullwhy.collector.store.findingsql import moment
from pullwhy.model import CauseId

# CROSS JOIN: SQLite keeps the order, problems before their findings (sqlite.org: optoverview.html, section 8.2).
_ACTIVE: Final = """
FROM problem_facts AS r CROSS JOIN problems AS p CROSS JOIN findings AS f
WHERE p.id = r.problem AND f.problem = p.id AND f.state = 'Active' AND r.kind = 'registry' AND r.value <> '' AND p.active = 1 AND p.kind <> 'node' AND (? = '' OR p.cluster = ?)
"""
_ALL: Final = f"""
SELECT p.cluster, r.value, '', p.cause, '', '', count(DISTINCT f.node), count(*), count(DISTINCT p.id), min(p.first_us), max(p.last_us)
{_ACTIVE} GROUP BY p.cluster, r.value, p.cause ORDER BY count(DISTINCT f.node) DESC, p.cluster, r.value, p.cause LIMIT 1000
"""
_NODES: Final = f"""
SELECT DISTINCT f.cluster, f.node {_ACTIVE} AND r.value = ? AND (f.cluster, f.node) > (?, ?) ORDER BY f.cluster, f.node LIMIT ?
"""
_OF_NODES: Final = f"""
SELECT f.cluster, r.value, f.node, p.cause, p.via, p.id, 1, count(*), 1, min(f.first_us), max(f.last_us)
{_ACTIVE} AND r.value = ? AND (f.cluster, f.node) > (?, ?) AND (f.cluster, f.node) <= (?, ?)
GROUP BY f.cluster, f.node, r.value, p.cause, p.via, p.id ORDER BY f.cluster, f.node, p.cause, p.via, p.id
"""


class Registries(Part):
    """Implements the part of `FleetStore` that is about registries."""

    async def registries(self, cluster: str) -> list[RegistryFailure]:
        """Return the causes for which registries fail now, at most 1,000 and those of most nodes first."""
        return list(map(_failure, await self._database.read(_ALL, (cluster, cluster))))

    async def failing_of(
        self, registry: str, cluster: str, limit: int, after: tuple[str, str] | None
    ) -> list[RegistryFailure]:
        """Return why each of up to `limit` nodes, in the order of cluster and name, fails at a registry."""
        which = (cluster, cluster, registry, *(after or ("", "")))
        nodes = await self._database.read(_NODES, (*which, limit))
        return list(map(_failure, await self._database.read(_OF_NODES, (*which, *nodes[-1])))) if nodes else []


def _failure(row: Sequence[Any]) -> RegistryFailure:
    cluster, registry, node, cause, via, problem, nodes, findings, problems, first_us, last_us = row
    return RegistryFailure(
        cluster,
        registry,
        node,
        CauseId(cause),
        via,
        problem,
        nodes,
        findings,
        problems,
        moment(first_us),
        moment(last_us),
    )
