"""Which nodes a probe can be asked of, and why not of the others."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.exceptions import HTTPException

from pullwhy.collector.api.contract import ProbeRequest
from pullwhy.collector.api.operation import Backend
from pullwhy.collector.compare.asking import THERE, WALK
from pullwhy.collector.compare.census import PAGE
from pullwhy.collector.records import StoredNode
from pullwhy.diagnose.document.finding import rfc3339
from pullwhy.text import printable

MOST_NODES: Final = 100_000
LOOKED_UP: Final = 30
"""Names up to which each is looked up; for more, all nodes are read."""
NAMED: Final = 5
"""Names that one error lists."""


@dataclass(slots=True)
class Asked:
    """The nodes of one cluster that are asked, and those that cannot be, with the reason."""

    cluster: str
    able: list[str] = field(default_factory=list)
    unable: dict[str, str] = field(default_factory=dict)


async def whom(backend: Backend, request: ProbeRequest) -> Asked:
    """Return the nodes that a request means; raises HTTPException where they are not known, or of several clusters."""
    if request.nodes == "all":
        wanted = [node async for node in _all(backend, request.cluster)]
    else:
        wanted = await _named(backend, request.cluster, list(dict.fromkeys(request.nodes)))
    clusters = sorted({node.cluster for node in wanted})
    if len(clusters) > 1:
        raise HTTPException(
            409, f"these nodes are in several clusters ({', '.join(map(repr, clusters))}): name one as cluster"
        )
    if not wanted:
        raise HTTPException(404, "no agent has reported here yet, so there is no node to ask")
    return _sorted(backend, clusters[0], wanted)


async def _all(backend: Backend, cluster: str | None) -> AsyncIterator[StoredNode]:
    """Read all nodes, a page at a time: others have their turn between two."""
    after = None
    for _ in range(MOST_NODES // PAGE):
        page = await backend.store.nodes(cluster or "", "", PAGE, after)
        for node in page:
            if cluster in (None, node.cluster):
                yield node
        if len(page) < PAGE:
            return
        after = page[-1].cluster, page[-1].node


async def _named(backend: Backend, cluster: str | None, names: Sequence[str]) -> list[StoredNode]:
    known: dict[str, list[StoredNode]] = {}
    if len(names) <= LOOKED_UP:
        for name in names:
            found = await backend.store.nodes(cluster or "", name, PAGE, None)
            if of := [node for node in found if cluster in (None, node.cluster)]:
                known[name] = of
    if len(known) < len(names):
        # Many names, or one that is not known: the others may tell which was meant.
        known = {}
        async for node in _all(backend, cluster):
            known.setdefault(node.node, []).append(node)
    missing = [name for name in names if name not in known]
    if missing:
        shown = ", ".join(f"'{printable(name, 100)}'" for name in missing[:NAMED])
        near = difflib.get_close_matches(missing[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise HTTPException(
            404, f"no agent has reported from {shown}{' and others' if len(missing) > NAMED else ''}{hint}"
        )
    return [node for name in names for node in known[name]]


def _sorted(backend: Backend, cluster: str, nodes: Iterable[StoredNode]) -> Asked:
    asked, connected, now = Asked(cluster), backend.connected(), backend.clock()
    for node in nodes:
        there = (cluster, node.node) in connected or now - node.last_seen < THERE
        if WALK not in node.facts.abilities:
            asked.unable[node.node] = (
                f"its agent ({node.agent_version or 'of unknown version'}) does not walk on request"
            )
        elif not there:
            asked.unable[node.node] = f"its agent is not connected, and was last heard of at {rfc3339(node.last_seen)}"
        else:
            asked.able.append(node.node)
    return asked
