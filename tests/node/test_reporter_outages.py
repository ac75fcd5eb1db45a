"""The reporter bears every fault of the other side, and pauses between its attempts."""

import asyncio
import logging
import random
from typing import Any

import grpc
import grpc.aio
import pytest
from collector.samples import until
from node.fakecollector import (
    NOW,
    Behaviour,
    FakeCollector,
    acknowledges,
    never_acknowledges,
    outbox_with,
    reporting,
    said,
    serving,
)

from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, pause
from pullwhy.pb.v1 import report_pb2 as pb


async def is_silent(fake: FakeCollector, context: Any) -> None:
    del fake
    await context.read()
    await asyncio.sleep(60)


@pytest.mark.parametrize("behaviour", [is_silent, never_acknowledges])
def test_a_collector_that_hangs_is_left_and_tried_again(behaviour: Behaviour) -> None:
    async def scenario() -> None:
        outbox = outbox_with("a")
        fake = FakeCollector(behaviour, acknowledges)
        impatient = {"hello_seconds": 0.3, "acknowledge_seconds": 0.3}
        async with serving(fake) as address, reporting(outbox, address, **impatient):
            for number in range(5):  # appends must not put the end of the patience off
                await asyncio.sleep(0.1)
                outbox.append(f"more{number}", b"", NOW)
            await until(lambda: not len(outbox))

    asyncio.run(scenario())


async def acknowledges_before_anything_was_sent(fake: FakeCollector, context: Any) -> None:
    await fake.greet(context)
    for sequence in (0, 1, 2**63):
        await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=sequence)))
    while batch := await fake.batch(context):
        await context.write(pb.CollectorMessage(welcome=pb.Welcome(acknowledged=10**6)))
        await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=batch.reports[-1].sequence - 1)))
        await context.write(pb.CollectorMessage())


def test_an_odd_acknowledgement_forgets_nothing() -> None:
    async def scenario() -> None:
        outbox, fake = Outbox(None), FakeCollector(acknowledges_before_anything_was_sent)
        async with serving(fake) as address, reporting(outbox, address) as reporter:
            await until(lambda: reporter.connected)
            await asyncio.sleep(0.05)
            outbox.append("a", b"", NOW)
            outbox.append("b", b"", NOW)
            await until(lambda: fake.batches)
            await asyncio.sleep(0.1)
            assert {"b"} <= {report.finding_id for report in outbox.pending()}
            assert reporter.connected

    asyncio.run(scenario())


def test_an_outage_is_one_line_at_its_begin_and_one_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        outbox, pauses = outbox_with("a"), [0]

        async def sleep(seconds: float) -> None:
            del seconds
            pauses[0] += 1
            await asyncio.sleep(0.01)

        fake = FakeCollector(acknowledges)
        async with serving(fake) as address:
            pass  # now nothing listens there
        async with reporting(outbox, address, sleep=sleep):
            await until(lambda: pauses[0] >= 5)
            async with serving(fake, port=int(address.rpartition(":")[2])):
                await until(lambda: not len(outbox))

    asyncio.run(scenario())
    lines = said(caplog)
    assert ["Connection refused" in line for line in lines[:2]] == [True, False]
    assert "connected" in lines[1]


def test_a_refused_hello_names_what_the_collector_said(caplog: pytest.LogCaptureFixture) -> None:
    async def refuses(fake: FakeCollector, context: Any) -> None:
        del fake
        await context.read()
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "upgrade the collector\x1b[2J")

    async def scenario() -> None:
        async with serving(FakeCollector(refuses)) as address, reporting(outbox_with("a"), address):
            await until(lambda: said(caplog))

    asyncio.run(scenario())
    assert "FAILED_PRECONDITION: upgrade the collector" in said(caplog)[0]
    assert "\x1b" not in said(caplog)[0]


def test_pauses_are_random_below_a_bound_that_doubles_to_a_minute() -> None:
    chance = random.Random(1)
    for attempt, bound in ((0, 2.0), (1, 4.0), (3, 16.0), (5, 60.0), (10_000, 60.0)):
        drawn = [pause(attempt, chance) for _ in range(400)]
        assert 0.0 <= min(drawn) < bound * 0.1
        assert bound * 0.9 < max(drawn) <= bound
    assert (FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS) == (2.0, 60.0)


def test_pauses_grow_while_attempts_fail() -> None:
    async def scenario() -> None:
        asked: list[float] = []

        async def sleep(seconds: float) -> None:
            asked.append(seconds)
            await asyncio.sleep(0)

        class Highest(random.Random):
            def uniform(self, a: float, b: float) -> float:
                return max(a, b)

        async with reporting(Outbox(None), "127.0.0.1:1", sleep=sleep, chance=Highest()):
            await until(lambda: len(asked) >= 6)
        assert asked[:6] == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    asyncio.run(scenario())
