"""One missing image on very many nodes: a few walk, the others wait and are told what was proved; it is one problem, soon judged."""

import asyncio
from pathlib import Path

import pytest
from collector.fleetsim import World, fails, failure, world
from collector.samples import until

from pullwhy.collector.intake.permits import FIRST
from pullwhy.diagnose.document.decoding import decode
from pullwhy.model import CauseId
from pullwhy.node.investigate.permits import ANSWER_SECONDS

NODES = 800
TAG = CauseId.TAG_NOT_FOUND


async def connected(made: World, nodes: int) -> None:
    places = asyncio.Semaphore(50)

    async def connect(name: str) -> None:
        async with places:
            await made.node(name, fails(TAG))

    await asyncio.gather(*(connect(f"n{number}") for number in range(nodes)))


async def waits_of(made: World) -> list[int]:
    """Have every node ask at once; return how long each waits until it walks: not at all, where the answer came too late for it."""
    agents = list(made.agents.values())
    await asyncio.gather(*(agent.ask_permit() for agent in agents))
    await until(lambda: all(agent.permits for agent in agents), 60)
    return sorted(agent.permits[-1].wait_ms if agent.waited[-1] < ANSWER_SECONDS else 0 for agent in agents)


@pytest.mark.slow
def test_of_800_nodes_few_walk_in_the_first_seconds(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as made:
            await connected(made, NODES)
            prover = made.agents["n0"]
            began = asyncio.get_running_loop().time()
            await prover.report(failure("n0", TAG))
            waits = await waits_of(made)
            took = asyncio.get_running_loop().time() - began
            # Five at once and two a second; the first few without proof are not needed, and the prover may be one of them.
            assert waits.count(0) <= 5 + 2 * took + FIRST
            assert sum(wait <= 5000 for wait in waits) <= 5 + 2 * (took + 5) + FIRST
            assert waits[-1] > (NODES - 10 - 2 * took) / 2 * 1000
            told = [agent.permits[0] for agent in made.agents.values() if agent.permits[0].document]
            assert len(told) >= NODES - waits.count(0) - 1
            assert {decode(permit.document).node for permit in told} == {"n0"}

    asyncio.run(scenario())


def test_a_burst_of_findings_is_one_problem_that_is_judged_a_few_times(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as made:
            await connected(made, 200)
            await asyncio.gather(*(agent.report(failure(agent.node, TAG)) for agent in made.agents.values()))
            scope = await made.scope("ImageWide", 30)
            await until(lambda: all_fail(made), 30)
            assert scope["healthy"] == 0
            assert len(made.asked()) <= 6
            assert await judgements(made) <= 12

    asyncio.run(scenario())


async def all_fail(made: World) -> bool:
    (problem,) = await made.problems()
    return bool(problem["scope"]["failing"] == 200)


async def judgements(made: World) -> float:
    lines = (await made.metrics()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("pullwhy_collector_scopes_judged_total"))
