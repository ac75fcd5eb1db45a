"""The HTTP API, asked over real HTTP: filters, pages, errors that tell the mend, health and metrics."""

import asyncio
import contextlib
import http.client
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from collector.samples import NOW, collector, encoded, finding, get, recovered, until, writing
from collector.served import Served

from pullwhy.config import ReportSettings
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import CauseId, FailingPod, Finding
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
from pullwhy.node.report.status import NodeStatus


@contextlib.asynccontextmanager
async def agent(address: str, findings: Iterable[Finding], **who: Any) -> AsyncIterator[Reporter]:
    """Report `findings` as a node's agent does, and stay connected."""
    outbox = Outbox(None)
    for each in findings:
        outbox.append(each.id, encode(each), NOW)
    reporter = Reporter(outbox, ReportSettings(address=address), **({"node": "node-a"} | who))
    task = asyncio.create_task(reporter.run())
    try:
        await until(lambda: reporter.connected and not len(outbox))
        yield reporter
    finally:
        task.cancel()
        await asyncio.wait([task])


SAMPLES = (
    finding(1),
    finding(2, cause=CauseId.DISK_FULL, pods=(FailingPod("ops", "job", "u", "main"),)),
    recovered(3),
    finding(4, image="nginx", registry="docker.io"),
    finding(5, node="node-b"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("collector"), SAMPLES, NodeStatus(zone="z1", impairments=("no journal",)))
    yield running
    running.stop()


ALL = {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", ALL),
        ("?node=node-b", {5}),
        ("?namespace=ops", {2}),
        ("?namespace=shop&pod=web-1", {1}),
        ("?image=nginx", {4}),
        ("?image=docker.io/library/nginx:latest", {4}),
        ("?image=nginx:1.0", set()),
        ("?registry=docker.io", {4}),
        ("?cause=DiskFull", {2}),
        ("?cause=diskfull", {2}),
        ("?state=Recovered", {3}),
        ("?state=Active&registry=registry.example", {1, 2, 5}),
        ("?since=2020-01-01T00:00:00Z", ALL),
        ("?since=2100-01-01T00:00:00Z", set()),
        ("?cluster=blue", set()),
    ],
)
def test_filters(served: Served, query: str, numbers: set[int]) -> None:
    status, answer, _ = get(served.address, f"/api/v1/findings{query}")
    assert status == 200
    assert {int(item["id"], 16) for item in answer["items"]} == numbers
    assert answer["next"] is None


def test_a_finding_has_the_keys_of_the_contract_and_the_states_it_took(served: Served) -> None:
    status, answer, _ = get(served.address, f"/api/v1/findings/{finding(3).id}")
    assert status == 200
    documented = {
        "schema", "id", "cluster", "node", "zone", "pool", "agent_version", "image", "registry", "cause", "via", "stage", "confidence",
        "retryable", "scope", "summary", "evidence", "factors", "remedy", "pods", "kubelet", "reproduction", "trace", "first_seen",
        "last_seen", "count", "state", "resolved_at",
    }  # fmt: skip
    assert set(answer) == documented | {"problem", "history"}
    assert [change["state"] for change in answer["history"]] == ["Recovered"]
    assert set(answer["remedy"]) == {"id", "text", "commands", "restart_required", "durable"}


def test_pages_follow_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            collector(tmp_path) as running,
            agent(running.grpc_address, [finding(number) for number in range(1, 24)]),
        ):
            seen: list[str] = []
            path = "/api/v1/findings?limit=5"
            while path:
                status, answer, _ = await asyncio.to_thread(get, running.http_address, path)
                assert status == 200
                seen += [item["id"] for item in answer["items"]]
                path = f"/api/v1/findings?limit=5&cursor={answer['next']}" if answer["next"] else ""
            assert len(seen) == len(set(seen)) == 23

    asyncio.run(scenario())


def test_nodes_tell_who_is_there_and_what_they_cannot_see(served: Served) -> None:
    first, second, third = (get(served.address, f"/api/v1/nodes{query}") for query in ("?limit=1", "?node=node-b", ""))
    node = first[1]["items"][0]
    assert (node["node"], node["connected"], node["zone"], node["active_findings"]) == ("node-a", True, "z1", 3)
    assert node["impairments"] == ["no journal"]
    assert first[1]["next"]
    assert [item["node"] for item in second[1]["items"]] == ["node-b"]
    assert [item["node"] for item in third[1]["items"]] == ["node-a", "node-b"]


