"""Who asks sees what they may see, and of other namespaces not even a pod's name; who may not is told, logged once and counted."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.standin import Fault, StandIn
from collector.minted import ServerFiles
from collector.samples import NOW, collector, finding, get, until

from pullwhy.access import API_SOURCE
from pullwhy.collector import readers
from pullwhy.collector.api.sight import HIDDEN
from pullwhy.collector.service import Collector, StartError
from pullwhy.config import ReportSettings
from pullwhy.diagnose.document import encode
from pullwhy.model import Evidence, FailingPod, KubeletState, Stage
from pullwhy.node.outbox import Outbox
from pullwhy.node.reporter import Reporter

BOTH = (FailingPod("shop", "web-1", "uid-shop", "main"), FailingPod("bank", "vault-7d9c", "uid-bank", "main"))
FACTS = (
    Evidence(
        Stage.KUBELET, "pod bank/vault-7d9c uses secret bank/regcred, vault-7d9c_bank(uid-bank), vault-7d9c", "journal"
    ),
    Evidence(Stage.KUBELET, "pod bank/vault-7d9c: imagePullSecrets bankcred", API_SOURCE),
    Evidence(Stage.KUBELET, "pod shop/web-1: imagePullSecrets shopcred", API_SOURCE),
    Evidence(Stage.AUTH, "Secret bank/bankcred has no key that matches registry.example/shop/web", API_SOURCE),
    Evidence(Stage.AUTH, "Secret shop/shopcred has no key that matches registry.example/shop/web", API_SOURCE),
    Evidence(Stage.MANIFEST, "HTTP 404 for vault:1.4 at /v2/bank/vault-7d9c/manifests", "walk"),
)
SHARED = finding(
    1,
    pods=BOTH,
    kubelet=KubeletState(2, "Error syncing pod vault-7d9c_bank(uid-bank)"),
    diagnosis=replace(finding().diagnosis, evidence=FACTS),
)
BANKS = finding(2, pods=BOTH[1:])
TOKEN = "a-token-of-jane-0001"
ADMIN = "a-token-of-root-0002"
FILE = f"""
[[readers]]
name = "jane"
token = "{TOKEN}"
namespaces = ["shop", "cart"]

