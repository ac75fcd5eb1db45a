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
from collector.kubernetes.standin import Fault, Group, StandIn
from collector.reading import ADMIN, FILE, TOKEN
from collector.samples import NOW, collector, fill, finding, get, until

from pullwhy.access import API_SOURCE
from pullwhy.collector.access import readers
from pullwhy.collector.api.sight import HIDDEN
from pullwhy.collector.fleet import Canary, Probe, Purpose, WalkState
from pullwhy.collector.service import Collector
from pullwhy.config import ReportSettings
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import Evidence, FailingPod, KubeletState, Stage
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter

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


async def ask(
    running: Collector, path: str, token: str = TOKEN, method: str = "GET", body: Any = None
) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    status, answer, _ = await asyncio.to_thread(get, running.http_address, path, headers, method, body)
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


PROBER = "a-token-of-mary-0003"
MARY = f"""
[[readers]]
name = "mary"
token = "{PROBER}"
namespaces = ["shop"]
may = ["probes", "silences"]
"""


def test_what_may_not_be_seen_is_told_as_what_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "readers.toml"
    file.write_text(FILE + MARY)
    elsewhere = finding(1, node="node-b", pods=BOTH[1:])

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="file", reader_tokens=str(file)) as running:
            assert running._store is not None
            await fill(running._store, [elsewhere])
            problems = (await ask(running, "/api/v1/problems", ADMIN))[1]["items"]
            theirs, banks = sorted(problems, key=lambda each: each["nodes"], reverse=True)
            whole = (await ask(running, f"/api/v1/problems/{theirs['id']}", ADMIN))[1]
            assert whole["failing_nodes"] == ["node-a", "node-b"]
            seen = (await ask(running, f"/api/v1/problems/{theirs['id']}", PROBER))[1]
            assert (seen["failing_nodes"], seen["nodes"]) == (["node-a"], 2)
            for path, hidden in (("findings", BANKS.id), ("problems", banks["id"])):
                answers = [await ask(running, f"/api/v1/{path}/{each}", PROBER) for each in (hidden, "0" * 16)]
                assert answers[0] == answers[1]
                assert answers[0][0] == 404
            silence = {"reason": "moves tonight", "until": "1h"}
            answers = [
                await ask(running, f"/api/v1/problems/{each}/silence", PROBER, method, body)
                for each in (banks["id"], "0" * 16)
                for method, body in (("PUT", silence), ("DELETE", None))
            ]
            assert len({str(each) for each in answers}) == 1
            assert answers[0][0] == 404
            assert (await ask(running, f"/api/v1/problems/{theirs['id']}/silence", PROBER, "PUT", silence))[0] == 200

    asyncio.run(scenario())


def test_a_canary_on_a_node_without_a_pod_of_theirs_is_not_named(tmp_path: Path) -> None:
    file = tmp_path / "readers.toml"
    file.write_text(FILE + MARY)

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="file", reader_tokens=str(file)) as running:
            store = running._store
            assert store is not None
            await fill(store, [finding(1, node="node-b", pods=BOTH[1:])])
            (problem,) = (await ask(running, "/api/v1/problems?namespace=shop", PROBER))[1]["items"]
            for node, shown in (("node-a", "node-a"), ("node-b", HIDDEN)):
                (known,) = await store.problem(problem["id"], "")
                await store.set_canary(known.key, Canary(node, NOW, WalkState.FAILS))
                for path in ("/api/v1/problems?namespace=shop", f"/api/v1/problems/{problem['id']}"):
                    answer = (await ask(running, path, PROBER))[1]
                    assert answer.get("items", [answer])[0]["canary"]["node"] == shown

    asyncio.run(scenario())


