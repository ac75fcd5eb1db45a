import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from walking.server import Answer, RawServer, Server

from pullwhy.probe.network import (
    MAX_STRAY_DATAGRAMS,
    ConnectFailed,
    RealNetwork,
    Stream,
    StreamReset,
    StreamTimedOut,
)
from pullwhy.trace import ConnectResult


def refused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("127.0.0.1", ConnectResult.REFUSED),
        ("255.255.255.255", ConnectResult.UNREACHABLE),
    ],
)
def test_what_the_kernel_says_has_its_own_result(address: str, result: ConnectResult) -> None:
    with pytest.raises(ConnectFailed) as caught:
        asyncio.run(RealNetwork().connect(address, refused_port(), 1.0))
    assert caught.value.result is result
    assert "(E" in caught.value.detail


def test_a_full_backlog_is_silence() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address, port = server.getsockname()

        async def go() -> None:
            network = RealNetwork()
            opened: list[Stream] = []
            try:
                while len(opened) < 10:
                    opened += [await network.connect(address, port, 0.2)]
            finally:
                for stream in opened:
                    stream.close()

        with pytest.raises(ConnectFailed) as caught:
            asyncio.run(go())
    assert caught.value.result is ConnectResult.TIMED_OUT
    assert "0.2 s" in caught.value.detail


def with_stream(server: Server, use: Callable[[Stream], Awaitable[bytes]]) -> bytes:
    async def go() -> bytes:
        async with server:
            stream = await RealNetwork().connect("127.0.0.1", server.port, 1.0)
            try:
                return await use(stream)
            finally:
                stream.close()
                stream.close()

    return asyncio.run(go())


def test_bytes_go_and_come() -> None:
    async def use(stream: Stream) -> bytes:
        await stream.write(b"x", 1.0)
        first = await stream.read(3, 1.0)
        return first + await stream.read(100, 1.0) + await stream.read(100, 1.0)

    assert with_stream(RawServer(b"hello"), use) == b"hello"


def test_silence_ends_in_time() -> None:
    async def use(stream: Stream) -> bytes:
        await stream.write(b"x", 1.0)
        return await stream.read(10, 0.1)

    with pytest.raises(StreamTimedOut, match=r"0\.1 s"):
        with_stream(RawServer(None), use)


def test_a_peer_that_takes_nothing_ends_in_time() -> None:
    async def use(stream: Stream) -> bytes:
        await stream.write(b"x" * 50_000_000, 0.2)
        return b""

    with pytest.raises(StreamTimedOut):
        with_stream(RawServer(None), use)


def test_a_reset_is_a_reset() -> None:
    async def use(stream: Stream) -> bytes:
        await stream.write(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100_000, 1.0)
        while True:
            if not await stream.read(100_000, 1.0):
                return b""

    with pytest.raises(StreamReset, match="ECONNRESET"):
        with_stream(Server(lambda _: Answer(reset=True)), use)


class Echo(asyncio.DatagramProtocol):
    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for answer in self.answers or [data]:
            self.transport.sendto(answer, addr)


def exchange(answers: list[bytes], accept: Callable[[bytes], bool]) -> bytes:
    async def go() -> bytes:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Echo(answers), ("127.0.0.1", 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            return await RealNetwork().udp_exchange("127.0.0.1", port, b"question", 0.3, accept)
        finally:
            transport.close()

    return asyncio.run(go())


def test_the_first_acceptable_datagram_is_the_answer() -> None:
    assert exchange([], lambda _: True) == b"question"
    assert exchange([b"forged", b"forged", b"right"], lambda data: data == b"right") == b"right"


def test_strays_alone_are_no_answer() -> None:
    with pytest.raises(ConnectFailed) as caught:
        exchange([b"forged"], lambda _: False)
    assert caught.value.result is ConnectResult.TIMED_OUT
    with pytest.raises(ConnectFailed) as caught:
        exchange([b"forged"] * (MAX_STRAY_DATAGRAMS + 1), lambda _: False)
    assert caught.value.result in (ConnectResult.OTHER, ConnectResult.TIMED_OUT)


def test_a_closed_udp_port_refuses() -> None:
    with pytest.raises(ConnectFailed) as caught:
        asyncio.run(RealNetwork().udp_exchange("127.0.0.1", refused_port(), b"q", 1.0, lambda _: True))
    assert caught.value.result is ConnectResult.REFUSED


def test_the_local_address_towards_another_is_told_without_a_packet() -> None:
    assert RealNetwork().source("127.0.0.1") == "127.0.0.1"
    assert RealNetwork().source("ff00::1%nowhere") == ""
