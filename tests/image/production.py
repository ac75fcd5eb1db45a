"""An installation for production on the lab's nodes: pods of an overlay, unchanged, with all that they need of a cluster."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from image import manifests
from image.apiserver import READER, ApiServer
from image.kubelet import Cluster, RunningPod
from image.world import World, get

from lab.errors import wait_for

NAME: Final = "pullwhy-collector.pullwhy.svc"


def made(folder: Path, *nodes: str) -> dict[str, dict[str, bytes]]:
    """Return the Secrets that `make-certificates` makes."""
    command = manifests.FOLDER / "components/own-certificates/make-certificates"
    subprocess.run([command, folder, *nodes], check=True, timeout=60)
    return {
        f"pullwhy-{name}-tls": {
            "ca.crt": (folder / "ca.crt").read_bytes(),
            "tls.crt": (folder / f"{name}.crt").read_bytes(),
            "tls.key": (folder / f"{name}.key").read_bytes(),
        }
        for name in ("agent", "collector")
    }


class Production:
    """What a cluster gives to the pods; agent and collector run on one node, which the API server knows."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.node = world, folder, world.node
        self.api = ApiServer(world.lab, folder)
        self.api.objects[f"/api/v1/nodes/{self.node.name}"] = {"metadata": {"labels": {}}}
        self.secrets: dict[str, Mapping[str, bytes]] = dict(made(folder / "pki"))
        world.lab.dns.add(NAME, self.node.addresses.v4)
        self._reader = self.node.write("/run/lab/reader", READER)
        self.node.write("/run/lab/collector-ca", self.secrets["pullwhy-collector-tls"]["ca.crt"])

    @property
    def cluster(self) -> Cluster:
        """What the kubelet is told."""
        address = {
            "PULLWHY_COLLECTOR_SERVICE_HOST": self.node.addresses.v4,
            "PULLWHY_COLLECTOR_SERVICE_PORT_GRPC": "9443",
        }
        return Cluster(self.api.services | address, self.secrets, self.api)

    @contextlib.contextmanager
    def collector(self, overlay: str) -> Iterator[RunningPod]:
        """Run an overlay's collector, and wait until it is ready."""
        with self.starting_collector(overlay) as pod:
            wait_for("the collector to be ready", lambda: self.ready(overlay), log=pod.log, seconds=60)
            yield pod

    @contextlib.contextmanager
    def starting_collector(self, overlay: str) -> Iterator[RunningPod]:
        """Run an overlay's collector, whose account has the overlay's rights."""
        documents = manifests.render(overlay)
        self.api.grant(documents)
        spec = manifests.pod_of(documents, "Deployment", "pullwhy-collector")
        with contextlib.closing(RunningPod(self.node, "collector", spec, self.cluster)) as pod:
            yield pod

    def ready(self, overlay: str) -> bool:
        """Return whether the collector is ready, asked as its overlay tells the kubelet to."""
        (container,) = manifests.pod(overlay, "Deployment", "pullwhy-collector")["containers"]
        probe = container["readinessProbe"]["httpGet"]
        (port,) = [each["containerPort"] for each in container["ports"] if each["name"] == probe["port"]]
        url = f"{probe['scheme'].lower()}://{self.node.addresses.v4}:{port}{probe['path']}"
        return get(self.node, url) == "200"

    @contextlib.contextmanager
    def agent(self, overlay: str) -> Iterator[RunningPod]:
        """Run an overlay's agent."""
        with contextlib.closing(RunningPod(self.node, "agent", manifests.pod(overlay), self.cluster)) as pod:
            yield pod

    @contextlib.contextmanager
    def failing(self, image: str) -> Iterator[None]:
        """Bind a pod with an image to the node."""
        pod = self.node.kubelet.add_pod("web-0", image)
        self.api.pod("default", "web-0", self.node.name, metadata={"uid": pod.uid})
        try:
            yield
        finally:
            self.node.kubelet.remove_pod(pod)

    def findings(self) -> list[dict[str, Any]]:
        """Ask the collector as Jane, who checks whom she asks."""
        words = ["findings", "-A", "-o", "json", "--server", f"https://{NAME}:8080", "--token-file", "/run/lab/reader"]
        answer = self.node.run(["pullwhy", *words], env={"SSL_CERT_FILE": "/run/lab/collector-ca"})
        found: list[dict[str, Any]] = json.loads(answer.stdout)
        return found

    def found(self, image: str, agent: RunningPod) -> dict[str, Any]:
        """Wait for the finding about an image that a walk proved, and return it."""
        return wait_for(
            "the finding at the collector",
            lambda: next((one for one in self.findings() if one["image"] == image and one["trace"]), None),
            seconds=60,
            every=0.5,
            log=agent.log,
        )
