"""A served store without HTTP, and streams to it, for the tests of what goes over the wire."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from collector.samples import NOW, encoded, finding

from pullwhy.collector.access.agents import Gate
from pullwhy.collector.intake.orders import Orders
from pullwhy.collector.intake.permits import Permits
from pullwhy.collector.intake.server import Desks, Servicer
from pullwhy.collector.intake.streams import Streams
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import Query
from pullwhy.collector.store import SQLStore, open_store
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import METHOD, collector_options

Stream = Any
_OWN = [("grpc.use_local_subchannel_pool", 1)]
"""A connection for each channel, as agents have it: otherwise gRPC shares one between those of a process."""


class Running:
    """A served store, and streams to it."""

    def __init__(self, store: SQLStore, servicer: Servicer, metrics: Metrics, address: str) -> None:
        self.store, self.servicer, self.metrics, self.address = store, servicer, metrics, address
        self._stack = contextlib.AsyncExitStack()

    async def channel(self) -> grpc.aio.Channel:
        return await self._stack.enter_async_context(grpc.aio.insecure_channel(self.address, _OWN))

    async def stream(self, channel: grpc.aio.Channel | None = None) -> Stream:
        """Open a stream, on a connection of its own unless one is given."""
        channel = channel or await self.channel()
        return channel.stream_stream(METHOD, pb.AgentMessage.SerializeToString, pb.CollectorMessage.FromString)()

    async def welcomed(
        self, node: str = "node-a", outbox: str = "box", channel: grpc.aio.Channel | None = None, **hello: Any
    ) -> Stream:
        stream = await self.stream(channel)
        await stream.write(pb.AgentMessage(hello=pb.Hello(node=node, schema="pullwhy/v1", outbox_id=outbox, **hello)))
        assert (await stream.read()).HasField("welcome")
        return stream

    async def close(self) -> None:
        await self._stack.aclose()

    async def stored(self) -> int:
        return len(await self.store.findings(Query(limit=10_000)))


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    max_agents: int = 100,
    hello_seconds: float = 5.0,
    clock: Callable[[], datetime] = lambda: NOW,
    gate: Gate | None = None,
) -> AsyncIterator[Running]:
    store, metrics, streams = open_store(folder / "c.db", clock), Metrics(), Streams()
    orders = Orders(store, streams, metrics, clock)
    desks = Desks(streams, orders, Permits(store, metrics, clock))
    servicer = Servicer(store, desks, metrics, asyncio.get_running_loop().time, max_agents, hello_seconds, gate)
    sending = asyncio.create_task(orders.run())
    server = grpc.aio.server(options=collector_options())
    server.add_generic_rpc_handlers((servicer.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    served = Running(store, servicer, metrics, f"127.0.0.1:{port}")
    try:
        yield served
    finally:
        await served.close()
        await server.stop(0)
        sending.cancel()
        await asyncio.wait([sending])
        await store.close()


def batch(*numbers: int, node: str = "node-a", start: int = 1) -> pb.AgentMessage:
    reports = [
        pb.Report(sequence=start + i, finding_id=finding(number).id, document=encoded(number, node=node))
        for i, number in enumerate(numbers)
    ]
    return pb.AgentMessage(batch=pb.Batch(reports=reports))


async def ended(stream: Stream) -> tuple[str, str]:
    with contextlib.suppress(grpc.aio.AioRpcError):
        while isinstance(await stream.read(), pb.CollectorMessage):
            pass
    return (await stream.code()).name, await stream.details()
