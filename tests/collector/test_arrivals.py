"""Until it is known whose a stream is, it takes no memory; one node has one place, however often it comes."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import pytest
from collector.wire import batch, ended, running

from pullwhy.collector.access.agents import Identity
from pullwhy.collector.denials import CannotTell, Denial, Denied
from pullwhy.collector.intake import paces, server
from pullwhy.collector.intake.streams import Stream, Streams
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.secret import Secret

WINDOW = 65_535
"""Bytes that HTTP/2 lets a peer send before anything is read (RFC 9113, section 6.9.2)."""
LARGE = pb.AgentMessage(
    hello=pb.Hello(node="node-a", schema="pullwhy/v1", outbox_id="box", agent_version="x" * 8 * WINDOW)
)


class Gates:
    """Lets nobody through until it is opened, then as `verdict` says."""

    def __init__(self, verdict: Identity | Exception) -> None:
        self.verdict, self.opened = verdict, asyncio.Event()

    async def admit(self, peer: Mapping[str, Iterable[bytes]], token: Secret | None) -> Identity:
        del peer, token
        await self.opened.wait()
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def test_nothing_of_a_message_is_taken_before_its_sender_is_let_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = Gates(Identity("node-a"))
        async with running(tmp_path, gate=gate) as served:
            stream = await served.stream()
            sending = asyncio.create_task(stream.write(LARGE))
            await asyncio.wait([sending], timeout=0.5)
            assert not sending.done(), "all of it was taken"
            gate.opened.set()
            await asyncio.wait_for(sending, 5)
            assert (await stream.read()).HasField("welcome")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Denied(Denial.BAD_TOKEN, "not this one"), ("UNAUTHENTICATED", "not this one")),
        (CannotTell("come again"), ("UNAVAILABLE", "come again")),
    ],
)
def test_who_is_turned_away_is_told_why_whether_or_not_it_said_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: Exception, told: tuple[str, str]
) -> None:
    monkeypatch.setattr(server, "FAREWELL_SECONDS", 0.2)

    async def scenario() -> None:
        gate = Gates(verdict)
        gate.opened.set()
        async with running(tmp_path, gate=gate) as served:
            assert await ended(await served.stream()) == told
            speaking = await served.stream()
            await speaking.write(LARGE)
            assert await ended(speaking) == told

    asyncio.run(scenario())


def test_few_who_are_turned_away_are_heard_out_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FAREWELL_SECONDS", 30.0)
    monkeypatch.setattr(server, "MOST_FAREWELLS", 2)

    async def scenario() -> None:
        gate = Gates(Denied(Denial.BAD_TOKEN, "not this one"))
        gate.opened.set()
        async with running(tmp_path, gate=gate) as served:
            silent = [asyncio.create_task(ended(await served.stream())) for _ in range(3)]
            done, waiting = await asyncio.wait(silent, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert (len(done), len(waiting)) == (1, 2)
            for each in waiting:
                each.cancel()

    asyncio.run(scenario())


def test_few_first_messages_are_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_HEARD", 2)

    async def scenario() -> None:
        async with running(tmp_path) as served:
            silent = [await served.stream() for _ in range(2)]
            waiting = [asyncio.create_task(each.read()) for each in silent]
            await asyncio.sleep(0.3)
            third = await served.stream()
            sending = asyncio.create_task(third.write(LARGE))
            await asyncio.wait([sending], timeout=0.5)
            assert not sending.done(), "all of it was taken"
            silent[0].cancel()
            await asyncio.wait_for(sending, 5)
            assert (await third.read()).HasField("welcome")
            silent[1].cancel()
            await asyncio.wait(waiting)

    asyncio.run(scenario())


def test_a_connection_has_one_stream(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            channel = await served.channel()
            first = await served.welcomed(channel=channel)
            second = asyncio.create_task(served.welcomed("node-b", channel=channel))
            await asyncio.wait([second], timeout=0.5)
            assert not second.done()
            first.cancel()
            await asyncio.wait_for(second, 5)

    asyncio.run(scenario())


def test_a_node_that_comes_again_and_again_has_one_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, max_agents=2) as served:
            streams = [await served.welcomed("node-a") for _ in range(6)]
            other = await served.welcomed("node-b")
            for each in streams[:-1]:
                code, told = await asyncio.wait_for(ended(each), 5)
                assert (code, "another agent of this node" in told) == ("ABORTED", True)
            assert b"connected_agents 2.0" in served.metrics.text()
            for node, stream in (("node-a", streams[-1]), ("node-b", other)):
                await stream.write(batch(1, node=node))
                assert (await stream.read()).ack.sequence == 1

    asyncio.run(scenario())


def test_streams_of_one_node_that_say_nothing_are_few_and_leave_room_for_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = Gates(Identity("node-a"))
        gate.opened.set()
        async with running(tmp_path, max_agents=2, gate=gate) as served:
            silent = [asyncio.create_task(ended(await served.stream())) for _ in range(6)]
            done, waiting = await asyncio.wait(silent, timeout=2)
            assert len(waiting) == 2
            assert {each.result()[0] for each in done} == {"RESOURCE_EXHAUSTED"}
            gate.verdict = Identity("node-b")
            await served.welcomed("node-b")
            for each in waiting:
                each.cancel()

    asyncio.run(scenario())


def test_who_comes_again_goes_on_at_the_pace_that_his_node_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paces, "REPORTS_AT_ONCE", 10.0)
    monkeypatch.setattr(paces, "REPORTS_PER_SECOND", 4.0)

    async def scenario() -> None:
        async with running(tmp_path) as served:
            first = await served.welcomed()
            await first.write(batch(*range(1, 12)))
            assert (await first.read()).ack.sequence == 11
            began = time.monotonic()
            again = await served.welcomed()
            await again.write(batch(1, start=20))
            await again.read()
            assert time.monotonic() - began >= 0.4
            other = await served.welcomed("node-b")
            began = time.monotonic()
            await other.write(batch(1, node="node-b"))
            await other.read()
            assert time.monotonic() - began < 0.4

    asyncio.run(scenario())


def test_a_node_that_says_hello_all_the_time_is_told_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paces, "REQUESTS_AT_ONCE", 3.0)
    monkeypatch.setattr(paces, "REQUESTS_PER_SECOND", 0.01)

    async def scenario() -> None:
        async with running(tmp_path) as served:
            for _ in range(3):
                await served.welcomed()
            fourth = await served.stream()
            await fourth.write(pb.AgentMessage(hello=pb.Hello(node="node-a", schema="pullwhy/v1", outbox_id="box")))
            code, told = await ended(fourth)
            assert (code, "node 'node-a' comes too often" in told) == ("RESOURCE_EXHAUSTED", True)
            await served.welcomed("node-b")

    asyncio.run(scenario())


def test_a_stream_that_is_welcomed_late_does_not_end_the_one_that_came_after_it() -> None:
    streams, key = Streams(), ("", "node-a")
    newer, older = (Stream(AsyncMock(), Mock(), number=number) for number in (2, 1))
    for stream in (newer, older):
        streams.enter(key, stream)
    assert (newer.replaced, older.replaced) == (False, True)
    streams.leave(key, older)
    assert streams.get(key) is newer
