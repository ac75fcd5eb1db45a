"""Nodes: what runs there, how they are configured, and what their agents cannot see."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from pullwhy.collector import params
from pullwhy.collector.api import parameters as of
from pullwhy.collector.api.contract import BlackHole, Node, NodePage
from pullwhy.collector.api.operation import Backend, Operation, Question, page_of
from pullwhy.collector.compare import blackholes
from pullwhy.collector.records import NodeFacts, StoredNode
from pullwhy.diagnose.document.finding import rfc3339


async def _list(backend: Backend, question: Question) -> NodePage:
    values = question.values
    size, after = params.limit(values.get("limit", "")), params.node_position(values.get("cursor", ""))
    found = await backend.store.nodes(values.get("cluster", ""), values.get("node", ""), size + 1, after)
    page, following = page_of(found, size, lambda last: params.node_cursor(last.cluster, last.node))
    connected, now, holes = backend.connected(), backend.clock(), backend.black_holes()
    return NodePage(
        [
            _node(
                node,
                holes.get((node.cluster, node.node)),
                connected=(node.cluster, node.node) in connected,
                now=now,
            )
            for node in page
        ],
        following,
    )


def _node(node: StoredNode, hole: blackholes.BlackHole | None, *, connected: bool, now: datetime) -> Node:
    return Node(
        cluster=node.cluster,
        node=node.node,
        connected=connected,
        first_seen=rfc3339(node.first_seen),
        last_seen=rfc3339(now if connected else node.last_seen),
        agent_version=node.agent_version,
        active_findings=node.active_findings,
        black_hole=BlackHole(hole.images, rfc3339(hole.since)) if hole else None,
        **{field.name: getattr(node.facts, field.name) for field in fields(NodeFacts)},
    )


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/nodes",
        "listNodes",
        "Nodes, by cluster and name",
        _list,
        NodePage,
        (of.CLUSTER, of.NODE, of.LIMIT, of.NODE_CURSOR_PARAMETER),
        tagged=True,
    ),
)
