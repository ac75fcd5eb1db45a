"""What a stranger may hold of the collector: connections are bounded in number and time, whether or not they say anything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from collector.minted import Pair, ServerFiles
from collector.samples import collector

from pullwhy.protocol import collector_options, most_connections

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of HTTP/2 begins with, and settings that set nothing (RFC 9113, section 3.4)."""


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def closed_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(4096):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


@contextlib.asynccontextmanager
async def connections(address: str, number: int, say: bytes = b"") -> AsyncIterator[list[Connection]]:
    host, _, port = address.rpartition(":")
    made = [Connection(*await asyncio.open_connection(host, int(port))) for _ in range(number)]
    try:
        for each in made:
            each.writer.write(say)
        yield made
    finally:
        for each in made:
            each.writer.transport.abort()


@pytest.mark.parametrize("said", [b"", PREFACE])
def test_a_connection_that_opens_no_stream_is_closed(said: bytes) -> None:
    async def scenario() -> None:
        server = grpc.aio.server(options=collector_options(handshake_seconds=0.2, idle_seconds=0.2))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with connections(f"127.0.0.1:{port}", 1, said) as (one,):
            assert await one.closed_within(5)
        await server.stop(0)

    asyncio.run(scenario())


@pytest.mark.parametrize("said", [b"", PREFACE])
def test_connections_beyond_those_of_the_agents_are_closed_at_once_also_before_tls(tmp_path: Path, said: bytes) -> None:
    files, pair = ServerFiles(tmp_path), Pair(tmp_path)
    tls = files.settings | {"tls_client_ca": str(pair.authority)} if not said else {}

    async def scenario() -> None:
        async with collector(tmp_path, max_agents=8, **tls) as running:
            most = most_connections(8)
            async with connections(running.grpc_address, most, said) as kept:
                async with connections(running.grpc_address, 1, said) as (one,):
                    assert await one.closed_within(5)
                assert not await kept[-1].closed_within(0.2)

    asyncio.run(scenario())
