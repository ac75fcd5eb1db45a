"""A canary tells when a fault is over: one node at a time, at growing distances."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.fleetsim import IMAGE, Agent, World, fails, failure, passes, world
from collector.samples import NOW, until

from pullwhy.collector.compare.answers import Answers
from pullwhy.collector.compare.canary import Canaries, canary_id, is_due
from pullwhy.collector.fleet import Canary, StoredProblem, WalkState
from pullwhy.collector.problem import KIND, ProblemKey
from pullwhy.model import CauseId
from pullwhy.pb.v1 import report_pb2 as pb

TAG = CauseId.TAG_NOT_FOUND


def problem(nodes: int = 5, cause: CauseId = TAG, canary: Canary | None = None) -> StoredProblem:
    key = ProblemKey("", cause, "", KIND[cause], IMAGE)
    return StoredProblem(key, NOW, NOW, nodes, nodes, nodes, canary=canary)


def test_canaries_go_out_at_growing_distances() -> None:
    sent = []
    last: Canary | None = None
    for second in range(0, 3600, 10):
        now = NOW + timedelta(seconds=second)
        if is_due(problem(canary=last), now):
            last = Canary("a", now, WalkState.FAILS)
            sent.append(second)
    assert sent[:5] == [30, 60, 120, 240, 480]
    assert {later - sooner for sooner, later in itertools.pairwise(sent[4:])} == {300}


def test_one_node_alone_and_faults_of_nodes_have_none() -> None:
    later = NOW + timedelta(hours=1)
    assert not is_due(problem(nodes=1), later)
    assert not is_due(problem(cause=CauseId.DISK_FULL), later)


def test_two_collectors_send_the_same_one() -> None:
    assert canary_id("p", NOW) == canary_id("p", NOW + timedelta(seconds=29))
    assert canary_id("p", NOW) != canary_id("p", NOW + timedelta(seconds=30))


async def canary_of(made: World) -> Any:
    (one,) = await made.problems()
    return one.get("canary")


async def sent_by(made: World, *parts: Canaries | Answers) -> Any:
    """Let these look once, and return what was kept."""
    tasks = [asyncio.create_task(each.run()) for each in parts]
    try:
        await until(lambda: canary_of(made))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return await canary_of(made)


def run(folder: Path, script: Any, expected: str) -> None:
    async def scenario() -> None:
        async with world(folder, collectors=2, second_opinions=0) as made:
            for agent in await made.nodes("a", "b", "c", script=script):
                await agent.report(failure(agent.node, TAG))
            stores = [each._store for each in made.collectors]
            assert all(stores)
            answers = [Answers(store) for store in stores if store]
            later = [
                Canaries(
                    store,
                    told,
                    lambda: {("", name) for name in "abc"},
                    lambda: datetime.now(UTC) + timedelta(seconds=40),
                    0.05,
                )
                for store, told in zip(stores, answers, strict=True)
                if store
            ]
            kept = await sent_by(made, *later, *answers)
            assert kept["state"] == expected
            assert [agent.asked[0].purpose for agent in made.agents.values() if agent.asked] == [pb.WalkRequest.CANARY]
            assert made.asked() == [kept["node"]]

    asyncio.run(scenario())


def test_a_canary_that_fails_is_kept(tmp_path: Path) -> None:
    run(tmp_path, fails(TAG), "Fails")


def test_a_canary_that_passes_is_kept(tmp_path: Path) -> None:
    run(tmp_path, passes, "Passes")


def test_a_canary_that_refuses_is_kept_too_so_that_the_next_is_another(tmp_path: Path) -> None:
    def refuses(_: Agent, asked: pb.WalkRequest) -> list[pb.WalkAnswer]:
        return [pb.WalkAnswer(id=asked.id, outcome=pb.WalkAnswer.REFUSED, reason="no budget")]

    run(tmp_path, refuses, "Refused")
