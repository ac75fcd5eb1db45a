"""`kubectl pullwhy` under Debian's real kubectl: found as a plugin, reaching a real collector through a real port-forward and exec."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.kubectl.apiserver import APIServer
from cli.kubectl.standin import ANY_SIGNAL
from cli.test_token import TOKEN, collector
from collector.samples import finding
from collector.served import Served

from pullwhy.node.report.status import NodeStatus

from lab.namespace import REPOSITORY
from lab.packages import cache_folder, unpacked

pytestmark = pytest.mark.lab
BIN = Path(sys.executable).parent
KIND = {"apiVersion": "v1", "kind": "Pod"}


@pytest.fixture(scope="module")
def kubectl() -> Path:
    return unpacked(cache_folder(), "kubectl", "trixie") / "usr/bin/kubectl"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("collector"), (finding(1),), NodeStatus())
    yield running
    running.stop()


def cluster(folder: Path, port: int) -> APIServer:
    """Return an API server that knows the objects of pullwhy's manifests; `port` is the collector's."""
    api = APIServer(folder, TOKEN, port, [str(BIN / "pullwhy")])
    name = "/api/v1/namespaces/pullwhy"
    labels = {"app.kubernetes.io/name": "pullwhy-collector"}
    pod = KIND | {
        "metadata": {"name": "pullwhy-collector-0", "namespace": "pullwhy", "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    agent = KIND | {
        "metadata": {"name": "pullwhy-agent-x", "namespace": "pullwhy"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "agent"}]},
        "status": {"phase": "Running"},
    }
    ports = [{"name": "grpc", "port": 9443, "targetPort": "grpc"}, {"name": "http", "port": 8080, "targetPort": "http"}]
    api.objects = {
        name: {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pullwhy"}},
        f"{name}/services/pullwhy-collector": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "pullwhy-collector", "namespace": "pullwhy"},
            "spec": {"selector": labels, "ports": ports},
        },
        f"{name}/pods/pullwhy-collector-0": pod,
        f"{name}/pods/pullwhy-agent-x": agent,
        f"{name}/pods": {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod]},
        "/api/v1/namespaces/shop/serviceaccounts/viewer/token": {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "status": {"token": TOKEN, "expirationTimestamp": "2100-01-01T00:00:00Z"},
        },
        "/apis/apps/v1/namespaces/pullwhy/daemonsets": {
            "apiVersion": "apps/v1",
            "kind": "DaemonSetList",
            "metadata": {},
            "items": [
                {
                    "metadata": {"name": name, "namespace": "pullwhy"},
                    "status": {"desiredNumberScheduled": 1, "numberReady": 1},
                }
                for name in ("pullwhy-agent", "pullwhy-agent-crio")
            ],
        },
    }
    return api


@pytest.fixture
def api(tmp_path: Path, served: Served) -> Iterator[APIServer]:
    made = cluster(tmp_path, int(served.address.rpartition(":")[2]))
    yield made
    made.stop()


def environment(api: APIServer, kubectl: Path, folder: Path, user: dict[str, Any] | None = None) -> dict[str, str]:
    (folder / "config").write_text(json.dumps(api.kubeconfig(user or {"token": TOKEN})))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PULLWHY_", "KUBE"))}
    return clean | {
        "PATH": f"{kubectl.parent}:{BIN}:{clean['PATH']}",
        "KUBECONFIG": str(folder / "config"),
        "HOME": str(folder),
    }


def run(kubectl: Path, environ: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [kubectl, *words],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_kubectl_finds_the_plugin(api: APIServer, kubectl: Path, tmp_path: Path) -> None:
    done = run(kubectl, environment(api, kubectl, tmp_path), "plugin", "list", "--name-only")
    assert "kubectl-pullwhy" in done.stdout.split()


def test_kubectls_completion_asks_the_plugin(api: APIServer, kubectl: Path, tmp_path: Path) -> None:
    done = run(kubectl, environment(api, kubectl, tmp_path), "__complete", "pullwhy", "doc")
    assert done.stdout.splitlines()[:2] == ["doctor", ":4"]


def test_the_queries_answer_through_a_real_port_forward(api: APIServer, kubectl: Path, tmp_path: Path) -> None:
    environ = environment(api, kubectl, tmp_path)
    done = run(kubectl, environ, "pullwhy", "explain", "pod/web-1", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["image"] for each in json.loads(done.stdout)] == ["registry.example/shop/web1:1.4"]
    assert "POST /api/v1/namespaces/pullwhy/pods/pullwhy-collector-0/portforward" in api.seen
    done = run(kubectl, environ, "pullwhy", "findings", "-n", "ops")
    assert "No findings at service/pullwhy-collector in namespace pullwhy with namespace ops" in done.stderr


def test_doctor_looks_at_everything_and_into_an_agent(api: APIServer, kubectl: Path, tmp_path: Path) -> None:
    environ = environment(api, kubectl, tmp_path)
    done = run(kubectl, environ, "pullwhy", "doctor", "-o", "json")
    assert [each["name"] for each in json.loads(done.stdout) if not each["ok"]] == [], done.stdout
    listed = api.objects["/api/v1/namespaces/pullwhy/pods"]
    listed["items"] = [api.objects["/api/v1/namespaces/pullwhy/pods/pullwhy-agent-x"]]
    done = run(kubectl, environ, "pullwhy", "doctor", "--node", "node-a", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"kubelet log", "CRI socket", "resolver"} <= {each["name"] for each in json.loads(done.stdout)}
    assert "POST /api/v1/namespaces/pullwhy/pods/pullwhy-agent-x/exec" in api.seen


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (
            "service",
            'kubectl port-forward: Error from server (NotFound): services "pullwhy-collector" not found; where pullwhy',
        ),
        ("right", 'kubectl port-forward: Error from server (Forbidden): services "pullwhy-collector" is forbidden: '),
        ("pod", "unable to forward port because pod is not running. Current status=Pending; see why: kubectl get pods"),
        ("token", "error: You must be logged in to the server"),
        ("server", "kubectl port-forward: The connection to the server 127.0.0.1:1 was refused"),
        ("port", "service/pullwhy-collector in namespace pullwhy cannot be reached: "),
    ],
)
def test_what_kubectl_cannot_do_is_told_in_its_words(
    api: APIServer, kubectl: Path, tmp_path: Path, broken: str, told: str
) -> None:
    pod = api.objects["/api/v1/namespaces/pullwhy/pods/pullwhy-collector-0"]
    if broken == "service":
        del api.objects["/api/v1/namespaces/pullwhy/services/pullwhy-collector"]
    elif broken == "right":
        api.forbidden.add("/services/")
    elif broken == "pod":
        pod["status"] = {"phase": "Pending"}
    elif broken == "port":
        api.port = 1
    environ = environment(api, kubectl, tmp_path, {"token": "wr0ng"} if broken == "token" else None)
    words = ["--server=https://127.0.0.1:1"] if broken == "server" else []
    done = run(kubectl, environ, "pullwhy", "nodes", *words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert told in done.stderr
    assert "wr0ng" not in done.stderr


def test_kubectls_own_plugin_protocol_and_relative_paths_are_read_from_its_output(
    api: APIServer, kubectl: Path, tmp_path: Path
) -> None:
    made = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": TOKEN}}
    (tmp_path / "sign-in").write_text(f"#!/bin/sh\necho '{json.dumps(made)}'\n")
    (tmp_path / "sign-in").chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./sign-in", "interactiveMode": "Never"}
    with collector() as asked:
        api.port = asked.server_port
        for user in ({"exec": plugin}, {"tokenFile": "token"}):
            (tmp_path / "token").write_text(TOKEN)
            done = run(kubectl, environment(api, kubectl, tmp_path, user), "pullwhy", "nodes")
            assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
        assert asked.seen == [f"Bearer {TOKEN}"] * 2


def test_a_service_accounts_token_is_made(api: APIServer, kubectl: Path, tmp_path: Path) -> None:
    with collector() as asked:
        api.port = asked.server_port
        environ = environment(api, kubectl, tmp_path) | {"PULLWHY_TOKEN": "another"}
        assert run(kubectl, environ, "pullwhy", "nodes", "--token-from", "sa/viewer").returncode == 0
        assert asked.seen == [f"Bearer {TOKEN}"]
    assert "POST /api/v1/namespaces/shop/serviceaccounts/viewer/token" in api.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_kubectl(api: APIServer, kubectl: Path, tmp_path: Path, number: signal.Signals) -> None:
    environ = environment(api, kubectl, tmp_path)
    command = [*ANY_SIGNAL, str(kubectl), "pullwhy", "nodes", "--watch", "-o", "json"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"[\n"
        assert forwards(environ["KUBECONFIG"])
        process.send_signal(number)
        assert process.wait(20) == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert forwards(environ["KUBECONFIG"]) == []


def forwards(kubeconfig: str) -> list[str]:
    """Return the processes with this kubeconfig that forward a port."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, environ = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        if b"port-forward" in words and f"KUBECONFIG={kubeconfig}\0".encode() in environ:
            found.append(path.name)
    return found


