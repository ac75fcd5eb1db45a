"""A walk that is asked for reaches its node wherever that is connected, and only what was asked for is kept."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from collector.samples import NOW, Clock, encoded, until
from collector.wire import Running, Stream, running

from pullwhy.collector.fleet import Probe, Purpose, Walk, WalkState
from pullwhy.collector.intake.streams import MOST_WAITING
from pullwhy.collector.intake.streams import Stream as SentTo
from pullwhy.collector.records import NodeFacts, Speaker
from pullwhy.pb.v1 import report_pb2 as pb

IMAGE = "registry.example/shop/web1:1.4"
CAN_WALK = pb.NodeStatus(abilities=["walk"])


def probe(name: str = "p1", seconds: float = 60.0, purpose: Purpose = Purpose.SECOND_OPINION) -> Probe:
    return Probe(name, "", IMAGE, purpose, NOW, NOW + timedelta(seconds=seconds))


async def walks(served: Running, name: str = "p1") -> dict[str, Walk]:
    found = await served.store.probe(name)
    assert found
    return {walk.node: walk for walk in found[1]}


def answer(
    outcome: "pb.WalkAnswer.Outcome.ValueType" = pb.WalkAnswer.PASSES, name: str = "p1", **fields: Any
) -> pb.AgentMessage:
    return pb.AgentMessage(walk=pb.WalkAnswer(id=name, outcome=outcome, **fields))


async def asked(served: Running, nodes: Sequence[str] = ("node-a",), **of: Any) -> Stream:
    stream = await served.welcomed(status=CAN_WALK)
    assert await served.store.add_probe(probe(**of), nodes)
    return stream


def test_an_order_goes_to_its_node_and_its_answer_to_the_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await asked(served, purpose=Purpose.CANARY)
            order = (await stream.read()).walk
            assert (order.id, order.image, order.purpose) == ("p1", IMAGE, pb.WalkRequest.CANARY)
            assert order.deadline_ms == 60_000
            message = answer(pb.WalkAnswer.FAILS, document=encoded(1))
            message.walk.walked_at.FromDatetime(NOW)
            await stream.write(message)
            await until(lambda: metric(served, 'answers_total{state="Fails"} 1.0'))
            walk = (await walks(served))["node-a"]
            assert (walk.state, walk.document, walk.walked_at) == (WalkState.FAILS, encoded(1), NOW)

    asyncio.run(scenario())


def metric(served: Running, line: str) -> bool:
    return line.encode() in served.metrics.text()


def test_a_node_that_connects_later_is_asked_then(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            assert await served.store.add_probe(probe(), ["node-b"])
            await asyncio.sleep(0.2)
            stream = await served.welcomed("node-b", status=CAN_WALK)
            assert (await stream.read()).walk.id == "p1"

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_node_that_moved_to_another_collector_is_not_asked_over_the_stream_it_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            left = await served.welcomed(status=CAN_WALK)
            await served.store.open_session(Speaker("", "node-a", "box"), NodeFacts(abilities=("walk",)))
            assert await served.store.add_probe(probe(), ["node-a"])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(left.read(), 1.5)
            assert (await walks(served))["node-a"].state is WalkState.WAITING
            back = await served.welcomed(status=CAN_WALK)
            assert (await back.read()).walk.id == "p1"

    asyncio.run(scenario())


def test_an_agent_that_cannot_walk_is_not_asked_and_that_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            await served.welcomed("old")
            assert await served.store.add_probe(probe(), ["old"])
            await until(lambda: said(served, WalkState.REFUSED))
            assert "a newer one can" in (await walks(served))["old"].reason

    async def said(served: Running, state: WalkState) -> bool:
        return (await walks(served))["old"].state is state

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (answer(name="p2"), "nobody asked"),
        (answer(name=""), "no id"),
        (answer(name="x" * 65), "no id"),
        (answer(pb.WalkAnswer.OUTCOME_UNSPECIFIED), "no outcome"),
        (pb.AgentMessage(walk=pb.WalkAnswer(id="p1", outcome=77)), "no outcome"),  # type: ignore[arg-type]
        (answer(pb.WalkAnswer.FAILS), "no document"),
        (answer(document=b"{}"), "no finding"),
        (answer(pb.WalkAnswer.FAILS, document=encoded(1, node="node-b")), "another node's"),
        (answer(pb.WalkAnswer.FAILS, document=encoded(2)), "another image's"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_not_asked_for_is_dropped_and_counted(tmp_path: Path, message: pb.AgentMessage, why: str) -> None:
    del why

    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await asked(served)
            assert (await stream.read()).walk.id == "p1"
            await stream.write(message)
            await until(lambda: metric(served, "refused_walk_answers_total 1.0"))
            assert (await walks(served))["node-a"].state is WalkState.ASKED
            await stream.write(answer())  # the right one is still taken
            await until(lambda: metric(served, 'answers_total{state="Passes"} 1.0'))

    asyncio.run(scenario())


def test_the_first_of_two_answers_counts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await asked(served)
            await stream.read()
            await stream.write(answer(pb.WalkAnswer.UNDECIDED, reason="needs \x1b credentials"))
            await stream.write(answer())
            await until(lambda: metric(served, "refused_walk_answers_total 1.0"))
            walk = (await walks(served))["node-a"]
            assert (walk.state, walk.reason) == (WalkState.UNDECIDED, "needs \\x1b credentials")

    asyncio.run(scenario())


def test_one_node_cannot_answer_for_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await asked(served)
            await stream.read()
            other = await served.welcomed("node-b", "box2", status=CAN_WALK)
            await other.write(answer())
            await until(lambda: metric(served, "refused_walk_answers_total 1.0"))
            assert (await walks(served))["node-a"].state is WalkState.ASKED

    asyncio.run(scenario())


def test_who_does_not_answer_in_time_is_told_that_nobody_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with running(tmp_path, clock=clock) as served:
            stream = await asked(served, seconds=0.3)
            await stream.read()
            assert (await stream.read()).cancel.id == "p1"
            clock.now += timedelta(seconds=1)
            await stream.write(answer())
            await until(lambda: metric(served, "refused_walk_answers_total 1.0"))
            assert (await walks(served))["node-a"].state is WalkState.LATE

    asyncio.run(scenario())


def test_a_walk_of_long_ago_decides_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await asked(served)
            message = answer()
            message.walk.walked_at.FromDatetime(NOW - timedelta(hours=3))
            await stream.write(message)
            await until(lambda: metric(served, 'answers_total{state="Undecided"} 1.0'))

    asyncio.run(scenario())


def test_an_agent_that_floods_with_answers_is_read_slowly_and_hinders_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            flood = await asked(served, ("node-b",))
            good = await served.welcomed("node-b", "box2", status=CAN_WALK)

            async def send() -> None:
                for _ in range(5000):
                    await flood.write(answer(name="nonsense"))

            flooding = asyncio.create_task(send())
            await good.read()
            await good.write(answer())
            await until(lambda: metric(served, 'answers_total{state="Passes"} 1.0'))
            await asyncio.sleep(0.5)
            counted = next(
                line
                for line in served.metrics.text().splitlines()
                if line.startswith(b"pullwhy_collector_refused_walk_answers_total ")
            )
            assert float(counted.split()[-1]) < 120
            flooding.cancel()
            await asyncio.wait([flooding])

    asyncio.run(scenario())


def test_what_waits_for_an_agent_that_does_not_read_is_bounded() -> None:
    class Deaf:
        async def write(self, message: object) -> None:
            del message
            await asyncio.Event().wait()

    async def scenario() -> None:
        deaf: Any = Deaf()
        stream = SentTo(deaf, asyncio.timeout(None))
        cancel = pb.CollectorMessage(cancel=pb.WalkCancel(id="p1"))
        assert [stream.send(cancel) for _ in range(MOST_WAITING + 2)].count(False) == 2
        await asyncio.sleep(0)
        stream.close()

    asyncio.run(scenario())
