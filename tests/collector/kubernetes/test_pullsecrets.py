"""Named pull secrets: read for a walk on behalf of a pod of their namespace, sent where the kubelet's key matches, shown to nobody."""

import asyncio
import base64
import contextlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.standin import Fault, StandIn
from node.fakes import START, WEB, sync_error
from walking.server import Answer, Got, Server
from walking.shop import Shop
from watch.journals import EPOCH, JournalWriter, host

from pullwhy.config import AgentSettings
from pullwhy.kubernetes import access
from pullwhy.model import CauseId, Outcome, PodRef, PullFailure, Reason, Stage
from pullwhy.node.agent import Agent, Outbox
from pullwhy.node.incidents.findings import Identity as Who
from pullwhy.node.investigate.investigate import Investigation, Investigator
from pullwhy.node.report.opinion import opinion
from pullwhy.node.walk.plan import Sources
from pullwhy.node.walk.pullsecrets import PullSecrets
from pullwhy.node.walk.reach import Reach
from pullwhy.plan import WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import RealNetwork
from pullwhy.probe.walk import walk
from pullwhy.runtime.kubelet.credentials import read_pull_secret
from pullwhy.trace import Identity, Trace

USER, PASSWORD = "canary-user-5e1f", "canary-password-93ac"
VALUES = (USER, PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
SECRET = "/api/v1/namespaces/shop/secrets/regcred"
OTHER = PodRef("other", "web", "2222")


def dockerconfig(*keys: str, legacy: bool = False) -> dict[str, Any]:
    auths = {key: {"auth": VALUES[2]} for key in keys}
    kind, field, document = (
        ("kubernetes.io/dockercfg", ".dockercfg", auths)
        if legacy
        else ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", {"auths": auths})
    )
    return secret(kind, **{field: json.dumps(document)})


def secret(kind: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "regcred"}, "type": kind, "data": encoded}


def account(api: StandIn, folder: Path) -> Path:
    """Make the folder that the kubelet mounts into a pod."""
    mounted = folder / "serviceaccount"
    mounted.mkdir(exist_ok=True)
    shutil.copy(api.settings.ca, mounted / "ca.crt")
    shutil.copy(api.settings.token_file, mounted / "token")
    return mounted


def service(api: StandIn) -> Mapping[str, str]:
    port = api.settings.server.rpartition(":")[2]
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}


class Walks:
    """Walks in this process."""

    def __init__(self) -> None:
        self.plans: list[WalkPlan] = []

    async def walk(self, plan: WalkPlan) -> Trace:
        self.plans.append(plan)
        return await walk(plan, RealNetwork(), SystemClock())


class PlainServer(Server):
    """Answers a TLS hello as Go's HTTP server does; the runtime then goes on without TLS on loopback, and nowhere else."""

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        begin = await reader.readexactly(1)
        if begin == b"\x16":
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.")
            await writer.drain()
            return False
        whole = asyncio.StreamReader()
        whole.feed_data(begin + await reader.readuntil(b"\r\n\r\n"))
        return await super()._one(whole, writer)


