"""A collector that behaves as a test tells it, and reporters that speak to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio
import pytest

from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import (
    SERVICE,
    Options,
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


async def never_acknowledges(fake: FakeCollector, context: Any) -> None:
    await fake.greet(context)
    while await fake.batch(context):
        pass
