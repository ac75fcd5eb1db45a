"""However many connections there are and whatever they do or leave undone, the kubelet's probes and other peers are answered."""

import asyncio
import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.minted import ServerFiles
from collector.samples import collector

from pullwhy.collector.api import connections

PROBES = ("/healthz", "/readyz")
QUESTION = "/api/v1/findings"
HEAD = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


def opened(port: int, peer: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 8, (peer, 0))


def ask(port: int, path: str, peer: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(peer, 0))
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


@contextlib.contextmanager
def watching(port: int, peer: str, number: int) -> Iterator[None]:
    """Hold connections on which an answer is under way."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            stream = stack.enter_context(opened(port, peer))
            stream.sendall(b"GET /api/v1/events?topics=problems HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200 OK" in stream.recv(4096)
        yield


def answers(connection: socket.socket) -> bool:
    """Say that a probe on a kept connection is answered."""
    connection.sendall(HEAD)
    answer = b""
    while not answer.endswith(b"}"):
        piece = connection.recv(4096)
        assert piece, "it was closed"
        answer += piece
    return b"200 OK" in answer


def ended(connection: socket.socket) -> bool:
    """Say that the other end closed it, which takes less than the time-out."""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while connection.recv(65536):
            pass
    return True


def run(folder: Path, check: Callable[[int], None], **settings: Any) -> None:
    async def scenario() -> None:
        async with collector(folder, **settings) as running:
            await asyncio.to_thread(check, int(running.http_address.rpartition(":")[2]))

    asyncio.run(scenario())


def test_idle_connections_take_no_place_from_who_asks(tmp_path: Path) -> None:
    def check(port: int) -> None:
        with contextlib.ExitStack() as stack:
            for number in range(connections.MOST + 50):
                stack.enter_context(opened(port, f"127.0.0.{number % 5 + 2}"))
            for path in (*PROBES, QUESTION):
                assert ask(port, path) == 200

    run(tmp_path, check)


@pytest.mark.parametrize("tls", [False, True])
def test_a_peer_loses_its_own_idle_connections_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    monkeypatch.setattr(connections, "OF_ONE_PEER", 3)
    files = ServerFiles(tmp_path)
    context = ssl.create_default_context(cafile=str(files.ca))

    def check(port: int) -> None:
        def greeted(peer: str) -> socket.socket:
            plain = opened(port, peer)
            return context.wrap_socket(plain, server_hostname="localhost") if tls else plain

        with contextlib.ExitStack() as stack:
            other = stack.enter_context(greeted("127.0.0.2"))
            mine = [stack.enter_context(greeted("127.0.0.3")) for _ in range(3)]
            assert answers(mine[0])  # and is idle since then
            stack.enter_context(greeted("127.0.0.3"))
            assert ended(mine[1])
            assert all(map(answers, (other, mine[0], mine[2])))

    run(tmp_path, check, http_tls=tls, **files.settings)


def test_where_all_places_are_in_use_probes_alone_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 4)
    monkeypatch.setattr(connections, "OF_ONE_PEER", 2)

    def check(port: int) -> None:
        with watching(port, "127.0.0.2", 2):
            assert [ask(port, path, "127.0.0.2") for path in (*PROBES, QUESTION)] == [200, 200, 503]
            assert [ask(port, path, "127.0.0.3") for path in (*PROBES, QUESTION)] == [200, 200, 200]
            with watching(port, "127.0.0.3", 2):
                assert [ask(port, path, "127.0.0.4") for path in (*PROBES, QUESTION)] == [200, 200, 503]
                monkeypatch.setattr(connections, "FOR_PROBES", 0)
                with opened(port, "127.0.0.4") as beyond:
                    assert ended(beyond)

    run(tmp_path, check)


def test_a_request_that_does_not_come_whole_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)

    def check(port: int) -> None:
        with opened(port) as silent, opened(port) as begun, opened(port) as kept:
            begun.sendall(HEAD[:20])
            assert answers(kept)
            for piece in (HEAD[:5], HEAD[5:9], HEAD[9:12]):
                kept.sendall(piece)
            assert all(map(ended, (silent, begun, kept)))
        with opened(port) as kept:
            for _ in range(3):
                assert answers(kept)
                time.sleep(0.6)

    run(tmp_path, check)


def test_an_answer_that_nobody_takes_ends_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.3)
    much = HEAD.replace(b"/healthz", b"/openapi.json") * 400

    def check(port: int) -> None:
        with opened(port) as greedy:
            # It reads none of its answers, so that in the end nothing more is taken of its questions either.
            with contextlib.suppress(ConnectionError):
                while True:
                    greedy.sendall(much)
            assert ended(greedy)

    run(tmp_path, check)
