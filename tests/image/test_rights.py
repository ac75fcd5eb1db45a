"""The collector's rights are the calls that it makes, no more and no less; its settings are those of its pod in the manifests."""

import ast
import asyncio
import contextlib
import functools
import http.client
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, get_args

import pytest
from collector import minted
from collector.kubernetes.standin import StandIn
from collector.minted import Pair, ServerFiles
from collector.samples import NOW, collector, finding, until

from image import manifests
from image.manifests import RENDERED, render
from pullwhy.collector import readers
from pullwhy.collector.readers import GROUP
from pullwhy.collector.service import Collector
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings, ReportSettings, load
from pullwhy.diagnose.document import encode
from pullwhy.model import FailingPod, Finding
from pullwhy.node.outbox import Outbox
from pullwhy.node.reporter import Reporter

from lab.namespace import REPOSITORY

pytestmark = pytest.mark.lab  # renders with a fetched kubectl

VERBS = {"POST": "create", "PATCH": "patch", "GET": "get"}
"""Each of an object that the path names, or of a collection for POST (kubernetes.io: Authorization Overview)."""
KNOWN_ROLES = {
    "system:auth-delegator": [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]
}
"""What clusters have by themselves (kubernetes 1.34: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go)."""
COLLECTOR = {"kind": "ServiceAccount", "name": "pullwhy-collector", "namespace": "pullwhy"}
JANE = "token-of-jane-0001"


@dataclass(frozen=True, order=True, slots=True)
class Right:
    """A verb on a resource, in a namespace or ("") in all."""

    group: str
    resource: str
    verb: str
    namespace: str = ""

    @classmethod
    def of(cls, method: str, path: str) -> Self:
        """Return what a call takes."""
        parts = path.strip("/").split("/")
        group = "" if parts[0] == "api" else parts[1]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        return cls(group, rest[0], VERBS[method], namespace)


def granted(documents: list[dict[str, Any]]) -> set[Right]:
    """Return the rights of the collector's account, by its bindings."""
    rules = {(each["kind"], each["metadata"]["name"]): each["rules"] for each in documents if "rules" in each}
    rules |= {("ClusterRole", name): known for name, known in KNOWN_ROLES.items()}
    found = set()
    for binding in documents:
        if COLLECTOR not in binding.get("subjects", ()):
            continue
        namespace = binding["metadata"]["namespace"] if binding["kind"] == "RoleBinding" else ""
        for rule in rules[binding["roleRef"]["kind"], binding["roleRef"]["name"]]:
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            found |= {
                Right(group, resource, verb, namespace)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            }
    return found


