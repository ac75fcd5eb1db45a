"""Probes over real HTTP, with what nodes answer put into the store."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from collector.fleetasked import MISSING, answer, asking
from collector.samples import fill

from pullwhy.collector.fleet import WalkState
from pullwhy.collector.records import NodeFacts
from pullwhy.model import Outcome, Stage

PROBES = "/api/v1/probes"


WALKS = NodeFacts(abilities=("walk",))
IMAGE = "registry.example/shop/web:1.4"


def test_a_probe_fills_as_answers_come_and_can_be_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING, facts=WALKS) as (ask, store):
            status, probe, _ = await ask(PROBES, "POST", {"image": IMAGE, "nodes": ["node-1", "node-2"]})
            assert (status, probe["purpose"], probe["image"]) == (202, "Probe", IMAGE)
            length = datetime.fromisoformat(probe["deadline"]) - datetime.fromisoformat(probe["asked_at"])
            assert length == timedelta(seconds=30)
            assert len(await store.take_walks([("", "node-1")], 10)) == 1
            path = f"{PROBES}/{probe['id']}"
            assert (await ask(path))[1]["counts"] == {"Asked": 1, "Waiting": 1}
            walked = answer(
                WalkState.FAILS,
                (Stage.DNS, Outcome.PASSED),
                (Stage.CONNECT, Outcome.FAILED),
                (Stage.CONNECT, Outcome.PASSED),
                (Stage.MANIFEST, Outcome.FAILED),
            )
            assert await store.answer_walk(probe["id"], "", walked)
            walk = (await ask(path))[1]["walks"][0]
            assert (walk["node"], walk["state"], walk["cause"]) == ("node-1", "Fails", "TagNotFound")
            assert walk["stages"] == {"DNS": "Passed", "Connect": "Passed", "Manifest": "Failed"}
            assert walk["finding"] is None
            assert (await ask(f"{path}?node=node-1"))[1]["walks"][0]["finding"]["remedy"]["text"]
            assert (await ask(f"{path}?node=node-3"))[0] == 404
            since = (await ask(f"{path}?since={walk['at']}"))[1]
            assert ([each["node"] for each in since["walks"]], since["counts"]) == (
                ["node-1"],
                {"Fails": 1, "Waiting": 1},
            )
            assert (await ask(path, "DELETE"))[0] == 204
            assert await store.take_walks([("", "node-2")], 10) == []
            detail = (await ask(path))[1]
            assert [(each["state"], each["reason"]) for each in detail["walks"]] == [
                ("Fails", ""),
                ("Refused", "cancelled by who asked"),
            ]
            assert [each["id"] for each in (await ask(f"{PROBES}?purpose=probe"))[1]["items"]] == [probe["id"]]
            assert (await ask(f"{PROBES}?purpose=Canary"))[1]["items"] == []

    asyncio.run(scenario())


def test_a_node_that_cannot_be_asked_is_answered_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        gone = [replace(MISSING[1], cluster="", node="node-9")]
        async with asking(tmp_path, *MISSING[:1]) as (ask, store):
            clock, store._clock = store._clock, lambda: datetime.now(UTC) - timedelta(hours=2)
            await fill(store, gone, WALKS)
            store._clock = clock
            _, probe, _ = await ask(PROBES, "POST", {"image": IMAGE, "nodes": "all", "deadline_seconds": 5})
            walks = (await ask(f"{PROBES}/{probe['id']}"))[1]["walks"]
            assert [each["state"] for each in walks] == ["Refused", "Refused"]
            assert walks[0]["reason"] == "its agent (0.1.0) does not walk on request"
            assert walks[1]["reason"].startswith("its agent is not connected, and was last heard of at 20")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"image": "Web:1", "nodes": "all"}, 400, "image: the upper-case letter"),
        ({"image": IMAGE}, 400, "missing required field `nodes`"),
        ({"image": IMAGE, "nodes": []}, 400, "$.nodes"),
        ({"image": IMAGE, "nodes": "some"}, 400, "$.nodes"),
        ({"image": IMAGE, "nodes": ["node-x"]}, 404, "no agent has reported from 'node-x'; did you mean node-"),
        ({"image": IMAGE, "nodes": "all", "deadline_seconds": 601}, 400, "$.deadline_seconds"),
        ({"image": IMAGE, "nodes": "all", "cluster": "blue"}, 404, "no agent has reported"),
        ({"image": IMAGE, "nodes": "all"}, 409, "in several clusters ('', 'green'): name one as cluster"),
    ],
)
def test_a_probe_that_cannot_be_meant_is_refused(tmp_path: Path, body: Any, status: int, told: str) -> None:
    async def scenario() -> None:
        findings = [MISSING[0], replace(MISSING[1], cluster="green")]
        async with asking(tmp_path, *findings, facts=WALKS) as (ask, _):
            got, answer, _ = await ask(PROBES, "POST", body)
            assert (got, told in answer["error"]) == (status, True), answer
            assert (await ask(PROBES))[1]["items"] == []

    asyncio.run(scenario())


def test_probes_of_an_unknown_id_are_not_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path) as (ask, _):
            assert (await ask(f"{PROBES}/feed"))[0] == 404
            assert (await ask(f"{PROBES}/feed", "DELETE"))[0] == 404
            status, told, _ = await ask(PROBES, "POST", {"image": IMAGE, "nodes": "all"})
            assert (status, told["error"]) == (404, "no agent has reported here yet, so there is no node to ask")

    asyncio.run(scenario())