def test_a_node_that_left_is_no_longer_connected(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running:
            async with agent(running.grpc_address, []):
                pass

            async def left() -> bool:
                _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/nodes")
                return not answer["items"][0]["connected"]

            await until(left)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/api/v1/findings?foo=1", 400, "unknown parameter 'foo'; known here: cluster, namespace"),
        ("/api/v1/findings?node=a&node=b", 400, "node is given twice"),
        ("/api/v1/findings?cause=TagNotFond", 400, "did you mean TagNotFound?"),
        ("/api/v1/findings?limit=9999", 400, "from 1 to 500"),
        ("/api/v1/findings?cursor=zzz", 400, "begin again without it"),
        ("/api/v1/nodes?state=Active", 400, "unknown parameter 'state'; known here: cluster, node"),
        ("/api/v1/nodes?cursor=zzz", 400, "begin again"),
        ("/api/v1/findings/0000000000000000", 404, "no finding '0000000000000000' is known here"),
        ("/api/v1/findings/%1b%5b2J", 404, "no finding '\\x1b[2J'"),
        (f"/api/v1/findings/{finding(1).id}?x=1", 400, "unknown parameter 'x'"),
        ("/nowhere", 404, "nothing at /nowhere"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(served: Served, path: str, status: int, told: str) -> None:
    got, answer, headers = get(served.address, path)
    assert got == status
    assert set(answer) == {"error"}
    assert told in answer["error"]
    assert headers["content-type"] == "application/json"


def test_only_reading_is_answered(served: Served) -> None:
    for method in ("POST", "DELETE", "PUT"):
        status, answer, _ = get(served.address, "/api/v1/findings", method=method)
        assert (status, answer) == (405, {"error": f"{method} is not answered here; allowed: GET, HEAD"})


def test_who_polls_gets_an_answer_only_when_something_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running:
            for path in ("/api/v1/findings", "/api/v1/nodes"):
                async with agent(running.grpc_address, [finding(1)]) as reporter:
                    await until(lambda: reporter.acknowledged)
                    _, _, headers = await asyncio.to_thread(get, running.http_address, path)
                    again = {"if-none-match": headers["etag"]}
                    status, body, _ = await asyncio.to_thread(get, running.http_address, path, again)
                    assert (status, body) == (304, "")
                async with agent(running.grpc_address, [finding(2)]):
                    assert (await asyncio.to_thread(get, running.http_address, path, again))[0] == 200

    asyncio.run(scenario())


def test_one_id_in_two_clusters_is_told_apart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            collector(tmp_path) as running,
            agent(running.grpc_address, [finding(1, cluster="blue")], cluster="blue"),
            agent(running.grpc_address, [finding(1, cluster="green")], cluster="green"),
        ):
            path = f"/api/v1/findings/{finding(1).id}"
            status, answer, _ = await asyncio.to_thread(get, running.http_address, path)
            assert (status, "(blue, green): name one with ?cluster=" in answer["error"]) == (400, True)
            status, answer, _ = await asyncio.to_thread(get, running.http_address, f"{path}?cluster=green")
            assert (status, answer["cluster"]) == (200, "green")

    asyncio.run(scenario())


def test_health_and_metrics(served: Served) -> None:
    health, ready, metrics = (get(served.address, path) for path in ("/healthz", "/readyz", "/metrics"))
    assert (health[0], ready[0], ready[1]) == (200, 200, {"status": "ready", "fault": ""})
    assert metrics[2]["content-type"].startswith("text/plain; version=0.0.4")
    lines = metrics[1].splitlines()
    for cause in CauseId:
        count = {"TagNotFound": 3, "DiskFull": 1}.get(cause, 0)
        assert f'pullwhy_collector_active_findings{{cause="{cause}"}} {count}.0' in lines
    assert "pullwhy_collector_connected_agents 2.0" in lines
    assert "pullwhy_collector_reports_total 5.0" in lines
    samples = [line for line in lines if not line.startswith("#")]
    assert all(line.startswith("pullwhy_") for line in samples)
    assert not [line for line in samples if "node=" in line or "image=" in line or "pod=" in line]


def test_the_edges_of_time_are_shown_like_any_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        edges: dict[str, Any] = {
            "first_seen": datetime.min.replace(tzinfo=UTC),
            "last_seen": datetime.max.replace(tzinfo=UTC),
        }
        swapped: dict[str, Any] = {"first_seen": edges["last_seen"], "last_seen": edges["first_seen"]}
        async with (
            collector(tmp_path) as running,
            agent(running.grpc_address, [finding(1, **edges), finding(2, **swapped)]),
        ):
            for path in (
                "/api/v1/findings",
                "/api/v1/findings?since=0001-01-01T00:00:00Z",
                f"/api/v1/findings/{finding(2).id}",
            ):
                assert (await asyncio.to_thread(get, running.http_address, path))[0] == 200

    asyncio.run(scenario())


def test_a_full_disk_is_told_where_health_is_asked_and_answers_go_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running, agent(running.grpc_address, [finding(1)]):
            store = running._store
            assert store
            writing(store).execute("PRAGMA max_page_count = 10")
            outbox = Outbox(None)
            reporter = Reporter(outbox, ReportSettings(address=running.grpc_address), node="node-b")
            for number in range(60):
                outbox.append(finding(number).id, encoded(number, node="node-b"), NOW)
            task = asyncio.create_task(reporter.run())
            await until(lambda: store.fault)
            ready = await asyncio.to_thread(get, running.http_address, "/readyz")
            assert (ready[0], "the disk is full" in ready[1]["fault"]) == (200, True)
            metrics = await asyncio.to_thread(get, running.http_address, "/metrics")
            assert "pullwhy_collector_database_writable 0.0" in metrics[1]
            assert (await asyncio.to_thread(get, running.http_address, "/api/v1/findings"))[0] == 200
            assert len(outbox) == 60
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["garbage", "headers", "path"],
)
def test_hostile_http_is_survived(served: Served, sent: bytes) -> None:
    connection = http.client.HTTPConnection(served.address, timeout=5)
    connection.connect()
    assert connection.sock
    with contextlib.suppress(OSError):
        connection.sock.sendall(sent)
        connection.sock.recv(1000)
    connection.close()
    assert get(served.address, "/healthz")[0] == 200
