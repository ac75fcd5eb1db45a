"""How the reporter connects: pings, certificates and no proxy."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from collector.samples import until
from node.fakecollector import (
    FakeCollector,
    acknowledges,
    never_acknowledges,
    outbox_with,
    reporting,
    said,
    serving,
)

from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import (
    AGENT_PING_SECONDS,
    LEAST_PING_SECONDS,
    SERVICE,
    agent_options,
    collector_options,
)


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
