"""Nodes have the labels that the API knows, stored as soon as they come; without the API what the agent tells."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from collector.kubernetes.standin import StandIn
from collector.samples import collector, get, until

from pullwhy.collector.intake.ingest import MAX_LABELS
from pullwhy.collector.kubernetes.directory import Directory
from pullwhy.collector.kubernetes.nodelabels import NodeLabels, merged
from pullwhy.collector.records import NodeFacts, Speaker
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter

LABELS = {
    "topology.kubernetes.io/zone": "zone-1",
    "eks.amazonaws.com/nodegroup": "blue",
    "kubernetes.io/hostname": "node-a",
    "team": "shop",
}


def test_labels_of_a_node_are_stored_and_missing_ones_harm_nothing(tmp_path: Path, api: StandIn) -> None:
    api.objects["/api/v1/nodes/node-a"] = {"metadata": {"labels": LABELS}}

    async def nodes(address: str) -> dict[str, Any]:
        _, answer, _ = await asyncio.to_thread(get, address, "/api/v1/nodes")
        return {each["node"]: each for each in answer["items"]}

    async def scenario() -> None:
        async with collector(tmp_path, kubernetes=replace(api.settings, nodes=True)) as running:
            settings = ReportSettings(address=running.grpc_address)
            tasks = [
                asyncio.create_task(Reporter(Outbox(None), settings, node=name).run()) for name in ("node-a", "node-b")
            ]

            async def labelled() -> bool:
                known = await nodes(running.http_address)
                return len(known) == 2 and bool(known["node-a"]["labels"])

            await until(labelled)
            known = await nodes(running.http_address)
            assert (known["node-a"]["zone"], known["node-a"]["pool"]) == ("zone-1", "blue")
            assert "kubernetes.io/hostname" not in known["node-a"]["labels"]
            assert (known["node-b"]["zone"], known["node-b"]["labels"]) == ("", {})
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    asyncio.run(scenario())


async def asked_while(directory: Directory, *told: tuple[str, NodeFacts]) -> dict[tuple[str, str], NodeFacts]:
    """Return what is stored of nodes after agents told of clusters' node-a in this order, each before labels were looked up."""
    stored: dict[tuple[str, str], NodeFacts] = {}

    async def change(cluster: str, node: str, how: Callable[[NodeFacts], NodeFacts]) -> None:
        stored[cluster, node] = how(stored[cluster, node])

    labels = NodeLabels(directory, "east", change, time.monotonic)
    for cluster, facts in told:
        stored[cluster, "node-a"] = labels.complete(Speaker(cluster, "node-a", "box"), facts)
    # Told by a stream that this collector heard of while it asked.
    stored["east", "node-a"] = replace(stored["east", "node-a"], kubelet_version="newer")
    task = asyncio.create_task(labels.run())
    await until(lambda: stored["east", "node-a"].zone)
    task.cancel()
    await asyncio.wait([task])
    return stored


def test_labels_go_to_nodes_of_the_apis_own_cluster_and_leave_the_rest_of_what_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = create_autospec(Directory, instance=True)
    directory.labels.return_value = LABELS
    facts = NodeFacts(kubelet_version="older", labels={"rack": "7"})
    stored = asyncio.run(asked_while(directory, ("west", facts), ("east", facts), ("west", facts)))
    assert stored["west", "node-a"] == facts
    mine = stored["east", "node-a"]
    assert (mine.kubelet_version, mine.zone, mine.labels["rack"], mine.labels["team"]) == (
        "newer",
        "zone-1",
        "7",
        "shop",
    )
    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.startswith("labels are looked up for nodes of cluster 'east' alone, not for node 'node-a' of 'west'")


def test_the_apis_labels_win_and_what_an_administrator_set_stays() -> None:
    facts = NodeFacts(zone="mine", labels={"team": "old", "rack": "7"})
    told = merged(facts, LABELS)
    assert (told.zone, told.pool) == ("mine", "blue")
    assert (told.labels["team"], told.labels["rack"]) == ("shop", "7")
    assert len(merged(facts, {f"label-{number}": "x" for number in range(200)}).labels) == MAX_LABELS
    assert merged(facts, {"evil": "\x1b[31m"}).labels["evil"] == "\\x1b[31m"
    assert merged(facts, {}) == facts
