"""The collector's rights are the calls that it makes, no more and no less; each is missed where it is not there."""

import ast
import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from collector.samples import NOW, until

from image import manifests
from image.deployed import COLLECTOR, Cluster, Right, ask, deployed, failing, granted
from image.manifests import PERMISSIONS, RENDERED, own_overlay, render, told_overlay
from pullwhy.collector.access import readers
from pullwhy.collector.access.readers import GROUP
from pullwhy.diagnose.document.finding import encode
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter

from lab.namespace import REPOSITORY

pytestmark = pytest.mark.lab  # renders with a fetched kubectl

OF_COLLECTOR = tuple(name for name in RENDERED if name != "overlays/pull-secrets")
"""All but the one with a right for agents, see test_manifests."""
UNLIKE = (
    "base",
    *(f"overlays/{name}" for name in ("cert-manager", "events", "node-certificates", "own-certificates", "postgres")),
)
"""Those whose collectors differ."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of two pods that went on failing; here where nothing is missing."""

    admitted: bool = True
    status: int = 200
    """Of the reader's question."""
    owners: tuple[str, ...] = ("CronJob/sweep-1", "Deployment/web-1")
    zone: str = "zone-1"
    events: tuple[int, ...] = (3, 3)
    """Counts."""


async def lived(name: str, api: Cluster, folder: Path, done: Callable[[Seen], bool]) -> Seen:
    """Let an agent report two pods that go on failing, until *done* or for ten seconds; a reader asks what came of it."""
    async with deployed(name, folder, api) as (running, report):
        outbox = Outbox(None)
        task = asyncio.create_task(Reporter(outbox, report, node="node-a").run())
        ca = folder / "ca" if running._settings.http_tls else None

        def fail(attempts: int) -> None:
            for each in failing(attempts):
                outbox.append(each.id, encode(each), NOW)

        async def seen() -> Seen:
            status, found = await asyncio.to_thread(ask, running.http_address, ca, "/api/v1/findings")
            _, nodes = await asyncio.to_thread(ask, running.http_address, ca, "/api/v1/nodes")
            owners = sorted(pod["owner"] for each in found.get("items", ()) for pod in each["pods"])
            zone = "".join(node["zone"] for node in nodes.get("items", ()))
            counts = tuple(each["count"] for each in api.events())
            return Seen(not len(outbox), status, tuple(owners), zone, counts)

        fail(2)
        with contextlib.suppress(TimeoutError):
            # An Event must be there before it can change.
            await until(lambda: len(api.events()) == 2 or api.refused or not running._settings.kubernetes.events, 5.0)
        now = await seen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                while not done(now):
                    if not len(outbox):
                        fail(3)
                    await asyncio.sleep(0.1)
                    now = await seen()
        task.cancel()
        await asyncio.wait([task])
    return now


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "api"
    folder.mkdir()
    running = Cluster(folder)
    yield running
    running.stop()


def used(api: Cluster) -> set[Right]:
    """Return the rights that calls have used, those that were refused among them."""
    calls = {Right.of(each.method, each.path) for each in api.seen}
    return {call if call in api.rights else replace(call, namespace="") for call in calls}


@pytest.mark.parametrize("name", UNLIKE)
def test_every_right_is_used_by_a_call_and_every_call_is_a_right(name: str, tmp_path: Path, cluster: Cluster) -> None:
    cluster.rights = granted(render(name))
    seen = asyncio.run(lived(name, cluster, tmp_path, lambda seen: seen.admitted and used(cluster) == cluster.rights))
    assert used(cluster) == cluster.rights
    assert (seen.admitted, seen.status, cluster.refused) == (True, 200, set())


def without_listening(document: dict[str, Any]) -> dict[str, Any]:
    """Return the object without the addresses of this host on which it listens, which `ipv6` changes."""
    for container in document["spec"].get("template", {}).get("spec", {}).get("containers", ()):
        container["env"] = [each for each in container["env"] if not each["name"].endswith("_LISTEN")]
    return document


