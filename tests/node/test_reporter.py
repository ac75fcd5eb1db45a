"""The reporter delivers what waits, again where it was not acknowledged, and bears every fault of the other side."""

import asyncio
import contextlib
import logging
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from collector.samples import until

from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, Reporter, pause
from pullwhy.node.report.status import NodeStatus
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import (
    AGENT_PING_SECONDS,
    LEAST_PING_SECONDS,
    SERVICE,
    Options,
    agent_options,
    collector_options,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REPORTERS = {"pullwhy.node.report.reporter", "pullwhy.node.report.stream"}

Behaviour = Callable[["FakeCollector", Any], Awaitable[None]]


class FakeCollector:
    """A real gRPC server whose behaviour, one function per stream, the test writes."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)
        self.hellos: list[pb.Hello] = []
        self.batches: list[pb.Batch] = []

    def handler(self) -> grpc.GenericRpcHandler:
        report = grpc.stream_stream_rpc_method_handler(
            self._report, pb.AgentMessage.FromString, pb.CollectorMessage.SerializeToString
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Report": report})

    async def _report(self, messages: AsyncIterator[pb.AgentMessage], context: Any) -> None:
        del messages
        behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
        await behaviour(self, context)

    async def greet(self, context: Any, acknowledged: int = 0, max_batch: int = 0) -> None:
        self.hellos.append((await context.read()).hello)
        welcome = pb.Welcome(acknowledged=acknowledged, max_batch=max_batch)
        await context.write(pb.CollectorMessage(welcome=welcome))

    async def batch(self, context: Any) -> pb.Batch | None:
        message = await context.read()
        if not isinstance(message, pb.AgentMessage):
            return None
        self.batches.append(message.batch)
        return message.batch

    def sequences(self) -> list[list[int]]:
        return [[report.sequence for report in batch.reports] for batch in self.batches]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reporter's own lines; grpc.aio has lines too where a process runs one event loop after another."""
    return [record.getMessage() for record in caplog.records if record.name in REPORTERS]


async def acknowledges(fake: FakeCollector, context: Any) -> None:
    await fake.greet(context)
    while batch := await fake.batch(context):
        if batch.reports:
            await context.write(pb.CollectorMessage(ack=pb.Ack(sequence=batch.reports[-1].sequence)))


@contextlib.asynccontextmanager
async def serving(
    fake: FakeCollector,
    port: int = 0,
    options: Options | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[str]:
    server = grpc.aio.server(options=options or collector_options())
    server.add_generic_rpc_handlers((fake.handler(),))
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def reporting(outbox: Outbox, settings: ReportSettings | str, **options: Any) -> AsyncIterator[Reporter]:
    settings = ReportSettings(address=settings) if isinstance(settings, str) else settings
    quick: dict[str, Any] = {"node": "node-a", "cluster": "blue", "sleep": lambda _: asyncio.sleep(0.01)}
    reporter = Reporter(outbox, settings, **(quick | options))
    task = asyncio.create_task(reporter.run())
    try:
        yield reporter
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def outbox_with(*ids: str) -> Outbox:
    outbox = Outbox(None)
    for each in ids:
        outbox.append(each, f"document {each}".encode(), NOW)
    return outbox


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


async def is_silent(fake: FakeCollector, context: Any) -> None:
    del fake
    await context.read()
    await asyncio.sleep(60)


async def never_acknowledges(fake: FakeCollector, context: Any) -> None:
    await fake.greet(context)
    while await fake.batch(context):
        pass


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


async def said_by_a_collector_that_allows_a_ping_every(seconds: float, patience: float) -> str:
    """Return why a collector ended the stream of an idle agent that pings every second (gRPC's quickest).

    Empty if it did not for `patience` seconds.
    """
    options = [*collector_options(least_ping_seconds=seconds), ("grpc.http2.max_ping_strikes", 1)]
    fake = FakeCollector(never_acknowledges)
    async with (
        serving(fake, options=options) as address,
        grpc.aio.insecure_channel(address, options=agent_options(ping_seconds=0.2)) as channel,
    ):
        method = (f"/{SERVICE}/Report", pb.AgentMessage.SerializeToString, pb.CollectorMessage.FromString)
        stream: Any = channel.stream_stream(*method)()
        await stream.write(pb.AgentMessage(hello=pb.Hello()))
        await stream.read()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stream.read()
                return str(await stream.details())
        return ""


@pytest.mark.slow
def test_an_idle_agent_pings_no_more_often_than_its_collector_allows() -> None:
    async def scenario() -> list[str]:
        return [
            *await asyncio.gather(
                said_by_a_collector_that_allows_a_ping_every(0.5, patience=3.6),
                said_by_a_collector_that_allows_a_ping_every(300.0, patience=30),
            )
        ]

    assert asyncio.run(scenario()) == ["", "Too many pings"]
    assert LEAST_PING_SECONDS < AGENT_PING_SECONDS


def test_mutual_tls_with_a_private_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    server, client = authority.issue_cert("collector.example"), authority.issue_cert("node-a")
    for name, blob in (
        ("ca", authority.cert_pem),
        ("cert", client.cert_chain_pems[0]),
        ("key", client.private_key_pem),
    ):
        blob.write_to_path(str(tmp_path / name))
    pair = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
    credentials = grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=True)

    async def scenario() -> None:
        outbox = outbox_with("a")
        async with serving(FakeCollector(acknowledges), credentials=credentials) as address:
            files: dict[str, Any] = {
                "ca": str(tmp_path / "ca"),
                "certificate": str(tmp_path / "cert"),
                "key": str(tmp_path / "key"),
            }
            settings = ReportSettings(address=address, server_name="collector.example", **files)
            async with reporting(outbox, settings):
                await until(lambda: not len(outbox))

    asyncio.run(scenario())


def test_a_missing_certificate_file_is_named_and_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with reporting(Outbox(None), ReportSettings(address="127.0.0.1:1", ca=str(tmp_path / "absent.pem"))):
            await until(lambda: said(caplog))

    asyncio.run(scenario())
    assert "absent.pem: No such file" in said(caplog)[0]


BEHIND_A_PROXY = """
import asyncio, sys
from datetime import UTC, datetime
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
async def main():
    outbox = Outbox(None)
    outbox.append("a", b"", datetime.now(UTC))
    task = asyncio.create_task(Reporter(outbox, ReportSettings(address=sys.argv[1]), node="n").run())
    async with asyncio.timeout(10):
        while len(outbox):
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
asyncio.run(main())
"""


@pytest.mark.slow
def test_the_environments_proxy_is_not_for_the_way_to_the_collector() -> None:
    async def scenario() -> None:
        fake = FakeCollector(acknowledges)
        async with serving(fake) as address:
            names = ("grpc_proxy", "https_proxy", "http_proxy", "HTTPS_PROXY", "HTTP_PROXY")
            environment = os.environ | dict.fromkeys(names, "http://127.0.0.1:1") | {"no_proxy": "", "NO_PROXY": ""}
            program = [sys.executable, "-c", BEHIND_A_PROXY, address]
            await asyncio.to_thread(subprocess.run, program, env=environment, check=True)
        assert fake.sequences() == [[1]]

    asyncio.run(scenario())