def environment(name: str, kind: str, workload: str) -> dict[str, str]:
    """Return what the pod's manifest sets."""
    (container,) = manifests.pod(name, kind, workload)["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "$(" not in entry.get("value", "$(")}


@contextlib.asynccontextmanager
async def deployed(name: str, folder: Path, api: StandIn) -> AsyncIterator[tuple[Collector, ReportSettings]]:
    """Run the collector of a rendering; yield it and what its agents are told of it. Only places are other ones here."""
    settings = load(CollectorSettings, None, environment(name, "Deployment", "pullwhy-collector"))
    report = load(AgentSettings, None, environment(name, "DaemonSet", "pullwhy-agent")).report
    server, agent = ServerFiles(folder), Pair(folder)
    kubernetes = replace(
        settings.kubernetes, server=api.settings.server, ca=api.settings.ca, token_file=api.settings.token_file
    )
    places: dict[str, Any] = {"kubernetes": kubernetes}
    if settings.tls_certificate:
        places |= server.settings | {"tls_client_ca": str(agent.authority)}
    given = {each.name: getattr(settings, each.name) for each in fields(settings)} | places
    for place in ("grpc_listen", "http_listen", "database"):
        del given[place]
    async with collector(folder, **given) as running:
        report = replace(report, address=running.grpc_address)
        if report.tls:
            report = replace(
                report,
                server_name="localhost",
                ca=str(server.ca),
                certificate=str(agent.certificate),
                key=str(agent.key),
            )
        if report.token_file:
            # Without a node claim, as before Kubernetes 1.30.
            given_out = minted.token(audience=(settings.agent_audience,))
            account = settings.agent_service_account.replace("/", ":")
            api.token(
                given_out, f"system:serviceaccount:{account}", settings.agent_audience,
                pod_name="agent-x", pod_uid="uid-agent-x",
            )  # fmt: skip
            (folder / "token").write_text(given_out)
            report = replace(report, token_file=str(folder / "token"))
        yield running, report


def failing(attempts: int) -> Iterator[Finding]:
    for number, name in enumerate(("web-1", "sweep-1"), 1):
        yield finding(number, pods=(FailingPod("shop", name, f"uid-{name}", "main", attempts=attempts),))


def written(api: StandIn, attempts: int) -> bool:
    return [each["count"] for each in api.events()] == [attempts] * 2


def ask(address: str, ca: Path | None) -> tuple[int, bytes]:
    port = int(address.rpartition(":")[2])
    if ca is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    else:
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
    with contextlib.closing(connection):
        path = "/api/v1/findings?namespace=shop"
        connection.request("GET", path, headers={"authorization": f"Bearer {JANE}"})
        answer = connection.getresponse()
        return answer.status, answer.read()


async def lived(name: str, folder: Path, api: StandIn) -> None:
    """Let an agent report two pods that go on failing, and a reader ask for them."""
    async with deployed(name, folder, api) as (running, report):
        outbox = Outbox(None)
        task = asyncio.create_task(Reporter(outbox, report, node="node-a").run())
        settings = running._settings
        for attempts in (2, 3):
            for each in failing(attempts):
                outbox.append(each.id, encode(each), NOW)
            await until(lambda: not len(outbox))
            if settings.kubernetes.events:
                await until(functools.partial(written, api, attempts))
        if settings.kubernetes.pods:
            await until(lambda: api.asked("/replicasets/") and api.asked("/jobs/"))
        if settings.kubernetes.nodes:
            await until(lambda: api.asked("/nodes/"))
        ca = folder / "ca" if settings.http_tls else None
        status, body = await asyncio.to_thread(ask, running.http_address, ca)
        assert (status, len(json.loads(body)["items"])) == (200, 2)
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "api"
    folder.mkdir()
    running = StandIn(folder)
    running.token(JANE, "jane")
    running.allowed.add(("jane", "get", "findings", "shop"))
    running.pod("pullwhy", "agent-x", "node-a")
    for name, kind in (("web-1", "ReplicaSet"), ("sweep-1", "Job")):
        owner = {"kind": kind, "name": f"{name}-above", "controller": True}
        running.pod("shop", name, "node-a", metadata={"ownerReferences": [owner]})
    yield running
    running.stop()


def named_in_the_code() -> set[tuple[str, str]]:
    """Return group and resource of every path of the API that the collector's client is given."""
    found = set()
    for path in sorted((REPOSITORY / "agent/pullwhy/collector/kubernetes").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) else ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(each.value) if isinstance(each, ast.Constant) else "x" for each in node.values)
            if isinstance(text, str) and text.startswith(("/api/v1/", "/apis/")) and not text.endswith("/"):
                right = Right.of("GET", text)
                found.add((right.group, right.resource))
    return found


@pytest.mark.parametrize("name", [name for name in RENDERED if name != "overlays/postgres"])
def test_every_right_is_used_by_a_call_and_every_call_is_a_right(name: str, tmp_path: Path, api: StandIn) -> None:
    asyncio.run(lived(name, tmp_path, api))
    calls = {Right.of(each.method, each.path) for each in api.seen}
    rights = granted(render(name))
    used = {call if call in rights else replace(call, namespace="") for call in calls}
    assert used == rights


def test_no_call_is_left_out_of_that() -> None:
    every = granted(render("overlays/cert-manager")) | granted(render("overlays/events"))
    assert named_in_the_code() == {(right.group, right.resource) for right in every}


@pytest.mark.parametrize("name", RENDERED)
def test_what_has_no_right_gets_no_token_and_no_way_to_the_api_server(name: str) -> None:
    documents = render(name)
    asks = bool(granted(documents))
    assert manifests.pod(name)["automountServiceAccountToken"] is False
    assert manifests.pod(name, "Deployment", "pullwhy-collector")["automountServiceAccountToken"] is asks
    for account in ("pullwhy-agent", "pullwhy-collector"):
        assert manifests.find(documents, "ServiceAccount", account)["automountServiceAccountToken"] is False
    egress = manifests.find(documents, "NetworkPolicy", "pullwhy-collector")["spec"]["egress"]
    ports = [port["port"] for rule in egress for port in rule["ports"]]
    assert (ports.count(443), ports.count(6443)) == (asks, asks)


@pytest.mark.parametrize("name", RENDERED)
def test_nobody_but_the_collector_is_bound_and_roles_for_people_grant_nothing_of_the_cluster(name: str) -> None:
    documents = render(name)
    bindings = [each for each in documents if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    assert all(each["subjects"] == [COLLECTOR] for each in bindings)
    bound = {each["roleRef"]["name"] for each in bindings}
    for role in (each for each in documents if "rules" in each and each["metadata"]["name"] not in bound):
        assert [rule["apiGroups"] for rule in role["rules"]] == [["pullwhy"]]
        to_view = "rbac.authorization.k8s.io/aggregate-to-view" in role["metadata"].get("labels", {})
        assert to_view is (role["rules"] == [{"apiGroups": ["pullwhy"], "resources": ["findings"], "verbs": ["get"]}])


def test_roles_for_people_grant_what_the_collector_asks_about() -> None:
    wanted = {(GROUP, "findings", "get")} | {(GROUP, right, "create") for right in get_args(readers.Right)}
    for name in ("overlays/cert-manager", "overlays/own-certificates"):
        roles = [each for each in render(name) if each["kind"] == "ClusterRole"]
        rules = [rule for role in roles for rule in role["rules"] if rule["apiGroups"] == [GROUP]]
        assert {(GROUP, *rule["resources"], *rule["verbs"]) for rule in rules} == wanted
        assert len(rules) == len(wanted), "each can be given alone"


def test_every_permission_is_told_with_its_reason() -> None:
    page = (REPOSITORY / "docs/operations.md").read_text()
    section = page.partition("## Every permission in the Kubernetes API")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:6] for line in section.splitlines() if line.startswith("| `")]
    told = {
        (resource, verb, "pullwhy" if "namespace" in where else "")
        for permission, where, *_ in rows
        for verb in re.findall(r"`(create|get|patch|list|watch|update|delete)`", permission)
        for resource in re.findall(r"`(\w+s)`", permission)
    }
    every = granted(render("overlays/cert-manager")) | granted(render("overlays/events"))
    assert told == {(right.resource, right.verb, right.namespace) for right in every}
