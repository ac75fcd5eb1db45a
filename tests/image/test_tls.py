"""Agent and collector with the certificates of `make-certificates`, each the pod of its overlay less what needs an API server."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from matrix.fault import FAST

from image import manifests
from image.kubelet import Cluster, RunningPod, import_image
from image.test_pod import as_systemd_leaves_it

from lab.errors import wait_for
from lab.lab import running
from lab.node import Node

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # the images may have to be built first

OVERLAY = "overlays/own-certificates"
ASKS_THE_API = (
    "PULLWHY_REPORT_TOKEN_FILE",
    "PULLWHY_AGENT_AUTH",
    "PULLWHY_READER_AUTH",
    "PULLWHY_KUBERNETES_PODS",
    "PULLWHY_KUBERNETES_NODES",
)


def spec(kind: str, name: str) -> dict[str, Any]:
    """Return the spec of a workload's pods without what makes the collector ask the API server."""
    found = manifests.pod(OVERLAY, kind, name)
    (container,) = found["containers"]
    container["env"] = [entry for entry in container["env"] if entry["name"] not in ASKS_THE_API]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "token"]
    found["volumes"] = [volume for volume in found["volumes"] if volume["name"] != "token"]
    return found


def made(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return the Secrets that `make-certificates` makes."""
    command = manifests.FOLDER / "components/own-certificates/make-certificates"
    subprocess.run([command, folder], check=True, timeout=60)
    return {
        f"pullwhy-{name}-tls": {
            "ca.crt": (folder / "ca.crt").read_bytes(),
            "tls.crt": (folder / f"{name}.crt").read_bytes(),
            "tls.key": (folder / f"{name}.key").read_bytes(),
        }
        for name in ("agent", "collector")
    }


@pytest.fixture(scope="module")
def node(images: Mapping[str, Path]) -> Iterator[Node]:
    with running() as lab:
        found = lab.node("node-a", kubelet=FAST)
        as_systemd_leaves_it(found)
        for name, path in images.items():
            import_image(found, path, f"registry.example/pullwhy/{name}")
        yield found


def test_an_agent_reports_with_a_certificate_of_the_authority_and_with_no_other(node: Node, tmp_path: Path) -> None:
    secrets, foreign = made(tmp_path / "own"), made(tmp_path / "foreign")
    services = {"PULLWHY_COLLECTOR_SERVICE_HOST": "127.0.0.1", "PULLWHY_COLLECTOR_SERVICE_PORT_GRPC": "9443"}
    stolen = {"pullwhy-agent-tls": {**foreign["pullwhy-agent-tls"], "ca.crt": secrets["pullwhy-agent-tls"]["ca.crt"]}}
    collector = RunningPod(node, "collector", spec("Deployment", "pullwhy-collector"), Cluster(services, secrets))
    with contextlib.closing(collector):
        wait_for(
            "the collector to listen", lambda: "agents report to" in collector.log(), log=collector.log, seconds=30
        )
        with contextlib.closing(
            RunningPod(node, "agent", spec("DaemonSet", "pullwhy-agent"), Cluster(services, stolen))
        ) as agent:
            wait_for("the stranger to be refused", lambda: "127.0.0.1:9443" in agent.log(), log=agent.log, seconds=30)
            assert ": connected" not in agent.log()
        with contextlib.closing(
            RunningPod(node, "agent", spec("DaemonSet", "pullwhy-agent"), Cluster(services, secrets))
        ) as agent:
            wait_for("the agent to be connected", lambda: ": connected" in agent.log(), log=agent.log, seconds=30)
