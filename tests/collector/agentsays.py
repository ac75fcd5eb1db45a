"""Agents that say who they are to a collector that wants to know."""

import asyncio
from typing import Any

import grpc
import grpc.aio
from collector.minted import Pair, ServerFiles

from pullwhy.collector.service import Collector
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import METHOD

Code = grpc.StatusCode


async def says(
    running: Collector,
    files: ServerFiles,
    node: str,
    token: str = "",
    pair: Pair | None = None,
    *then: pb.AgentMessage,
    cluster: str = "",
) -> tuple[Code, str]:
    """Say hello, and more; return how the stream ended, OK where every message was answered."""
    port = running.grpc_address.rpartition(":")[2]
    mine = (pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(files.ca.read_bytes(), *mine)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        stream: Any = channel.stream_stream(METHOD, pb.AgentMessage.SerializeToString, pb.CollectorMessage.FromString)(
            metadata=metadata
        )
        hello = pb.AgentMessage(hello=pb.Hello(node=node, cluster=cluster, schema="pullwhy/v1", outbox_id="box"))
        try:
            for message in (hello, *then):
                await stream.write(message)
                if not isinstance(await stream.read(), pb.CollectorMessage):
                    return await stream.code(), await stream.details()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return await stream.code(), await stream.details()
        return Code.OK, ""
