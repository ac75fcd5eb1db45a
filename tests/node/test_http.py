import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pullwhy.node.http import MAX_CONNECTIONS, PATIENCE, ListenError, Server, is_loopback

ELSEWHERE = "127.0.0.2"
"""An address that stands for another machine's."""


def serve(check: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        server = Server(
            {"/healthz": lambda: (200, "text/plain", "ok\n"), "/readyz": lambda: (503, "text/plain", "no\n")},
            is_local=lambda address: address != ELSEWHERE,
        )
        await server.start("127.0.0.1:0")
        try:
            await check(server.port)
        finally:
            await server.close()

    asyncio.run(run())


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = b""
    with contextlib.suppress(ConnectionResetError):  # what it closed on before it had read all
        async with asyncio.timeout(5):
            answer = await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /healthz HTTP/1.1", b"200 OK", b"ok\n"),
        (b"GET /healthz?x=1 HTTP/1.1", b"200 OK", b"ok\n"),
        (b"HEAD /healthz HTTP/1.1", b"200 OK", b""),
        (b"GET /readyz HTTP/1.1", b"503 Service Unavailable", b"no\n"),
        (b"GET /etc/passwd HTTP/1.1", b"404 Not Found", b"known: /healthz /readyz\n"),
        (b"POST /healthz HTTP/1.1", b"405 Method Not Allowed", b"only GET is served here\n"),
        (b"\xff\xfe", b"405 Method Not Allowed", b"only GET is served here\n"),
    ],
)
def test_answers_what_it_serves_and_refuses_the_rest(request_line: bytes, status: bytes, body: bytes) -> None:
    async def check(port: int) -> None:
        answer = await ask(port, request_line + b"\r\nHost: x\r\n\r\n")
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert content == body

    serve(check)


def test_an_endless_request_is_dropped_and_the_next_one_served() -> None:
    async def check(port: int) -> None:
        assert await ask(port, b"GET /" + b"x" * 100_000) == b""
        assert b"200 OK" in await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n")

    serve(check)


@contextlib.asynccontextmanager
async def held(port: int, number: int, peer: str) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Hold connections on which nothing is asked."""
    opened = [await asyncio.open_connection("127.0.0.1", port, local_addr=(peer, 0)) for _ in range(number)]
    try:
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("peer", ["127.0.0.1", ELSEWHERE])
def test_the_oldest_connection_makes_room_for_who_comes(peer: str) -> None:
    async def check(port: int) -> None:
        async with held(port, MAX_CONNECTIONS + 5, peer) as readers:
            assert b"200 OK" in await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(PATIENCE / 2):
                assert [await reader.read() for reader in readers[:5]] == [b""] * 5

    serve(check)


def test_places_of_this_machine_are_kept_for_it() -> None:
    async def check(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with held(port, 2 * MAX_CONNECTIONS, ELSEWHERE) as readers:
            async with asyncio.timeout(PATIENCE / 2):
                assert await readers[0].read() == b""
            writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert b"200 OK" in await reader.read()
        writer.close()

    serve(check)


@pytest.mark.parametrize(("patience", "pause", "whole"), [(10.0, 0.0, True), (0.3, 1.0, False)])
def test_an_answer_is_whole_and_who_does_not_read_it_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, patience: float, pause: float, whole: bool
) -> None:
    monkeypatch.setattr("pullwhy.node.http.PATIENCE", patience)
    size = 30_000_000  # beyond what sockets take by themselves

    async def run() -> None:
        server = Server({"/metrics": lambda: (200, "text/plain", "x" * size)})
        await server.start("127.0.0.1:0")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.sleep(pause)
        read = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := await reader.read(1_000_000):
                read += len(piece)
        assert (read > size) is whole
        writer.close()
        await server.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("fe80::1%eth0", False)]
)
def test_this_machine_is_known_by_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_an_address_in_use_is_one_clear_error() -> None:
    async def check(port: int) -> None:
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}.*http_listen"):
            await Server({}).start(f"127.0.0.1:{port}")

    serve(check)


def test_a_port_that_is_none_is_one_clear_error() -> None:
    async def run() -> None:
        await Server({}).start("127.0.0.1:99999")

    with pytest.raises(ListenError, match="99999"):
        asyncio.run(run())