def test_who_asked_for_a_probe_reads_and_cancels_it_and_nobody_cancels_the_collectors_rounds(tmp_path: Path) -> None:
    file = tmp_path / "readers.toml"
    file.write_text(FILE + MARY)
    image = "registry.example/shop/web:1"
    request = {"image": image, "nodes": ["node-a"]}

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="file", reader_tokens=str(file)) as running:
            assert running._store is not None
            rounds = Probe("so-1", "", image, Purpose.SECOND_OPINION, NOW, NOW, "mary")
            await running._store.add_probe(rounds, ["node-a"])
            asked = {
                token: (await ask(running, "/api/v1/probes", token, "POST", request))[1]["id"]
                for token in (PROBER, ADMIN)
            }
            status, answer = await ask(running, f"/api/v1/probes/{asked[PROBER]}", PROBER)
            assert (status, answer["walks"][0]["node"]) == (200, "node-a")
            unknown = {
                str(await ask(running, f"/api/v1/probes/{each}", PROBER, method))
                for each in (asked[ADMIN], rounds.id, "nothing")
                for method in ("GET", "DELETE")
            }
            assert unknown == {"(404, {'error': 'no probe of this id is known here that you asked for'})"}
            assert (await ask(running, f"/api/v1/probes/{asked[PROBER]}", TOKEN))[0] == 404, "jane did not ask"
            assert (await ask(running, f"/api/v1/probes/{asked[PROBER]}", PROBER, "DELETE"))[0] == 204
            assert (await ask(running, f"/api/v1/probes/{rounds.id}", ADMIN))[0] == 200
            assert (await ask(running, f"/api/v1/probes/{rounds.id}", ADMIN, "DELETE"))[0] == 409

    asyncio.run(scenario())


def test_their_findings_are_shown_however_many_namespaces_share_a_page(tmp_path: Path, api: StandIn) -> None:
    others = [FailingPod(f"a-{number:02}", "x", f"uid-{number}", "main") for number in range(40)]
    shared = [finding(number, node="node-b", pods=(BOTH[0], *others)) for number in (11, 12)]

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="kubernetes", kubernetes=api.settings) as running:
            assert running._store is not None
            await fill(running._store, shared)
            status, answer = await ask(running, f"/api/v1/findings/{shared[0].id}")
            assert (status, "?namespace=NAMESPACE&id=ID" in answer["error"]) == (404, True)
            for path in ("findings", "problems"):
                status, answer = await ask(running, f"/api/v1/{path}?namespace=shop")
                assert (status, len(answer["items"])) == (200, 3)
                assert "a-00" not in str(answer)
            status, answer = await ask(running, f"/api/v1/findings/{shared[0].id}")
            assert (status, "a-00" in str(answer)) == (200, False), "the namespace was just asked about"

    asyncio.run(scenario())


def test_a_problem_is_theirs_however_many_others_it_fails_for_since(tmp_path: Path) -> None:
    file = tmp_path / "readers.toml"
    file.write_text(FILE + MARY)
    others = [
        finding(1, node=f"node-{number}", pods=(replace(BOTH[1], namespace=f"ns-{number}"),), last_seen=NOW)
        for number in range(130)
    ]

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="file", reader_tokens=str(file)) as running:
            assert running._store is not None
            await fill(running._store, others)
            (theirs,) = (await ask(running, "/api/v1/problems?namespace=shop", PROBER))[1]["items"]
            status, seen = await ask(running, f"/api/v1/problems/{theirs['id']}", PROBER)
            assert (status, seen["nodes"], seen["failing_nodes"], seen["example"]) == (200, 131, ["node-a"], SHARED.id)
            assert "ns-1" not in str(seen)
            silence = {"reason": "moves tonight", "until": "1h"}
            assert (await ask(running, f"/api/v1/problems/{theirs['id']}/silence", PROBER, "PUT", silence))[0] == 200

    asyncio.run(scenario())


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


def test_a_right_of_a_group_is_one_of_its_members(tmp_path: Path, api: StandIn) -> None:
    api.token(PROBER, "mary", groups=("ops",))
    api.allowed |= {(Group("ops"), "get", "findings", "shop"), (Group("ops"), "create", "silences", "")}

    async def scenario() -> None:
        async with filled(tmp_path, reader_auth="kubernetes", kubernetes=api.settings) as running:
            status, answer = await ask(running, "/api/v1/problems?namespace=shop", PROBER)
            assert (status, len(answer["items"])) == (200, 1)
            silence = f"/api/v1/problems/{answer['items'][0]['id']}/silence"
            assert (await ask(running, silence, PROBER, "DELETE"))[0] in (200, 204)
            assert (await ask(running, "/api/v1/findings?namespace=bank", PROBER))[0] == 403

    asyncio.run(scenario())


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