[[readers]]
name = "root"
token = "{ADMIN}"
may = ["probes", "silences"]
"""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "api").mkdir()
    running = StandIn(tmp_path / "api")
    running.token(TOKEN, "jane")
    running.token(ADMIN, "root")
    running.allowed |= {("jane", "get", "findings", "shop"), ("root", "get", "findings", "")}
    running.allowed |= {("root", "create", "probes", ""), ("root", "create", "silences", "")}
    yield running
    running.stop()


@contextlib.asynccontextmanager
async def filled(folder: Path, **settings: Any) -> AsyncIterator[Collector]:
    async with collector(folder, **settings) as running:
        outbox = Outbox(None)
        for each in (SHARED, BANKS):
            outbox.append(each.id, encode(each), NOW)
        reporter = Reporter(outbox, ReportSettings(address=running.grpc_address), node="node-a")
        task = asyncio.create_task(reporter.run())
        await until(lambda: not len(outbox))
        yield running
        task.cancel()
        await asyncio.wait([task])


async def ask(running: Collector, path: str, token: str = TOKEN, method: str = "GET") -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    status, answer, _ = await asyncio.to_thread(get, running.http_address, path, headers, method)
    return status, answer


async def check(running: Collector) -> None:
    """Hold for readers of both kinds."""
    for path, status, told in (
        ("/api/v1/findings", 403, "name one with ?namespace="),
        ("/api/v1/problems", 403, "name one with ?namespace="),
        ("/api/v1/findings?namespace=bank", 403, "may not see findings of the namespace 'bank'"),
        ("/api/v1/nodes", 403, "for who may see all"),
        ("/api/v1/registries", 403, "for who may see all"),
        ("/api/v1/probes", 403, "for who may see all"),
        (f"/api/v1/findings/{BANKS.id}", 404, "that you may see"),
    ):
        answer = await ask(running, path)
        assert answer[0] == status, path
        assert told in answer[1]["error"]
    status, answer = await ask(running, "/api/v1/findings?namespace=shop")
    assert (status, [each["id"] for each in answer["items"]]) == (200, [SHARED.id])
    assert_hidden(answer)
    assert (
        answer["items"][0]["evidence"][0]["fact"] == f"pod {HIDDEN} uses secret {HIDDEN}, {HIDDEN}({HIDDEN}), {HIDDEN}"
    )
    assert "pod shop/web-1: imagePullSecrets shopcred" in json.dumps(answer)
    assert "Secret shop/shopcred has no key" in json.dumps(answer)
    status, answer = await ask(running, f"/api/v1/findings/{SHARED.id}")
    assert (status, [pod["name"] for pod in answer["pods"]]) == (200, ["web-1"])
    assert_hidden(answer)
    status, answer = await ask(running, "/api/v1/problems?namespace=shop")
    assert status == 200
    (problem,) = answer["items"]
    assert problem["example"] == SHARED.id
    assert_hidden(answer)
    status, answer = await ask(running, f"/api/v1/problems/{problem['id']}")
    assert (status, answer["finding"]["id"]) == (200, SHARED.id)
    (banks,) = (
        each for each in (await ask(running, "/api/v1/problems", ADMIN))[1]["items"] if each["id"] != problem["id"]
    )
    assert (await ask(running, f"/api/v1/problems/{banks['id']}"))[0] == 404
    assert_hidden(answer)
    for path in (f"/api/v1/problems/{problem['id']}/silence", "/api/v1/probes"):
        status, answer = await ask(running, path, method="DELETE" if "silence" in path else "POST")
        assert (status, "takes the right to create" in str(answer)) in ((403, True), (400, False), (422, False))
    for token in ("", "another-token-0003"):
        assert (await ask(running, "/api/v1/findings?namespace=shop", token))[0] == 401
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert (await ask(running, path, ""))[0] == 200
    status, answer = await ask(running, "/api/v1/findings", ADMIN)
    assert (status, len(answer["items"])) == (200, 2)
    assert "vault-7d9c" in json.dumps(answer)
    assert (await ask(running, "/api/v1/nodes", ADMIN))[0] == 200
    assert (await ask(running, f"/api/v1/problems/{problem['id']}/silence", ADMIN, "DELETE"))[0] in (200, 204)


def assert_hidden(answer: Any) -> None:
    text = json.dumps(answer)
    # What the image's own path holds stays: it is the image that fails.
    assert "bankcred" not in text
    for name in ("uid-bank", "vault-7d9c_", "bank/regcred", '"bank"'):
        assert name not in text
    assert text.count("vault-7d9c") == text.count("/v2/bank/vault-7d9c/manifests")


def test_readers_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "readers.toml"
    file.write_text(FILE)

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="file", reader_tokens=str(file)) as running:
            await check(running)
            file.write_text(FILE.replace(TOKEN, "a-newer-token-of-jane"))
            assert (await ask(running, "/api/v1/findings?namespace=shop"))[0] == 401
            assert (await ask(running, "/api/v1/findings?namespace=shop", "a-newer-token-of-jane"))[0] == 200
            file.write_text(f"token = {TOKEN}")
            assert (await ask(running, "/api/v1/findings?namespace=shop", "a-newer-token-of-jane"))[0] == 200

    asyncio.run(scenario())
    for secret in (TOKEN, ADMIN, "another-token-0003", "a-newer-token-of-jane"):
        assert secret not in caplog.text
    assert "who could read before still can" in caplog.text
    refused = [record.getMessage() for record in caplog.records if record.getMessage().startswith("refused (")]
    assert len(refused) == len({line.split()[1] for line in refused}) == 3, "by kind and party"


def test_readers_that_the_cluster_knows(tmp_path: Path, api: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="kubernetes", kubernetes=api.settings) as running:
            await check(running)
            asked = len(api.seen)
            await ask(running, "/api/v1/findings?namespace=shop")
            assert len(api.seen) == asked, "answers are kept"

    asyncio.run(scenario())
    assert TOKEN not in caplog.text


def test_while_the_api_is_away_who_was_known_still_reads(
    tmp_path: Path, api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "REVIEWED_SECONDS", 0.0)
    monkeypatch.setattr(readers, "REFUSED_SECONDS", 0.0)

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="kubernetes", kubernetes=api.settings) as running:
            assert (await ask(running, "/api/v1/findings?namespace=shop"))[0] == 200
            api.misbehave("reviews", *[Fault(500)] * 100)
            monkeypatch.setattr("pullwhy.kubernetes.client.FIRST_PAUSE_SECONDS", 0.0)
            assert (await ask(running, "/api/v1/findings?namespace=shop"))[0] == 200
            status, answer = await ask(running, "/api/v1/findings?namespace=shop", ADMIN)
            assert (status, "does not say whose token" in answer["error"]) == (503, True)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (f"token = {TOKEN}", "not TOML"),
        ("[[readers]]\nname = 'x'\n", "missing required field `token`"),
        ("[[readers]]\nname = 'x'\ntoken = 'short'\n", "length >= 16"),
        (FILE.replace("may", "mya"), "unknown field `mya`"),
    ],
)
def test_a_file_that_names_no_readers_ends_the_start_without_showing_them(
    tmp_path: Path, content: str | None, told: str
) -> None:
    file = tmp_path / "readers.toml"
    if content is not None:
        file.write_text(content)

    async def scenario() -> None:
        async with collector(tmp_path, reader_auth="file", reader_tokens=str(file)):
            pass

    with pytest.raises(StartError, match=told) as error:
        asyncio.run(scenario())
    assert TOKEN not in str(error.value)
    assert "short" not in str(error.value)


def test_questions_over_tls_use_a_renewed_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    monkeypatch.setattr("pullwhy.collector.certificates.LOOK_SECONDS", 0.05)
    files = ServerFiles(tmp_path)

    def answers(address: str) -> bool:
        context = ssl.create_default_context(cafile=str(files.ca))
        port = address.rpartition(":")[2]
        try:
            with urllib.request.urlopen(f"https://localhost:{port}/healthz", context=context) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    async def scenario() -> None:
        async with collector(tmp_path, http_tls=True, **files.settings) as running:
            assert await asyncio.to_thread(answers, running.http_address)
            files.renew(type(files.authority)())
            await until(lambda: asyncio.to_thread(answers, running.http_address))

    asyncio.run(scenario())
