"""Requests to walk come and are answered over the stream of the reports."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from node.asked import IMAGE, Node, ask
from node.fakecollector import FakeCollector, acknowledges, outbox_with, reporting, serving
from node.fakes import until

from pullwhy.node.report.walkrequests import MAX_WAITING
from pullwhy.pb.v1 import report_pb2 as pb


class Asking(FakeCollector):
    """A collector that asks, and keeps what it is answered."""

    def __init__(self, *asked: pb.CollectorMessage) -> None:
        super().__init__(type(self).talk)  # type: ignore[arg-type]  # a method of its own
        self.asked = asked
        self.answers: list[pb.WalkAnswer] = []
        self.hang_up = asyncio.Event()

    async def talk(self, context: Any) -> None:
        await self.greet(context)
        for message in self.asked:
            await context.write(message)
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(context))
                await self.hang_up.wait()
                reading.cancel()

    async def _read(self, context: Any) -> None:
        while isinstance(message := await context.read(), pb.AgentMessage):
            if message.HasField("walk"):
                self.answers.append(message.walk)
            else:
                self.batches.append(message.batch)
                if message.batch.reports:
                    ack = pb.Ack(sequence=message.batch.reports[-1].sequence)
                    await context.write(pb.CollectorMessage(ack=ack))


@contextlib.asynccontextmanager
async def asking(node: Node, *asked: pb.WalkRequest) -> AsyncIterator[tuple[Asking, Any]]:
    fake, outbox = Asking(*(pb.CollectorMessage(walk=each) for each in asked)), outbox_with("a")
    requests = node.requests()
    async with serving(fake) as address, reporting(outbox, address, requests=lambda: requests):
        yield fake, outbox


def test_requests_are_answered_over_the_stream_while_reports_go_on() -> None:
    async def scenario() -> None:
        node = Node()
        node.seconds = 0.2
        async with asking(node, ask(), ask("w2", f"{IMAGE}0")) as (fake, outbox):
            await until(lambda: not len(outbox))
            assert fake.answers == []  # the report did not wait for the walks
            await until(lambda: len(fake.answers) == 2)
            assert [answer.id for answer in fake.answers] == ["w1", "w2"]

    asyncio.run(scenario())


def test_a_stream_that_is_lost_cancels_what_was_asked_over_it() -> None:
    async def scenario() -> None:
        node = Node()
        node.seconds = 60
        async with asking(node, ask()) as (fake, _):
            await until(lambda: node.at_once == 1)
            fake.hang_up.set()
            await until(lambda: node.at_once == 0)
        assert node.counted("cancelled") >= 1

    asyncio.run(scenario())


def test_a_collector_that_floods_its_agent_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        node = Node()
        node.seconds = 60
        odd = [
            pb.CollectorMessage(walk=ask("x" * 200_000, "y" * 200_000)),
            pb.CollectorMessage(cancel=pb.WalkCancel(id="z" * 200_000)),
            pb.CollectorMessage(permit=pb.Permit(id="p7", wait_ms=2**32 - 1, document=b"x" * 100_000)),
            pb.CollectorMessage(),
        ]
        flood = [pb.CollectorMessage(walk=ask(f"w{number}", f"registry.example/a:{number}")) for number in range(80)]
        fake, outbox = Asking(*odd, *flood), outbox_with("a")
        requests = node.requests()
        async with serving(fake) as address, reporting(outbox, address, requests=lambda: requests) as reporter:
            await until(lambda: node.counted("refused") == 80 - MAX_WAITING)
            await until(lambda: not len(outbox))
            assert reporter.connected
            assert node.counted("dropped") == 1

    asyncio.run(scenario())
    ours = [record for record in caplog.records if record.name.startswith("pullwhy")]
    assert len([record for record in ours if record.levelno >= logging.WARNING]) <= 3


def test_an_agent_that_takes_no_requests_leaves_them_and_goes_on_reporting() -> None:
    async def scenario() -> None:
        fake, outbox = Asking(pb.CollectorMessage(walk=ask())), outbox_with("a")
        async with serving(fake) as address, reporting(outbox, address) as reporter:
            await until(lambda: not len(outbox))
            assert reporter.connected
        assert fake.answers == []

    asyncio.run(scenario())


def test_a_collector_that_asks_nothing_is_told_nothing_new() -> None:
    async def scenario() -> None:
        node = Node()
        fake, outbox = FakeCollector(acknowledges), outbox_with("a")
        async with serving(fake) as address, reporting(outbox, address, requests=node.requests):
            await until(lambda: not len(outbox))
        assert [len(batch.reports) for batch in fake.batches] == [1]
        assert node.walks == []

    asyncio.run(scenario())
