"""A pull secret that cannot be had stops nothing, and one that can is shown to nobody."""

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.secrets import (
    PASSWORD,
    SECRET,
    USER,
    VALUES,
    Bench,
    PlainServer,
    account,
    dockerconfig,
    evidence,
    keyed,
    private,
    secret,
    service,
    shown,
)
from collector.kubernetes.standin import Fault, StandIn
from node.fakes import sync_error
from walking.server import Answer, Got
from watch.journals import EPOCH, JournalWriter, host

from pullwhy.config import AgentSettings
from pullwhy.kubernetes import access
from pullwhy.model import CauseId
from pullwhy.node.agent import Agent, Outbox
from pullwhy.node.walk.pullsecrets import PullSecrets
from pullwhy.runtime.kubelet.credentials import read_pull_secret


@pytest.mark.parametrize(
    ("given", "fault", "told"),
    [
        (None, None, "does not exist"),
        (dockerconfig("x"), Fault(403, body=b'{"message":"secrets is forbidden"}'), "needs the right to get it"),
        (dockerconfig("x"), Fault(401), "HTTP 401"),
        (dockerconfig("x"), Fault(hang=9.0), "no answer in time"),
        (secret("Opaque", password=PASSWORD), None, "the kubelet reads only"),
        (secret("kubernetes.io/dockerconfigjson", other=PASSWORD), None, "without the key .dockerconfigjson"),
        (secret("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": PASSWORD}), None, "is no JSON"),
        (secret("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": f"auths: {PASSWORD}"}), None, "is no JSON"),
        (
            secret(
                "kubernetes.io/dockerconfigjson",
                **{".dockerconfigjson": json.dumps({"auths": {PASSWORD: {"auth": USER}}})},
            ),
            None,
            "is not base64",
        ),
        ({"kind": "Status", "data": PASSWORD}, None, "not answered as a Secret"),
    ],
    ids=[
        "absent",
        "forbidden",
        "unauthorized",
        "silent",
        "opaque",
        "no key",
        "no json",
        "yaml",
        "no auth",
        "no secret",
    ],
)
def test_one_that_cannot_be_had_is_told_and_stops_nothing(
    api: StandIn,
    tmp_path: Path,
    given: dict[str, Any] | None,
    fault: Fault | None,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pullwhy.node.walk.pullsecrets.REQUEST_SECONDS", 0.5)
    monkeypatch.setattr("pullwhy.node.walk.pullsecrets.PATIENCE_SECONDS", 0.6)
    bench = Bench(api, tmp_path)
    if given is not None:
        api.objects[SECRET] = given
    if fault is not None:
        api.misbehave("/secrets/", *[fault] * 4)
    found, requests = bench.look(private().respond)
    assert requests
    assert found.diagnosis.cause is CauseId.CREDENTIALS_MISSING
    assert told in bench.said["pull secret shop/regcred"]
    assert "Secret shop/regcred was not tried: " in evidence(found)
    assert told in evidence(found)
    written = f"{bench.said}{found.diagnosis}{found.case.trace}"
    assert not [value for value in VALUES if value in written]


def test_without_a_cluster_everything_else_works(api: StandIn, tmp_path: Path) -> None:
    bench = Bench(api, tmp_path)
    bench.secrets = PullSecrets(("shop/regcred",), {}, bench._impaired, tmp_path)
    bench.investigator = replace(bench.investigator, secrets=bench.secrets)
    found, _ = bench.look(private().respond)
    assert "KUBERNETES_SERVICE_HOST is not set" in bench.said["pull secret shop/regcred"]
    assert found.diagnosis.cause is CauseId.CREDENTIALS_MISSING
    bench.secrets = PullSecrets(("shop/regcred",), service(api), bench._impaired, tmp_path / "none")
    bench.investigator = replace(bench.investigator, secrets=bench.secrets)
    bench.look(private().respond)
    assert "automountServiceAccountToken" in bench.said["pull secret shop/regcred"]


def test_a_renewed_token_and_a_mended_secret_are_seen(api: StandIn, tmp_path: Path) -> None:
    bench = Bench(api, tmp_path)
    bench.look(private().respond)
    assert "does not exist" in bench.said["pull secret shop/regcred"]
    api.own_token = "renewed"
    (tmp_path / "serviceaccount/token").write_text("renewed\n")
    _, requests = bench.look(private().respond, prepare=keyed(api))
    assert shown(requests)
    assert bench.said["pull secret shop/regcred"] == ""


def test_its_values_are_in_no_text_form(api: StandIn, tmp_path: Path) -> None:
    read = read_pull_secret("shop/regcred", dockerconfig("registry.example"))
    bench = Bench(api, tmp_path)
    bench.look(private().respond, prepare=keyed(api))
    written = f"{read!r} {read} {bench.walks.plans!r}"
    assert not [value for value in VALUES if value in written]


@pytest.mark.slow
def test_neither_log_nor_state_nor_finding_of_an_agent_holds_its_values(
    api: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole agent, its walker's child included: the registry is shown the Secret, refuses it, and that is what is told."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", account(api, tmp_path))
    for name, value in service(api).items():
        monkeypatch.setenv(name, value)
    root, state = tmp_path / "host", tmp_path / "state"
    journal = host(root)
    settings = AgentSettings(
        node="node-a",
        host_root=str(root),
        state_directory=str(state),
        runtime_endpoint=str(tmp_path / "none.sock"),
        http_listen="",
        pull_secrets=("shop/regcred",),
    )
    requests: list[Got] = []

    async def go() -> list[bytes]:
        def refuse(got: Got) -> Answer:
            requests.append(got)
            return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')

        async with PlainServer(refuse, host="127.0.0.2") as server:
            # Another address than the API server's, which is never dialled.
            keyed(api, form="127.0.0.2:{}")(server.port)
            outbox = Outbox(state)
            running = asyncio.ensure_future(Agent(settings, outbox).run())
            image = f"127.0.0.2:{server.port}/team/app:1"
            error = "unexpected status from HEAD request to registry: 401 Unauthorized"
            with JournalWriter(journal / "system.journal") as writer:
                shift = int(time.time()) - EPOCH // 1_000_000
                writer.write(shift, sync_error(0, error, image=image).text)
                async with asyncio.timeout(25):
                    while not any(b"Secret shop/regcred" in each.document for each in outbox.pending()):  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            documents = [each.document for each in outbox.pending()]
            await asyncio.sleep(1.5)  # the checkpoint is written meanwhile
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            return documents

    documents = asyncio.run(go())
    assert f"Basic {VALUES[2]}" in shown(requests)
    kept = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    assert any(b"Secret shop/regcred" in each for each in kept)
    everything = b"\n".join((*documents, *kept, caplog.text.encode()))
    assert CauseId.CREDENTIALS_REJECTED.encode() in everything
    assert not [value for value in VALUES if value.encode() in everything]
