import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from pullwhy.node.http import ListenError, Server


def serve(check: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        server = Server(
            {"/healthz": lambda: (200, "text/plain", "ok\n"), "/readyz": lambda: (503, "text/plain", "no\n")}
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