class Private(Shop):
    """A registry that asks for a name and a password (Basic), and takes one pair."""

    def respond(self, got: Got) -> Answer:
        if got.headers.get("authorization") == f"Basic {VALUES[2]}":
            return super().respond(got)
        return Answer(401, {"WWW-Authenticate": 'Basic realm="r"'}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')


def private() -> Private:
    shop = Private()
    shop.image("team/app", "1")
    return shop


class Bench:
    """A node, an API and a registry."""

    def __init__(self, api: StandIn, folder: Path, *names: str) -> None:
        self.said: dict[str, str] = {}
        self.walks = Walks()
        self.sources = Sources(
            host_root=folder, proc=folder, runtime_endpoint=str(folder / "none.sock"), service_host=""
        )
        self.secrets = PullSecrets(names or ("shop/regcred",), service(api), self._impaired, account(api, folder))
        self.investigator = Investigator(self.sources, self.walks, lambda: START, secrets=self.secrets)

    def _impaired(self, source: str, line: str) -> None:
        self.said[source] = line

    def look(
        self,
        respond: Any,
        pod: PodRef | None = WEB,
        image: str = "team/app:1",
        *,
        host: str = "127.0.0.1",
        **options: Any,
    ) -> tuple[Investigation, list[Got]]:
        async def go() -> tuple[Investigation, list[Got]]:
            async with PlainServer(respond) as server:
                name = f"{host}:{server.port}/{image}"
                if callable(options.get("prepare")):
                    options["prepare"](server.port)
                told = PullFailure(
                    START, "kubelet.service", options.get("reason", Reason.ERR_IMAGE_PULL), f'failed to pull and unpack image "{name}": {options.get("text", "401 Unauthorized")}',
                    pod, "app", name,
                )  # fmt: skip
                failure = told if options.get("failure", True) else None
                found = await self.investigator.look(name, failure, **options.get("how", {}))
                return found, server.requests

        return asyncio.run(go())


def shown(requests: list[Got]) -> list[str]:
    return [got.headers["authorization"] for got in requests if "authorization" in got.headers]


def details(found: Investigation) -> list[str]:
    assert found.case.trace is not None
    return [each.detail for each in found.case.trace.results if each.target == "pull secrets"]


def evidence(found: Investigation) -> str:
    return "\n".join(each.fact for each in found.diagnosis.evidence)


def keyed(api: StandIn, *, legacy: bool = False, form: str = "127.0.0.1:{}") -> Any:
    def prepare(port: int) -> None:
        api.objects[SECRET] = dockerconfig(form.format(port), legacy=legacy)

    return prepare


@pytest.mark.parametrize("legacy", [False, True])
def test_what_the_key_matches_is_tried_after_nobodys_try(api: StandIn, tmp_path: Path, legacy: bool) -> None:
    bench = Bench(api, tmp_path)
    found, requests = bench.look(private().respond, prepare=keyed(api, legacy=legacy))
    assert "authorization" not in requests[0].headers
    assert set(shown(requests)) == {f"Basic {VALUES[2]}"}
    assert found.case.trace is not None
    passed = [each for each in found.case.trace.results if each.stage is Stage.MANIFEST]
    assert next((each.identity, each.outcome) for each in passed) == (Identity.POD, Outcome.PASSED)
    granted = [each.auth.credentials_source for each in found.case.trace.results if each.auth is not None]
    assert granted[-1] == "Secret shop/regcred"
    assert ["has credentials for" in each for each in details(found)] == [True]
    assert bench.said == {"pull secret shop/regcred": ""}
    assert len(api.asked("/secrets/")) == 1


@pytest.mark.parametrize(
    ("text", "cause", "confidence"),
    [
        (
            "failed to authorize: failed to fetch anonymous token: 401 Unauthorized",
            CauseId.CREDENTIALS_MISSING,
            "Proved",
        ),
        ("401 Unauthorized", CauseId.CREDENTIALS_MISSING, "Likely"),
        ("failed to fetch oauth token: unexpected status: 401 Unauthorized", CauseId.CREDENTIALS_REJECTED, "Likely"),
    ],
)
def test_that_it_opens_the_image_does_not_make_the_kubelets_refusal_good(
    api: StandIn, tmp_path: Path, text: str, cause: CauseId, confidence: str
) -> None:
    found, _ = Bench(api, tmp_path).look(private().respond, prepare=keyed(api), text=text)
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (cause, confidence)
    assert "Secret shop/regcred opens this image to the walk" in evidence(found)
    assert not found.passes


def test_what_only_it_can_see_is_proof(api: StandIn, tmp_path: Path) -> None:
    text = 'failed to resolve reference "x": x: not found'
    found, _ = Bench(api, tmp_path).look(private().respond, image="team/app:2", prepare=keyed(api), text=text)
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (CauseId.TAG_NOT_FOUND, "Proved")


def test_the_nodes_own_credentials_come_first(api: StandIn, tmp_path: Path) -> None:
    def prepare(port: int) -> None:
        keyed(api)(port)
        folder = tmp_path / "var/lib/kubelet"
        folder.mkdir(parents=True)
        own = base64.b64encode(b"node:own").decode()
        (folder / "config.json").write_text(json.dumps({"auths": {f"127.0.0.1:{port}": {"auth": own}}}))

    found, requests = Bench(api, tmp_path).look(private().respond, prepare=prepare)
    given = list(dict.fromkeys(shown(requests)))
    assert [base64.b64decode(each.split()[1]).decode() for each in given] == ["node:own", f"{USER}:{PASSWORD}"]
    assert found.case.trace is not None
    facts = next(each.access for each in found.case.trace.results if each.access is not None)
    assert "regcred" not in str(facts.sources)


@pytest.mark.parametrize(
    ("pod", "options"),
    [
        (OTHER, {}),
        (None, {}),
        (WEB, {"reason": Reason.CREATE_POD_SANDBOX_ERROR}),
        (WEB, {"failure": False, "how": {"reach": Reach(local=True), "within": 5.0}}),
        (WEB, {"failure": False}),
    ],
    ids=["another namespace", "no pod", "sandbox image", "a walk request", "nobody's"],
)
def test_nobody_else_is_walked_for_with_it(
    api: StandIn, tmp_path: Path, pod: PodRef | None, options: dict[str, Any]
) -> None:
    bench = Bench(api, tmp_path)
    found, requests = bench.look(private().respond, pod, prepare=keyed(api), **options)
    assert requests
    assert shown(requests) == []
    assert api.asked("/secrets/") == []
    assert bench.walks.plans[0].credentials == ()
    answer = opinion(found, Who("node-a"), START)
    assert not [value for value in VALUES if value in str(answer)]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("127.0.0.1", "its port is absent"),
        ("127.0.0.1:{}/elsewhere", "no prefix of team/app"),
        ("registry.example", "has no key that matches"),
    ],
)
def test_it_is_not_sent_where_the_kubelet_would_not(api: StandIn, tmp_path: Path, form: str, told: str) -> None:
    found, requests = Bench(api, tmp_path).look(private().respond, prepare=keyed(api, form=form))
    assert shown(requests) == []
    assert told in details(found)[0]
    assert told in evidence(found)


def test_it_is_not_sent_in_plain_http_where_the_runtime_speaks_tls(api: StandIn, tmp_path: Path) -> None:
    """An answer in plain HTTP on the port of TLS: only on loopback the runtime goes on without."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("127.0.0.1 registry.test\n")

    def prepare(port: int) -> None:
        api.objects[SECRET] = dockerconfig(f"registry.test:{port}")

    bench = Bench(api, tmp_path)
    found, requests = bench.look(private().respond, host="registry.test", prepare=prepare)
    assert [len(plan.credentials) for plan in bench.walks.plans] == [1]
    assert shown(requests) == []
    assert found.diagnosis.cause is not CauseId.CREDENTIALS_REJECTED


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
