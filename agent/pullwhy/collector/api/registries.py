"""Registries: which fail, for how many nodes and why; and node by node."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from pullwhy.collector import params
from pullwhy.collector.api import parameters as of
from pullwhy.collector.api.contract import Cause, FailingNode, FailingNodePage, NodeCause, Registries, Registry
from pullwhy.collector.api.operation import Backend, Operation, Question, page_of
from pullwhy.collector.fleet import RegistryFailure
from pullwhy.diagnose.document.finding import rfc3339
from pullwhy.model import Via


async def _list(backend: Backend, question: Question) -> Registries:
    by_registry: dict[tuple[str, str], list[RegistryFailure]] = {}
    for failure in await backend.store.registries(question.values.get("cluster", "")):
        by_registry.setdefault((failure.cluster, failure.registry), []).append(failure)
    return Registries([_registry(failures) for failures in by_registry.values()])


def _registry(failures: Sequence[RegistryFailure]) -> Registry:
    return Registry(
        failures[0].cluster,
        failures[0].registry,
        [
            Cause(
                each.cause,
                each.nodes,
                each.findings,
                each.problems,
                rfc3339(each.first_seen),
                rfc3339(each.last_seen),
            )
            for each in failures
        ],
        rfc3339(min(each.first_seen for each in failures)),
        rfc3339(max(each.last_seen for each in failures)),
    )


async def _nodes(backend: Backend, question: Question) -> FailingNodePage:
    values = question.values
    size, after = params.limit(values.get("limit", "")), params.node_position(values.get("cursor", ""))
    found = await backend.store.failing_of(question.path["registry"], values.get("cluster", ""), size + 1, after)
    nodes = [_node(of_node) for _, of_node in itertools.groupby(found, key=lambda each: (each.cluster, each.node))]
    page, following = page_of(nodes, size, lambda last: params.node_cursor(last.cluster, last.node))
    return FailingNodePage(list(page), following)


def _node(failures: Iterable[RegistryFailure]) -> FailingNode:
    told = list(failures)
    causes = [
        NodeCause(
            each.cause,
            Via(each.via) if each.via else None,
            each.problem,
            each.findings,
            rfc3339(each.first_seen),
            rfc3339(each.last_seen),
        )
        for each in told
    ]
    return FailingNode(told[0].cluster, told[0].node, causes)


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/registries",
        "listRegistries",
        "Registries that nodes cannot pull from now, and why",
        _list,
        Registries,
        (of.CLUSTER,),
        tagged=True,
    ),
    Operation(
        "GET",
        "/api/v1/registries/{registry}",
        "listFailingNodes",
        "The nodes that cannot pull from a registry now, and why; none where it fails for nobody",
        _nodes,
        FailingNodePage,
        (of.PATH_REGISTRY, of.CLUSTER, of.LIMIT, of.NODE_CURSOR_PARAMETER),
        tagged=True,
    ),
)
