"""Which nodes a probe can be asked of, and why not of the others."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from starlette.exceptions import HTTPException

from pullwhy.collector.api.contract import ProbeRequest
from pullwhy.collector.api.operation import Backend
from pullwhy.collector.asking import THERE, WALK
from pullwhy.collector.records import StoredNode
from pullwhy.diagnose.document import rfc3339
from pullwhy.text import printable

MOST_NODES: Final = 100_000
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
    nodes = await backend.store.nodes(request.cluster or "", "", MOST_NODES, None)
    if request.cluster is not None:
        nodes = [node for node in nodes if node.cluster == request.cluster]
    wanted = nodes if request.nodes == "all" else _named(nodes, request.nodes)
    clusters = sorted({node.cluster for node in wanted})
    if len(clusters) > 1:
        raise HTTPException(
            409, f"these nodes are in several clusters ({', '.join(map(repr, clusters))}): name one as cluster"
        )
    if not wanted:
        raise HTTPException(404, "no agent has reported here yet, so there is no node to ask")
    return _sorted(backend, clusters[0], wanted)


def _named(nodes: Iterable[StoredNode], names: Iterable[str]) -> list[StoredNode]:
    known: dict[str, list[StoredNode]] = {}
    for node in nodes:
        known.setdefault(node.node, []).append(node)
    missing = [name for name in dict.fromkeys(names) if name not in known]
    if missing:
        shown = ", ".join(f"'{printable(name, 100)}'" for name in missing[:NAMED])
        near = difflib.get_close_matches(missing[0], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise HTTPException(
            404, f"no agent has reported from {shown}{' and others' if len(missing) > NAMED else ''}{hint}"
        )
    return [node for name in dict.fromkeys(names) for node in known[name]]


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
