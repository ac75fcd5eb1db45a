"""A rendering's collector and its agents against the stand-in for the API server, which grants just the rendering's rights."""

import contextlib
import http.client
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

from collector import minted
from collector.kubernetes.standin import StandIn, refusal
from collector.minted import Pair, ServerFiles
from collector.samples import collector, finding

from image import manifests
from pullwhy.collector.service import Collector
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings, ReportSettings, load
from pullwhy.model import FailingPod, Finding

VERBS: Final = {"POST": "create", "PATCH": "patch", "GET": "get"}
"""Each of an object that the path names, or of a collection for POST (kubernetes.io: Authorization Overview)."""
KNOWN_ROLES: Final = {
    "system:auth-delegator": [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]
}
"""What clusters have by themselves (kubernetes 1.34: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go)."""
COLLECTOR: Final = {"kind": "ServiceAccount", "name": "pullwhy-collector", "namespace": "pullwhy"}
JANE: Final = "token-of-jane-0001"


@dataclass(frozen=True, order=True, slots=True)
class Right:
    """A verb on a resource, in a namespace or ("") in all, of one object or ("") of all."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""

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


def allows(rights: set[Right], method: str, path: str) -> bool:
    """Return whether a call is granted, alone or among others."""
    right = Right.of(method, path)
    of_one = path.rpartition("/")[2]
    return any(
        replace(right, namespace=namespace, name=name) in rights
        for namespace in {right.namespace, ""}
        for name in {of_one, ""}
    )


def granted(documents: list[dict[str, Any]], account: str = COLLECTOR["name"]) -> set[Right]:
    """Return the rights of a service account, by its bindings."""
    rules = {(each["kind"], each["metadata"]["name"]): each["rules"] for each in documents if "rules" in each}
    rules |= {("ClusterRole", name): known for name, known in KNOWN_ROLES.items()}
    found = set()
    for binding in documents:
        if COLLECTOR | {"name": account} not in binding.get("subjects", ()):
            continue
        namespace = binding["metadata"]["namespace"] if binding["kind"] == "RoleBinding" else ""
        for rule in rules[binding["roleRef"]["kind"], binding["roleRef"]["name"]]:
            assert set(rule) - {"resourceNames"} == {"apiGroups", "resources", "verbs"}
            found |= {
                Right(group, resource, verb, namespace, name)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames", ("",))
            }
    return found


def agents_of(documents: list[dict[str, Any]], workload: str = "pullwhy-agent") -> AgentSettings:
    """Return what the agents of a DaemonSet make of their environment."""
    return load(AgentSettings, None, environment(documents, "DaemonSet", workload))


def environment(documents: list[dict[str, Any]], kind: str, workload: str) -> dict[str, str]:
    """Return what the pod's manifest and the ConfigMaps that it names set, without what the kubelet fills in."""
    (container,) = manifests.pod_of(documents, kind, workload)["containers"]
    settings: dict[str, str] = {}
    for source in container["envFrom"]:
        settings |= manifests.find(documents, "ConfigMap", source["configMapRef"]["name"]).get("data", {})
    return settings | {
        entry["name"]: entry["value"] for entry in container["env"] if "$(" not in entry.get("value", "$(")
    }


def settings_of(documents: list[dict[str, Any]]) -> tuple[AgentSettings, CollectorSettings]:
    """Return what agent and collector make of their environment."""
    collector = environment(documents, "Deployment", "pullwhy-collector")
    return agents_of(documents), load(CollectorSettings, None, collector)


@contextlib.asynccontextmanager
async def deployed(name: str, folder: Path, api: StandIn) -> AsyncIterator[tuple[Collector, ReportSettings]]:
    """Run the collector of a rendering; yield it and what its agents are told of it. Only places are other ones here."""
    agents, settings = settings_of(manifests.render(name))
    report = agents.report
    of_node = ("pullwhy://node/node-a",) if settings.agent_auth == "certificate" else ()
    server, agent = ServerFiles(folder), Pair(folder, *of_node)
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


class Cluster(StandIn):
    """Two failing pods of node-a with what made them, the agent's own pod, and Jane, who may see everything."""

    def __init__(self, folder: Path) -> None:
        self.rights: set[Right] = set()
        """Those of the collector's account."""
        self.refused: set[Right] = set()
        super().__init__(folder)
        self.token(JANE, "jane")
        self.allowed.add(("jane", "get", "findings", ""))
        self.pod("pullwhy", "agent-x", "node-a")
        self.objects["/api/v1/nodes/node-a"] = {"metadata": {"labels": {"topology.kubernetes.io/zone": "zone-1"}}}
        above = (("web-1", "apps", "ReplicaSet", "Deployment"), ("sweep-1", "batch", "Job", "CronJob"))
        for name, group, parent, workload in above:
            self.pod("shop", name, "node-a", metadata=owned(parent, name))
            path = f"/apis/{group}/v1/namespaces/shop/{parent.lower()}s/{name}"
            self.objects[path] = {"metadata": owned(workload, name)}

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """Refuse what no role grants."""
        if not allows(self.rights, method, path):
            right = Right.of(method, path)
            self.refused.add(right)
            return refusal(403, "Forbidden", f"{right.resource} is forbidden: cannot {right.verb}")
        return super().answer(method, path, body)


def owned(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": name, "controller": True}]}


def failing(attempts: int) -> Iterator[Finding]:
    for number, name in enumerate(("web-1", "sweep-1"), 1):
        yield finding(number, pods=(FailingPod("shop", name, f"uid-{name}", "main", attempts=attempts),))


def ask(address: str, ca: Path | None, path: str) -> tuple[int, Any]:
    """Ask as Jane; return status and decoded answer. Blocks: call it in a thread."""
    port = int(address.rpartition(":")[2])
    if ca is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    else:
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"authorization": f"Bearer {JANE}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