def granted(*roles: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (verb, resource)
        for role in roles
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


def used(api: APIServer) -> set[tuple[str, str]]:
    """Return verb and resource of what was asked of the namespace, by the rules of Kubernetes' authorization."""
    found = set()
    for method, path in (each.split() for each in api.seen):
        resource, name, *below = (*path.partition("/namespaces/pullwhy/")[2].split("/"), "")
        one = {"POST": "create", "GET": "get" if name else "list"}[method]
        if resource:
            found.add((one, "/".join((resource, *filter(None, below)))))
    # By WebSocket, which kubectl tries first: it goes back to SPDY where that is refused.
    return found - {("get", "pods/portforward")}


def test_the_roles_that_are_told_are_what_kubectl_asks_for(api: APIServer, kubectl: Path, tmp_path: Path) -> None:
    environ = environment(api, kubectl, tmp_path)
    ask = yaml.safe_load((REPOSITORY / "daemonset/components/readers/ask.yaml").read_text())
    (shown,) = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/kubectl.md").read_text(), re.DOTALL)
    administrator = granted(ask, yaml.safe_load(shown))
    assert run(kubectl, environ, "pullwhy", "findings", "-A").returncode == 0
    assert {("get", "services"), ("list", "pods"), ("create", "pods/portforward")} <= used(api) <= granted(ask)
    assert run(kubectl, environ, "pullwhy", "doctor").returncode == 0
    assert run(kubectl, environ, "pullwhy", "doctor", "--node", "node-a").returncode == 0
    assert ("list", "daemonsets") in used(api)
    assert used(api) <= administrator
    assert ("create", "pods/exec") in used(api)
