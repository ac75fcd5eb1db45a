"""An agent reports for the node that it has shown to be on, and for no other; who is turned away is logged once and counted."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.agentsays import Code, says
from collector.kubernetes.standin import OWN_TOKEN, Fault, StandIn
from collector.minted import Pair, ServerFiles, token
from collector.samples import NOW, collector, encoded, finding, get, until

from pullwhy.collector.access import agents
from pullwhy.collector.denials import CannotTell
from pullwhy.collector.identities import Identities
from pullwhy.collector.service import Collector
from pullwhy.collector.settings import CollectorSettings, KubernetesSettings
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_MESSAGE
from pullwhy.secret import Secret

ACCOUNT = "system:serviceaccount:pullwhy:pullwhy-agent"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "api").mkdir()
    running = StandIn(tmp_path / "api")
    yield running
    running.stop()


@contextlib.asynccontextmanager
async def guarded(folder: Path, api: StandIn, **settings: Any) -> AsyncIterator[tuple[Collector, ServerFiles]]:
    files = ServerFiles(folder)
    wanted: dict[str, Any] = {"agent_auth": "kubernetes", "kubernetes": api.settings, **files.settings}
    async with collector(folder, **(wanted | settings)) as running:
        yield running, files


async def denied(running: Collector) -> dict[str, int]:
    _, text, _ = await asyncio.to_thread(get, running.http_address, "/metrics")
    rows = [line for line in text.splitlines() if line.startswith("pullwhy_collector_denied_total{")]
    return {row.split('"')[1]: int(float(row.split()[-1])) for row in rows if not row.endswith(" 0.0")}


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("refused (")]


def test_a_token_of_one_node_does_not_report_for_another(
    tmp_path: Path, api: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    good = token()
    api.token(good, ACCOUNT, "pullwhy", node_name="node-a", pod_name="agent-x", pod_uid="u")

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            assert await says(running, files, "node-a", good) == (Code.OK, "")
            for _ in range(3):
                code, told = await says(running, files, "node-b", good)
                assert code is Code.PERMISSION_DENIED
                assert told == "its credentials are of node 'node-a', it reports for 'node-b'"
            assert len(refusals(caplog)) == 1
            assert await denied(running) == {"wrong_node": 3}
            _, nodes, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/nodes")
            assert [node["node"] for node in nodes["items"]] == ["node-a"]
            assert len(api.asked("tokenreviews")) == 1, "a review is kept"

    asyncio.run(scenario())


def test_a_report_of_another_node_inside_a_good_stream_is_refused_logged_once_and_counted(
    tmp_path: Path, api: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    good = token()
    api.token(good, ACCOUNT, "pullwhy", node_name="node-a")

    def batch(sequence: int) -> pb.AgentMessage:
        report = pb.Report(sequence=sequence, finding_id=finding().id, document=encoded(node="node-b"))
        return pb.AgentMessage(batch=pb.Batch(reports=[report]))

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            assert (await says(running, files, "node-a", good, None, batch(1), batch(2)))[0] is Code.OK
            assert await denied(running) == {"wrong_node": 2}
            assert len(refusals(caplog)) == 1
            _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings")
            assert answer["items"] == []

    asyncio.run(scenario())


def test_what_does_not_let_an_agent_in_is_said_logged_once_counted_and_never_shown(
    tmp_path: Path, api: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other_account, unbound, unknown = token(number=2), token(number=3), token(number=4)
    api.token(other_account, "system:serviceaccount:shop:default", "pullwhy", node_name="node-a")
    api.token(unbound, ACCOUNT, "pullwhy")
    cases = [
        ("", Code.UNAUTHENTICATED, "no_credentials", "report.token_file"),
        ("opaque", Code.UNAUTHENTICATED, "bad_token", "no service account token"),
        ("a.!!!.c", Code.UNAUTHENTICATED, "bad_token", "no service account token"),
        (unknown, Code.UNAUTHENTICATED, "bad_token", "does not accept"),
        (token(seconds=-120), Code.UNAUTHENTICATED, "bad_token", "expired"),
        (token(audience="https://kubernetes.default.svc"), Code.UNAUTHENTICATED, "bad_token", "audience 'pullwhy'"),
        (other_account, Code.PERMISSION_DENIED, "wrong_account", "system:serviceaccount:shop:default"),
        (unbound, Code.PERMISSION_DENIED, "no_node", "bound to no pod"),
    ]

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            for sent, code, _, told in cases:
                for _ in range(2):
                    answer = await says(running, files, "node-a", sent)
                    assert answer[0] is code, told
                    assert told in answer[1]
            counted = await denied(running)
            for reason in {reason for _, _, reason, _ in cases}:
                assert counted[reason] == 2 * sum(reason == each for _, _, each, _ in cases)
            # By kind and party, not by attempt: a bad token names nobody but the address that it came from.
            assert len(refusals(caplog)) == len({reason for _, _, reason, _ in cases})
            assert len(api.asked("tokenreviews")) == 3, (
                "what the token itself excludes is not asked, and a refusal is kept"
            )

    asyncio.run(scenario())
    for sent in (other_account, unbound, unknown, OWN_TOKEN):
        assert sent not in caplog.text
        assert sent.rpartition(".")[2] not in caplog.text


def test_a_cluster_that_names_no_node_is_asked_for_the_pod(tmp_path: Path, api: StandIn) -> None:
    good, replaced = token(), token(number=2)
    api.pod("pullwhy", "agent-x", "node-a")
    api.token(good, ACCOUNT, "pullwhy", pod_name="agent-x", pod_uid="uid-agent-x")
    api.token(replaced, ACCOUNT, "pullwhy", pod_name="agent-x", pod_uid="uid-of-the-pod-before")

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            assert (await says(running, files, "node-a", good))[0] is Code.OK
            assert (await says(running, files, "node-b", good))[0] is Code.PERMISSION_DENIED
            assert (await says(running, files, "node-a", replaced))[0] is Code.PERMISSION_DENIED

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_token_that_ends_ends_its_stream_and_does_not_open_another(
    tmp_path: Path, api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "SKEW_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text(token(seconds=2.5))
    api.token(file.read_text(), ACCOUNT, "pullwhy", node_name="node-a")

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            settings = ReportSettings(
                address=f"localhost:{running.grpc_address.rpartition(':')[2]}", ca=str(files.ca), token_file=str(file)
            )
            outbox = Outbox(None)
            reporter = Reporter(outbox, settings, node="node-a", sleep=lambda _: asyncio.sleep(0.05))
            task = asyncio.create_task(reporter.run())
            await until(lambda: reporter.connected)
            await until(lambda: not reporter.connected)
            old = file.read_text()
            assert (await says(running, files, "node-a", old))[0] is Code.UNAUTHENTICATED, "a replay"
            # Renewed, as the kubelet does: the same agent goes on, and loses nothing.
            renewed = token(number=2)
            api.token(renewed, ACCOUNT, "pullwhy", node_name="node-a")
            file.write_text(renewed)
            outbox.append(finding().id, encoded(), NOW)
            await until(lambda: not len(outbox))
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(scenario())


def test_the_same_batch_again_is_stored_once(tmp_path: Path, api: StandIn) -> None:
    good = token()
    api.token(good, ACCOUNT, "pullwhy", node_name="node-a")
    report = pb.Report(sequence=1, finding_id=finding().id, document=encoded())
    batch = pb.AgentMessage(batch=pb.Batch(reports=[report]))

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            for _ in range(2):
                assert (await says(running, files, "node-a", good, None, batch, batch))[0] is Code.OK
            _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings")
            assert [(each["id"], each["count"]) for each in answer["items"]] == [(finding().id, 1)]

    asyncio.run(scenario())


@pytest.mark.parametrize(("size", "counted"), [(MAX_MESSAGE + 1, 1), (5 * MAX_MESSAGE, 0)], ids=["large", "huge"])
def test_an_oversized_message_ends_the_stream(
    tmp_path: Path, api: StandIn, size: int, counted: int, caplog: pytest.LogCaptureFixture
) -> None:
    good = token()
    api.token(good, ACCOUNT, "pullwhy", node_name="node-a")
    message = pb.AgentMessage(batch=pb.Batch(reports=[pb.Report(sequence=1, document=b"x" * size)]))

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            for _ in range(2):
                assert (await says(running, files, "node-a", good, None, message))[0] is Code.RESOURCE_EXHAUSTED
            assert (await denied(running)).get("too_large", 0) == 2 * counted
            assert len(refusals(caplog)) == counted

    asyncio.run(scenario())


@pytest.mark.slow
def test_while_the_api_is_away_an_agent_that_was_there_comes_in_and_a_new_one_waits(
    tmp_path: Path, api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "REVIEWED_SECONDS", 0.0)
    known, new = token(), token(number=2)
    for each in (known, new):
        api.token(each, ACCOUNT, "pullwhy", node_name="node-a")

    async def scenario() -> None:
        async with guarded(tmp_path, api) as (running, files):
            assert (await says(running, files, "node-a", known))[0] is Code.OK
            api.misbehave("tokenreviews", *[Fault(403)] * 20)
            code, told = await says(running, files, "node-a", new)
            assert (code, "HTTP 403" in told) == (Code.UNAVAILABLE, True)
            api.faults.clear()
            api.misbehave("tokenreviews", *[Fault(503)] * 20)
            assert (await says(running, files, "node-a", known))[0] is Code.OK
            assert (await says(running, files, "node-a", new))[0] is Code.UNAVAILABLE
            assert await denied(running) == {}, "not to know is no refusal"

    asyncio.run(scenario())


def test_a_certificate_names_the_node(tmp_path: Path, api: StandIn) -> None:
    mine = Pair(tmp_path, "pullwhy://node/node-a")

    async def scenario() -> None:
        gate = {"agent_auth": "certificate", "tls_client_ca": str(mine.authority), "kubernetes": KubernetesSettings()}
        async with guarded(tmp_path, api, **gate) as (running, files):
            assert (await says(running, files, "node-a", pair=mine))[0] is Code.OK
            assert (await says(running, files, "node-b", pair=mine))[0] is Code.PERMISSION_DENIED
            assert (await says(running, files, "node-z", pair=mine))[0] is Code.PERMISSION_DENIED, "a DNS name is none"
            stranger = Pair(tmp_path, "pullwhy://node/node-a", number=2)
            assert (await says(running, files, "node-a", pair=stranger))[0] is Code.UNAVAILABLE
            assert (await says(running, files, "node-a"))[0] is Code.UNAVAILABLE
            assert (await says(running, files, "node-a", pair=mine, cluster="west"))[0] is Code.PERMISSION_DENIED
            assert await denied(running) == {"wrong_node": 3}

    asyncio.run(scenario())


def test_a_token_is_of_the_one_cluster_whose_api_reviews_it(tmp_path: Path, api: StandIn) -> None:
    good = token()
    api.token(good, ACCOUNT, "pullwhy", node_name="node-a")

    async def scenario() -> None:
        async with guarded(tmp_path, api, agent_cluster="east") as (running, files):
            assert (await says(running, files, "node-a", good, cluster="east"))[0] is Code.OK
            for other, mend in (
                ("", "set `cluster` of this agent (PULLWHY_CLUSTER=east)"),
                ("west", "set the collector's `agent_cluster` to the agents' `cluster`, or name it in the certificate"),
            ):
                code, told = await says(running, files, "node-a", good, cluster=other)
                assert (code, told.endswith(mend)) == (Code.PERMISSION_DENIED, True)
            _, nodes, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/nodes")
            assert [node["cluster"] for node in nodes["items"]] == ["east"]

    asyncio.run(scenario())


def test_too_many_tokens_under_review_are_told_to_come_again(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MOST_WAITING", 0)

    async def scenario() -> None:
        identities = Identities(CollectorSettings(agent_auth="kubernetes", tls_certificate="", kubernetes=api.settings))
        monkeypatch.setattr(identities, "_check", lambda: None)
        identities.open()
        with pytest.raises(CannotTell, match="come again"):
            await identities.gate().admit({}, Secret(token()))
        await identities.close()

    asyncio.run(scenario())
