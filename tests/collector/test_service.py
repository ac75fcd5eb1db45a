"""The collector as a process: it starts, says what it lacks, stops at once when told, and leaves nothing."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from collector.samples import NOW, collector, encoded, finding, get, until, writing

from pullwhy.collector.service import Collector, StartError
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import METHOD


def test_it_starts_and_stops_as_often_as_asked_and_keeps_its_findings(tmp_path: Path) -> None:
    async def scenario() -> None:
        for number in range(1, 4):
            outbox = Outbox(None)
            outbox.append(finding(number).id, encoded(number), NOW)
            async with collector(tmp_path) as running:
                reporter = Reporter(outbox, ReportSettings(address=running.grpc_address), node="node-a")
                task = asyncio.create_task(reporter.run())
                await until(lambda: not len(outbox))  # noqa: B023 - awaited at once
                _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings")
                assert len(answer["items"]) == number
                task.cancel()
                await asyncio.wait([task])
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(scenario())


def test_an_answer_on_a_kept_connection_does_not_wait_for_an_acknowledgement(tmp_path: Path) -> None:
    def ask(address: str) -> float:
        connection = http.client.HTTPConnection(address, timeout=5)
        took = []
        for _ in range(20):
            began = time.monotonic()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            took.append(time.monotonic() - began)
        connection.close()
        return min(took[1:])

    async def scenario() -> None:
        async with collector(tmp_path) as running:
            assert await asyncio.to_thread(ask, running.http_address) < 0.035  # tcp(7): a delayed one takes 40 ms

    asyncio.run(scenario())


def taken_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_a_setting_that_cannot_be_is_named_with_the_mend_and_nothing_stays(tmp_path: Path) -> None:
    with taken_port() as taken:
        port = taken.getsockname()[1]
        cases: list[tuple[dict[str, Any], str]] = [
            ({"grpc_listen": f"127.0.0.1:{port}"}, f"grpc_listen 127.0.0.1:{port}: cannot be listened on, is it taken"),
            (
                {"http_listen": f"127.0.0.1:{port}"},
                f"http_listen 127.0.0.1:{port}: Address already in use",
            ),
            ({"http_listen": "192.0.2.1:80"}, "http_listen 192.0.2.1:80: "),
            ({"http_listen": "8080"}, "http_listen '8080': write ADDRESS:PORT"),
            ({"grpc_listen": "127.0.0.1:port"}, "grpc_listen '127.0.0.1:port': write ADDRESS:PORT"),
            ({"database": "/proc/none/c.db"}, "name a file in a directory that can be written"),
            ({"tls_key": "key.pem"}, "without tls_certificate"),
            ({"tls_certificate": "/nowhere/cert.pem", "tls_key": "k"}, "/nowhere/cert.pem: No such file"),
        ]
        for settings, told in cases:

            async def scenario() -> None:
                with pytest.raises(StartError) as error:
                    async with collector(tmp_path, **settings):  # noqa: B023 - run at once
                        pass
                assert told in str(error.value)  # noqa: B023 - run at once
                assert len(asyncio.all_tasks()) == 1

            asyncio.run(scenario())


def test_a_newer_database_is_refused_at_the_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running:
            assert running._store
            writing(running._store).execute("PRAGMA user_version = 99")
        with pytest.raises(StartError, match="a newer collector wrote it"):
            async with collector(tmp_path):
                pass

    asyncio.run(scenario())


def test_agents_are_trusted_by_their_certificate_where_one_is_asked_for(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    server = authority.issue_cert("localhost")
    server.private_key_pem.write_to_path(str(tmp_path / "key"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca"))

    async def greeted(port: str, by: trustme.CA) -> bool:
        mine = by.issue_cert("node-a")
        credentials = grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(), mine.private_key_pem.bytes(), mine.cert_chain_pems[0].bytes()
        )
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            stream: Any = channel.stream_stream(
                METHOD, pb.AgentMessage.SerializeToString, pb.CollectorMessage.FromString
            )()
            try:
                await stream.write(pb.AgentMessage(hello=pb.Hello(node="n", schema="pullwhy/v1", outbox_id="b")))
                return isinstance(await stream.read(), pb.CollectorMessage)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return False

    async def scenario() -> None:
        files = {
            "tls_certificate": str(tmp_path / "cert"),
            "tls_key": str(tmp_path / "key"),
            "tls_client_ca": str(tmp_path / "ca"),
        }
        async with collector(tmp_path, **files) as running:
            port = running.grpc_address.rpartition(":")[2]
            assert [await greeted(port, authority), await greeted(port, stranger)] == [True, False]

    asyncio.run(scenario())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_well_when_told_with_an_agent_connected(tmp_path: Path, number: signal.Signals) -> None:
    with taken_port() as probe:
        port = probe.getsockname()[1]
    program = [sys.executable, "-c", "from pullwhy.cli.main import run; run()", "collector"]
    environment = {
        "PULLWHY_GRPC_LISTEN": f"127.0.0.1:{port}",
        "PULLWHY_HTTP_LISTEN": "127.0.0.1:0",
        "PULLWHY_DATABASE": str(tmp_path / "c.db"),
    }
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True) as process:

        async def connected() -> None:
            outbox = Outbox(None)
            quick = {"sleep": lambda _: asyncio.sleep(0.02)}
            reporter = Reporter(outbox, ReportSettings(address=f"127.0.0.1:{port}"), node="node-a", **quick)  # type: ignore[arg-type]
            task = asyncio.create_task(reporter.run())
            await until(lambda: reporter.connected)
            began = time.monotonic()
            process.send_signal(number)
            assert await asyncio.to_thread(process.wait, 10) == 0
            assert time.monotonic() - began < 5
            task.cancel()
            await asyncio.wait([task])

        try:
            asyncio.run(connected())
        finally:
            process.kill()
        assert process.stderr
        errors = process.stderr.read()
    assert "Traceback" not in errors
    assert "collector: stopping" in errors
    assert not list(tmp_path.glob("c.db-*")), "the database was closed in order"


def test_settings_have_their_defaults() -> None:
    settings = CollectorSettings()
    assert (settings.grpc_listen, settings.http_listen, settings.retention_days) == (
        "0.0.0.0:9443",
        "0.0.0.0:8080",
        30.0,
    )
    assert Collector(settings).http_address == ""


ARENAS = """
import ctypes, sys, threading
from pullwhy.collector.service import _keep_one_arena
if len(sys.argv) > 1:
    _keep_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
gate = threading.Barrier(4)
threads = [threading.Thread(target=lambda: (gate.wait(), libc.malloc(1000), gate.wait())) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fflush(file)
"""


def test_what_one_thread_left_behind_another_uses_again() -> None:
    def arenas(*kept: str) -> int:
        ran = subprocess.run([sys.executable, "-c", ARENAS, *kept], capture_output=True, text=True, check=True)
        return ran.stdout.count("<heap nr=")

    assert arenas() > 1
    assert arenas("kept") == 1
