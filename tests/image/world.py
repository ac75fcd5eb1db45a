"""Two nodes with the images, the base's collector on one of them, and a registry: for all pod tests of a session."""

import contextlib
import copy
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from matrix.fault import FAST

from image import manifests
from image.kubelet import Cluster, RunningPod, import_image

from lab.lab import Lab
from lab.node import Node
from lab.registry import Registry

PYTHON: Final = "/opt/pullwhy/bin/python"
RESOLVED: Final = "/run/systemd/resolve"
IDLE: Final = [PYTHON, "-c", "import time; time.sleep(3600)"]


class World:
    """A node with both images, another with the collector's pod, and a registry."""

    def __init__(self, lab: Lab, images: Mapping[str, Path]) -> None:
        self.lab = lab
        self.node, self.other = (lab.node(name, kubelet=FAST) for name in ("node-a", "node-b"))
        self.registry: Registry = lab.registry("plain", "reg.lab.test")
        self.registry.push("app/web", "1.0")
        self.node.allow_http(self.registry.place)
        as_systemd_leaves_it(self.node)
        for node, name in ((self.node, "agent"), (self.node, "collector"), (self.other, "collector")):
            import_image(node, images[name])
        self.collector = RunningPod(
            self.other, "collector", manifests.pod("base", "Deployment", "pullwhy-collector"), Cluster()
        )
        self.cluster = Cluster(
            {
                "PULLWHY_COLLECTOR_SERVICE_HOST": self.other.addresses.v4,
                "PULLWHY_COLLECTOR_SERVICE_PORT_GRPC": "9443",
            }
        )

    def findings(self) -> list[dict[str, Any]]:
        """Ask the collector, with the command line of its own image."""
        answer = self.collector.exec("pullwhy", "findings", "-A", "-o", "json", "--server", "http://127.0.0.1:8080")
        found: list[dict[str, Any]] = json.loads(answer.out or "[]")
        return found

    @contextlib.contextmanager
    def agent(self, spec: dict[str, Any] | None = None, *, idle: bool = False) -> Iterator[RunningPod]:
        """Run the agent's pod, as the base has it or changed; *idle*: the same container, in which nothing runs yet."""
        spec = copy.deepcopy(spec or manifests.pod("base"))
        if idle:
            spec["containers"][0]["command"] = IDLE
        pod = RunningPod(self.node, "agent", spec, self.cluster)
        try:
            yield pod
        finally:
            pod.close()


def as_systemd_leaves_it(node: Node) -> None:
    """Make what a booted host has and the lab's has not: shared mounts, /run/log, and resolv.conf as systemd-resolved's."""
    node.run(["mount", "--make-rshared", "/"])
    node.run(["mkdir", "-p", "/run/log"])
    text = node.path("/etc/resolv.conf").read_text(encoding="utf-8")
    node.write(f"{RESOLVED}/resolv.conf", text)
    node.run(["ln", "-sf", f"..{RESOLVED}/resolv.conf", "/etc/resolv.conf"])


def get(node: Node, url: str) -> str:
    """Ask as the kubelet's probe does, from the node: whoever answers. Returns the status."""
    program = (
        "import ssl, sys, urllib.request as u\n"
        "context = ssl._create_unverified_context()\n"
        "print(u.urlopen(sys.argv[1], timeout=5, context=context).status)"
    )
    return str(node.run([sys.executable, "-c", program, url], check=False).stdout.strip())
