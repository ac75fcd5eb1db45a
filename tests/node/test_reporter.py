"""The reporter delivers what waits, and again where it was not acknowledged."""

import asyncio
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from collector.samples import until
from node.fakecollector import (
    NOW,
    FakeCollector,
    acknowledges,
    outbox_with,
    reporting,
    said,
    serving,
)

from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.status import NodeStatus
from pullwhy.pb.v1 import report_pb2 as pb


def test_delivers_what_waits_and_what_comes() -> None:
    async def scenario() -> None:
        fake, outbox = FakeCollector(acknowledges), outbox_with("a", "b")
        async with serving(fake) as address, reporting(outbox, address) as reporter:
            await until(lambda: not len(outbox))
            outbox.append("c", b"later", NOW)
            await until(lambda: not len(outbox))
            assert (reporter.connected, reporter.connections, reporter.acknowledged) == (True, 1, 3)
        hello = fake.hellos[0]
        assert (hello.node, hello.cluster, hello.schema, hello.outbox_id) == ("node-a", "blue", "pullwhy/v1", outbox.id)
        assert fake.sequences() == [[1, 2], [3]]
        report = fake.batches[0].reports[0]
        assert (report.finding_id, report.document, report.observed_at.ToDatetime(UTC)) == ("a", b"document a", NOW)

    asyncio.run(scenario())


def test_sends_again_what_was_not_acknowledged() -> None:
    async def breaks(fake: FakeCollector, context: Any) -> None:
        await fake.greet(context)
        await fake.batch(context)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")

    async def scenario() -> None:
        fake, outbox = FakeCollector(breaks, breaks, acknowledges), outbox_with("a", "b")
        async with serving(fake) as address, reporting(outbox, address):
            await until(lambda: not len(outbox))
        assert fake.sequences() == [[1, 2], [1, 2], [1, 2]]

    asyncio.run(scenario())


def test_what_the_welcome_says_is_stored_is_not_sent_again() -> None:
    async def knows(fake: FakeCollector, context: Any) -> None:
        await fake.greet(context, acknowledged=2)
        while batch := await fake.batch(context):
            await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=batch.reports[-1].sequence)))

    async def scenario() -> None:
        fake, outbox = FakeCollector(knows), outbox_with("a", "b", "c")
        async with serving(fake) as address, reporting(outbox, address):
            await until(lambda: not len(outbox))
        assert fake.sequences() == [[3]]

    asyncio.run(scenario())


def test_batches_are_as_small_as_the_collector_asks() -> None:
    async def small(fake: FakeCollector, context: Any) -> None:
        await fake.greet(context, max_batch=2)
        while batch := await fake.batch(context):
            await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=batch.reports[-1].sequence)))

    async def scenario() -> None:
        fake, outbox = FakeCollector(small), outbox_with(*"abcde")
        async with serving(fake) as address, reporting(outbox, address):
            await until(lambda: not len(outbox))
        assert fake.sequences() == [[1, 2], [3, 4], [5]]

    asyncio.run(scenario())


def test_a_state_that_changes_while_its_batch_is_under_way_is_sent_after_it() -> None:
    async def scenario() -> None:
        outbox = outbox_with("a")

        async def slow(fake: FakeCollector, context: Any) -> None:
            await fake.greet(context)
            await fake.batch(context)
            outbox.append("a", b"newer", NOW)
            await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=1)))
            await fake.batch(context)
            await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=2)))
            await context.read()

        fake = FakeCollector(slow)
        async with serving(fake) as address, reporting(outbox, address):
            await until(lambda: not len(outbox))
        assert fake.sequences() == [[1], [2]]
        assert fake.batches[1].reports[0].document == b"newer"

    asyncio.run(scenario())


def test_a_refused_report_is_logged_once_counted_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def refuses(fake: FakeCollector, context: Any) -> None:
        await fake.greet(context)
        while batch := await fake.batch(context):
            refused = [pb.Refusal(sequence=report.sequence, reason="too\x1b[2J odd") for report in batch.reports]
            await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=batch.reports[-1].sequence, refused=refused)))

    async def scenario() -> None:
        outbox = outbox_with("a", "b")
        async with serving(FakeCollector(refuses)) as address, reporting(outbox, address) as reporter:
            await until(lambda: not len(outbox))
            assert reporter.refused == 2

    asyncio.run(scenario())
    (line,) = said(caplog)
    assert line.endswith("refused a finding: too\\x1b[2J odd")


def test_the_nodes_status_goes_with_the_hello_and_again_only_when_it_changed() -> None:
    async def scenario() -> None:
        status = [NodeStatus(zone="z1", active_findings=1, impairments=("journal unreadable",))]
        fake, outbox = FakeCollector(acknowledges), outbox_with("a")
        async with serving(fake) as address, reporting(outbox, address, status=lambda: status[0]) as reporter:
            await until(lambda: not len(outbox))
            reporter.status_changed()  # but it did not
            status[0] = NodeStatus(zone="z1", active_findings=2)
            reporter.status_changed()
            await until(lambda: len(fake.batches) == 2)
        assert list(fake.hellos[0].status.impairments) == ["journal unreadable"]
        assert not fake.batches[0].HasField("status")
        assert (fake.batches[1].status.active_findings, len(fake.batches[1].reports)) == (2, 0)

    asyncio.run(scenario())


def test_the_long_facts_of_a_status_are_sent_again_only_when_they_changed() -> None:
    async def scenario() -> None:
        first = NodeStatus(labels={"rack": "r1"}, configuration={"proxy": "set"}, registries=("r.test",))
        status = [first]
        fake = FakeCollector(acknowledges)
        async with serving(fake) as address, reporting(Outbox(None), address, status=lambda: status[0]) as reporter:
            await until(lambda: reporter.connected)
            for changed in (
                replace(first, active_findings=1),
                replace(first, active_findings=1, labels={"rack": "r2"}),
            ):
                before = len(fake.batches)
                status[0] = changed
                reporter.status_changed()
                await until(lambda: len(fake.batches) > before)  # noqa: B023 - awaited within the round
        assert dict(fake.hellos[0].status.labels) == {"rack": "r1"}
        short, long = (batch.status for batch in fake.batches)
        assert (short.facts_unchanged, dict(short.labels), list(short.registries)) == (True, {}, [])
        assert (long.facts_unchanged, dict(long.labels), list(long.registries)) == (False, {"rack": "r2"}, ["r.test"])

    asyncio.run(scenario())


def test_the_outboxs_own_trouble_is_part_of_the_status(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "file").write_text("in the way")
        fake = FakeCollector(acknowledges)
        async with serving(fake) as address, reporting(Outbox(tmp_path / "file"), address):
            await until(lambda: fake.hellos)
        assert "findings wait in memory" in fake.hellos[0].status.impairments[0]

    asyncio.run(scenario())
