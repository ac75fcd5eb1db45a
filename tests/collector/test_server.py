"""The gRPC side takes only what it can store, acknowledges only what is stored, and bears odd agents."""

import asyncio
import os
from pathlib import Path

import grpc.aio
import pytest
from collector.samples import until, writing
from collector.wire import Stream, batch, ended, running

from pullwhy.collector.pace import Pace
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_BATCH, MAX_MESSAGE, METHOD


def test_an_acknowledgement_means_stored_and_a_second_stream_learns_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.welcomed()
            await stream.write(batch(1, 2, 3))
            assert (await stream.read()).ack == pb.Ack(sequence=3)
            assert await served.stored() == 3
            again = await served.stream()
            await again.write(pb.AgentMessage(hello=pb.Hello(node="node-a", schema="pullwhy/v1", outbox_id="box")))
            welcome = (await again.read()).welcome
            assert (welcome.acknowledged, welcome.max_batch) == (3, MAX_BATCH)

    asyncio.run(scenario())


def test_what_is_refused_is_acknowledged_with_its_reason_and_the_rest_is_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.welcomed()
            message = batch(1, 2, 3)
            message.batch.reports[1].document = b'{"evil": "\x1b[2J"}'
            await stream.write(message)
            ack = (await stream.read()).ack
            assert (ack.sequence, [refusal.sequence for refusal in ack.refused]) == (3, [2])
            assert ack.refused[0].reason.startswith("finding 0000000000000002: ")
            assert await served.stored() == 2
            assert b"pullwhy_collector_refused_reports_total 1.0" in served.metrics.text()

    asyncio.run(scenario())


