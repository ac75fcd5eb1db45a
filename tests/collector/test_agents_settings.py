"""Who agents are by their certificate's name, and which settings of their identity go together."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
import trustme
from collector.agentsays import Code, says
from collector.minted import ServerFiles
from collector.samples import collector

from pullwhy.collector.access import agents
from pullwhy.collector.access.agents import CertificateGate, Identity
from pullwhy.collector.denials import Denial, Denied
from pullwhy.collector.identities import Identities
from pullwhy.collector.service import StartError
from pullwhy.collector.settings import CollectorSettings, KubernetesSettings
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
from pullwhy.secret import Secret


@pytest.mark.parametrize(
    ("uris", "identity"),
    [
        (["pullwhy://node/node-a"], Identity("node-a", "here", agents.CERTIFICATE_SECONDS)),
        (["spiffe://x/y", "pullwhy://node/prod/n.x"], Identity("n.x", "prod", agents.CERTIFICATE_SECONDS)),
        ([], None),
        (["pullwhy://node/a", "pullwhy://node/b"], None),
        (["pullwhy://node/a/b/c"], None),
        (["pullwhy://node/"], None),
        (["pullwhy://node/a\n"], None),
        (["xpullwhy://node/a"], None),
    ],
)
def test_only_one_uri_of_the_form_is_an_identity(uris: list[str], identity: Identity | None) -> None:
    peer = {"peer_uri": [uri.encode() for uri in uris], "x509_common_name": [b"node-a"]}
    if identity is None:
        with pytest.raises(Denied) as error:
            asyncio.run(CertificateGate("here").admit(peer, None))
        assert error.value.denial is Denial.BAD_CERTIFICATE
    else:
        assert asyncio.run(CertificateGate("here").admit(peer, Secret("x"))) == identity


def test_a_cluster_in_the_certificate_binds_too() -> None:
    Identity("a", "prod").check("prod", "a")
    Identity("a").check("any", "a")
    Identity("").check("any", "any")
    with pytest.raises(Denied, match="of cluster 'prod', it reports for 'test'"):
        Identity("a", "prod").check("test", "a")


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        files = ServerFiles(tmp_path)
        async with collector(tmp_path, **files.settings) as running:
            assert (await says(running, files, "node-a"))[0] is Code.OK
            files.renew(trustme.CA())
            assert (await says(running, files, "node-a"))[0] is Code.OK, "the new authority is the one that signed"
            files.certificate.write_bytes(b"half a certif")
            assert (await says(running, files, "node-a"))[0] is Code.OK, "what was good goes on"
            assert "stays in use" in caplog.text
            files.renew()
            assert (await says(running, files, "node-a"))[0] is Code.OK

    asyncio.run(scenario())
    assert "PRIVATE KEY" not in caplog.text


def test_an_open_collector_says_so(caplog: pytest.LogCaptureFixture) -> None:
    Identities(CollectorSettings(grpc_listen="127.0.0.1:9443", http_listen="[::1]:8080")).warn()
    assert not caplog.records
    Identities(CollectorSettings()).warn()
    assert "EVERYBODY who reaches 0.0.0.0:9443 may report findings for any node; set agent_auth" in caplog.text
    assert (
        "EVERYBODY who reaches 0.0.0.0:8080 may see every finding and have nodes walk; set reader_auth" in caplog.text
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"agent_auth": "kubernetes"}, "without tls_certificate"),
        ({"agent_auth": "certificate", "tls_certificate": "c", "tls_key": "k"}, "needs tls_client_ca"),
        (
            {"agent_auth": "kubernetes", "tls_certificate": "c", "tls_key": "k", "agent_service_account": "agent"},
            "agent_service_account as NAMESPACE/NAME",
        ),
        (
            {"grpc_listen": "0.0.0.0:0", "kubernetes": KubernetesSettings(pods=True, events=True)},
            'kubernetes.events with agent_auth = "none" would let whoever reaches 0.0.0.0:0',
        ),
    ],
)
def test_settings_that_do_not_go_together_are_named(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    async def scenario() -> None:
        async with collector(tmp_path, **settings):
            pass

    with pytest.raises(StartError, match=told):
        asyncio.run(scenario())


def test_a_token_is_not_sent_in_the_clear_and_a_missing_one_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("")

    async def scenario() -> None:
        for settings in (
            ReportSettings(address="127.0.0.1:1", token_file=str(file)),
            ReportSettings(address="127.0.0.1:1", token_file=str(file), tls=True),
            ReportSettings(address="127.0.0.1:1", token_file=str(tmp_path / "none"), tls=True),
        ):
            reporter = Reporter(Outbox(None), settings, node="n", sleep=lambda _: asyncio.sleep(60))
            task = asyncio.create_task(reporter.run())
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(scenario())
    for told in ("without report.tls", "holds no token", "No such file"):
        assert told in caplog.text