@pytest.mark.parametrize("name", sorted(set(RENDERED) - set(UNLIKE)))
def test_the_other_overlays_have_the_collector_of_own_certificates(name: str) -> None:
    documents, like = render(name), render("overlays/own-certificates")
    assert granted(documents) == granted(like)
    for kind in ("Deployment", "NetworkPolicy"):
        own, other = (manifests.find(each, kind, "pullwhy-collector") for each in (documents, like))
        assert without_listening(own) == without_listening(other)


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the first overlay that docs/operations.md shows, with Events."""
    components, more = told_overlay("An overlay of your own")
    return own_overlay(tmp_path_factory.mktemp("own"), (*components, "events"), **more)


REVIEWS = Right("authentication.k8s.io", "tokenreviews", "create")
ACCESS = Right("authorization.k8s.io", "subjectaccessreviews", "create")
OWN_PODS, PODS = Right("", "pods", "get", "pullwhy"), Right("", "pods", "get")
REPLICASETS, JOBS = Right("apps", "replicasets", "get"), Right("batch", "jobs", "get")
NODES = Right("", "nodes", "get")
CREATE, PATCH = Right("", "events", "create"), Right("", "events", "patch")
NOT_ANSWERED = Seen(status=503, owners=(), zone="")


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (set(), Seen()),
        ({REVIEWS}, replace(NOT_ANSWERED, admitted=False, events=())),
        ({OWN_PODS, PODS}, Seen(admitted=False, owners=(), zone="", events=())),
        ({ACCESS}, NOT_ANSWERED),
        ({PODS}, Seen(owners=("", ""), events=())),
        ({REPLICASETS}, Seen(owners=("CronJob/sweep-1", "ReplicaSet/web-1"))),
        ({JOBS}, Seen(owners=("Deployment/web-1", "Job/sweep-1"))),
        ({NODES}, Seen(zone="")),
        ({CREATE}, Seen(events=())),
        ({PATCH}, Seen(events=(2, 2))),
    ],
    ids=lambda value: (
        " ".join(sorted(f"{each.verb}-{each.resource}" for each in value)) if isinstance(value, set) else ""
    ),
)
def test_what_fails_without_a_right(
    missing: set[Right], expected: Seen, operations: str, tmp_path: Path, cluster: Cluster
) -> None:
    rights = granted(render(operations))
    assert missing <= rights
    cluster.rights = rights - missing
    refused = {right.resource for right in missing}

    def done(seen: Seen) -> bool:
        return seen == expected and {right.resource for right in cluster.refused} == refused

    seen = asyncio.run(lived(operations, cluster, tmp_path, done))
    assert seen == expected
    assert {right.resource for right in cluster.refused} == refused


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


def test_no_call_is_left_out_of_that() -> None:
    every = granted(render("overlays/cert-manager")) | granted(render("overlays/events"))
    assert named_in_the_code() == {(right.group, right.resource) for right in every}


@pytest.mark.parametrize("name", OF_COLLECTOR)
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


@pytest.mark.parametrize("name", OF_COLLECTOR)
def test_nobody_but_the_collector_is_bound_and_roles_for_people_grant_nothing_of_the_cluster(name: str) -> None:
    documents = render(name)
    bindings = [each for each in documents if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    assert all(each["subjects"] == [COLLECTOR] for each in bindings)
    bound = {each["roleRef"]["name"] for each in bindings}
    unbound = [each for each in documents if "rules" in each and each["metadata"]["name"] not in bound]
    for role in (each for each in unbound if each["kind"] == "ClusterRole"):
        assert [rule["apiGroups"] for rule in role["rules"]] == [["pullwhy"]]
        to_view = "rbac.authorization.k8s.io/aggregate-to-view" in role["metadata"].get("labels", {})
        assert to_view is (role["rules"] == [{"apiGroups": ["pullwhy"], "resources": ["findings"], "verbs": ["get"]}])
    own = [each for each in unbound if each["kind"] == "Role"]
    readers_are_asked = any(each["metadata"]["name"] == "pullwhy-readers" for each in bindings)
    assert [each["metadata"]["name"] for each in own] == (["pullwhy-ask"] if readers_are_asked else [])
    assert not [role for role in own if "pods/exec" in str(role)], "exec into an agent is root on its node"


def test_roles_for_people_grant_what_the_collector_asks_about() -> None:
    wanted = {(GROUP, "findings", "get")} | {(GROUP, right, "create") for right in get_args(readers.Right)}
    for name in ("overlays/cert-manager", "overlays/own-certificates"):
        roles = [each for each in render(name) if each["kind"] == "ClusterRole"]
        rules = [rule for role in roles for rule in role["rules"] if rule["apiGroups"] == [GROUP]]
        assert {(GROUP, *rule["resources"], *rule["verbs"]) for rule in rules} == wanted
        assert len(rules) == len(wanted), "each can be given alone"


def test_every_permission_is_told_with_its_reason() -> None:
    page = PERMISSIONS.read_text()
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
