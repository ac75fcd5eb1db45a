"""The agent's one connection to the container runtime, made as soon as there is a socket, and what it shows of the node's pods."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pullwhy.model import PodRef
from pullwhy.node.incidents.incidents import Sight
from pullwhy.node.walk.plan import Sources
from pullwhy.runtime.cri import Container, CRIClient, CRIError, PodSandbox
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.host.processes import Processes
from pullwhy.runtime.kubelet.settings import detect_endpoint, find_kubelet

LOOK_AGAIN: Final = 30.0
"""Seconds between two looks for a socket that was not there."""
UID_LABEL: Final = "io.kubernetes.pod.uid"


class RuntimeLink:
    """Finds the runtime's socket and keeps one client of it."""

    def __init__(self, sources: Sources, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._monotonic = monotonic
        self._client: CRIClient | None = None
        self._look_at = monotonic()
        self.answers: bool | None = None
        """Whether the last question was answered; None before the first."""

    def client(self) -> CRIClient | None:
        """Return the client; None where no socket was found."""
        if self._client is None and self._monotonic() >= self._look_at:
            self._look_at = self._monotonic() + LOOK_AGAIN
            socket = self._socket()
            self._client = CRIClient(socket) if socket else None
        return self._client

    async def sight(self) -> Sight | None:
        """Ask for pods and containers; None where the runtime does not answer."""
        client = self.client()
        if client is None:
            self.answers = False
            return None
        try:
            sight = as_sight(await client.pod_sandboxes(), await client.containers())
        except CRIError:
            self.answers = False
            return None
        self.answers = True
        return sight

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _socket(self) -> str:
        given = self._sources.runtime_endpoint
        if given:
            return given.removeprefix("unix://")
        fs = HostFS(self._sources.host_root)
        found = detect_endpoint(fs, find_kubelet(fs, Processes(self._sources.proc)))
        try:
            return str(fs.local(found)) if found else ""
        except UnreadableFile:
            return ""


def as_sight(pods: tuple[PodSandbox, ...], containers: tuple[Container, ...]) -> Sight:
    """Return what CRI's lists say about each pod and container: the newest of several counts."""
    seen: dict[str, tuple[PodRef, datetime]] = {}
    for pod in sorted(pods, key=lambda each: each.created_at):
        seen[pod.uid] = (PodRef(pod.namespace, pod.name, pod.uid), pod.created_at)
    owners = {pod.id: pod.uid for pod in pods}
    made: dict[tuple[str, str], datetime] = {}
    for container in sorted(containers, key=lambda each: each.created_at):
        uid = container.labels.get(UID_LABEL) or owners.get(container.pod_id, "")
        made[uid, container.name] = container.created_at
    begun = {uid for uid, _ in made}
    ready = dict.fromkeys(pod.uid for pod in pods if pod.ready and pod.uid not in begun)
    return Sight(seen, made, tuple(seen[uid][0] for uid in ready))