def test_one_agent_cannot_write_for_another_node(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.welcomed("node-b")
            await stream.write(batch(1, node="node-a"))
            assert "another than its agent's" in (await stream.read()).ack.refused[0].reason
            assert await served.stored() == 0

    asyncio.run(scenario())


TOO_MANY = pb.AgentMessage(batch=pb.Batch(reports=[pb.Report(sequence=i + 1) for i in range(MAX_BATCH + 1)]))


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        (pb.AgentMessage(), "INVALID_ARGUMENT", "only batches,"),
        (pb.AgentMessage(hello=pb.Hello()), "INVALID_ARGUMENT", "only batches,"),
        (TOO_MANY, "INVALID_ARGUMENT", f"a batch of {MAX_BATCH + 1} reports"),
        (batch(1, start=0), "INVALID_ARGUMENT", "they must grow"),
        (batch(1, start=2**63), "INVALID_ARGUMENT", "they must grow"),
        (
            pb.AgentMessage(batch=pb.Batch(reports=[pb.Report(sequence=1, document=b"x" * (MAX_MESSAGE + 1))])),
            "RESOURCE_EXHAUSTED",
            f"more than {MAX_MESSAGE}",
        ),
    ],
)
def test_a_message_against_the_protocol_ends_its_stream_alone(
    tmp_path: Path, message: pb.AgentMessage, code: str, told: str
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            good, bad = await served.welcomed("node-b"), await served.welcomed()
            await bad.write(message)
            got, details = await ended(bad)
            assert got == code
            assert told in details
            await good.write(batch(1, node="node-b"))
            assert (await good.read()).ack.sequence == 1
            assert await served.stored() == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("hello", "code", "told"),
    [
        (
            pb.Hello(node="n", schema="pullwhy/v2", outbox_id="b"),
            "FAILED_PRECONDITION",
            "upgrade the collector before its agents",
        ),
        (pb.Hello(node="", schema="pullwhy/v1", outbox_id="b"), "FAILED_PRECONDITION", "the node's name"),
    ],
)
def test_a_hello_that_is_not_understood_is_answered_with_the_mend(
    tmp_path: Path, hello: pb.Hello, code: str, told: str
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.stream()
            await stream.write(pb.AgentMessage(hello=hello))
            got, details = await ended(stream)
            assert got == code
            assert told in details

    asyncio.run(scenario())


def test_a_batch_before_the_hello_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.stream()
            await stream.write(batch(1))
            assert await ended(stream) == ("INVALID_ARGUMENT", "the first message must be a Hello")

    asyncio.run(scenario())


def test_garbage_instead_of_a_message_ends_the_stream(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served, grpc.aio.insecure_channel(served.address) as channel:
            stream: Stream = channel.stream_stream(METHOD, lambda data: data, pb.CollectorMessage.FromString)()
            await stream.write(os.urandom(200))
            assert await ended(stream) == ("INVALID_ARGUMENT", "a message that is none of pullwhy's")
            await served.welcomed()  # and the next one is served

    asyncio.run(scenario())


def test_a_stream_that_does_not_say_who_it_is_is_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, hello_seconds=0.1) as served:
            assert await ended(await served.stream()) == ("DEADLINE_EXCEEDED", "no Hello came")

    asyncio.run(scenario())


def test_more_agents_than_allowed_are_turned_away_and_places_become_free(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, max_agents=2) as served:
            streams = [await served.welcomed(f"node-{i}", f"box{i}") for i in range(2)]
            third = await served.stream()
            await third.write(pb.AgentMessage(hello=pb.Hello(node="node-9", schema="pullwhy/v1", outbox_id="b")))
            full = ("RESOURCE_EXHAUSTED", "2 agents are connected, the most that `max_agents` allows")
            assert await ended(third) == full
            streams[0].cancel()
            await until(lambda: len(served.servicer.connected()) == 1)
            await served.welcomed("node-9")

    asyncio.run(scenario())


def test_who_is_connected_is_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            first, second = await served.welcomed(), await served.welcomed("node-b")
            assert served.servicer.connected() == {("", "node-a"), ("", "node-b")}
            for left, stream in ((1, first), (0, second)):
                stream.cancel()
                expected = f"connected_agents {left}.0".encode()
                await until(lambda: expected in served.metrics.text())  # noqa: B023 - awaited at once
            assert served.servicer.connected() == set()

    asyncio.run(scenario())


def test_the_status_of_a_batch_becomes_the_nodes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.welcomed(status=pb.NodeStatus(zone="z1"))
            await stream.write(
                pb.AgentMessage(batch=pb.Batch(status=pb.NodeStatus(zone="z2", impairments=["no journal"])))
            )
            await stream.write(batch(1))
            assert (await stream.read()).ack.sequence == 1
            (node,) = await served.store.nodes("", "", 10, None)
            assert (node.facts.zone, node.facts.impairments) == ("z2", ("no journal",))

    asyncio.run(scenario())


def test_a_store_that_fails_is_told_to_the_agent_which_keeps_its_findings(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.welcomed()
            writing(served.store).execute("PRAGMA max_page_count = 10")
            await stream.write(batch(*range(1, 90)))
            code, details = await ended(stream)
            assert code == "UNAVAILABLE"
            assert "the disk is full" in details
            writing(served.store).execute("PRAGMA max_page_count = 100000")
            stream = await served.welcomed()
            await stream.write(batch(*range(1, 90)))
            assert (await stream.read()).ack.sequence == 89
            assert await served.stored() == 89

    asyncio.run(scenario())


def test_an_agent_that_reads_no_acknowledgement_hinders_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            deaf, good = await served.welcomed(), await served.welcomed("node-b", "box2")
            for start in range(1, 41):
                await deaf.write(batch(1, start=start))
            await good.write(batch(2, node="node-b"))
            assert (await good.read()).ack.sequence == 1

    asyncio.run(scenario())


def test_pace_lets_a_whole_outbox_through_then_only_its_share() -> None:
    now = [0.0]
    pace = Pace(per_second=10, at_once=100, clock=lambda: now[0])
    assert [pace.spend(50), pace.spend(50), pace.spend(5)] == [0.0, 0.0, 0.5]
    now[0] = 1.5
    assert pace.spend(10) == 0.0
    now[0] = 1000.0
    assert [pace.spend(100), pace.spend(20)] == [0.0, 2.0]
