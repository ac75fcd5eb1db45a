"""A small fleet as its users run it: the collector and the agents as processes, asked through the command line."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matrix.fault import FAST
from matrix.servers import Servers

from lab.containerd import Settings as ContainerdSettings
from lab.errors import LabError
from lab.kubelet.sync import Settings as KubeletSettings
from lab.lab import Lab
from lab.namespace import Process
from lab.node import Node
from lab.registry import Place

PULLWHY: Final = Path(sys.executable).with_name("pullwhy")
AGENT_CONFIG: Final = "/etc/pullwhy/agent.toml"
COLLECTOR_CONFIG: Final = "/etc/pullwhy/collector.toml"
GRPC_PORT: Final = 9443
HTTP_PORT: Final = 8080


class World:
    """A lab with a collector among its servers and an agent on each of its nodes."""

    pullwhy: Final = PULLWHY

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.servers = Servers(lab)
        self.place: Place = lab.place("collector.lab.test", HTTP_PORT)
        self.url = f"http://{self.place.addresses[0]}:{HTTP_PORT}"
        self.collector: Process | None = None
        self.collector_settings: dict[str, Any] = {}
        """Besides where it listens and stores; takes effect when it is started."""
        self.agents: dict[str, Process] = {}
        self.agent_environment: dict[str, str] = {}
        """Of agents that are started from now on, besides a node's own."""

    def start_collector(self) -> None:
        """Start the collector, on its database if it has one already, and wait until it is ready."""
        address = self.place.addresses[0]
        settings = {
            "grpc_listen": f"{address}:{GRPC_PORT}",
            "http_listen": f"{address}:{HTTP_PORT}",
            "database": "/var/lib/pullwhy/collector.db",
            **self.collector_settings,
        }
        self.lab.servers.write(COLLECTOR_CONFIG, toml(settings))
        self.collector = self._start(self.lab.servers, "collector", COLLECTOR_CONFIG)
        self.wait("the collector to be ready", lambda: self._get("/readyz").returncode == 0, log="collector")

    def node(
        self,
        name: str,
        *,
        containerd: str | None = None,
        settings: ContainerdSettings | None = None,
        kubelet: KubeletSettings = FAST,
        watch: dict[str, Any] | None = None,
        preload_sandbox: bool = True,
    ) -> Node:
        """Start a node and the agent on it; *watch* holds settings of that table."""
        node = self.lab.node(
            name, containerd=containerd, settings=settings, kubelet=kubelet, preload_sandbox=preload_sandbox
        )
        collector = f"{self.place.addresses[0]}:{GRPC_PORT}"
        node.write(AGENT_CONFIG, toml({"node": name}, report={"address": collector}, watch=watch or {}))
        self.start_agent(node)
        return node

    def start_agent(self, node: Node) -> None:
        """Start the agent of a node, on its state if it has one already."""
        self.agents[node.name] = self._start(node.namespace, "agent", AGENT_CONFIG, self.agent_environment)

    def log(self, name: str) -> str:
        """Return what the collector, or the agent of a node, wrote so far."""
        return self._log_path(name).read_text(errors="replace")

    def findings(self, *filters: str) -> list[dict[str, Any]]:
        """Ask the collector for findings through the command line."""
        words: list[str | Path] = [PULLWHY, "findings", "-A", "--server", self.url, "-o", "json", *filters]
        answer = self.lab.servers.run(words)
        found: list[dict[str, Any]] = json.loads(answer.stdout)
        return found

    def finding(self, pod: str, node: str, *, seconds: float = 60, factors: Sequence[str] = ()) -> dict[str, Any]:
        """Wait for the active finding that names *pod*, once its walk is done and it has the *factors*.

        How the pod spells its image, and so whether the tag was assumed, only the kubelet's first back-off line tells.
        """
        end = time.monotonic() + seconds
        last: dict[str, Any] | None = None
        while time.monotonic() < end:
            for found in self.findings("--node", node):
                if found["state"] == "Active" and any(one["name"] == pod for one in found["pods"]):
                    last = found
            if last is not None and last["trace"] and set(factors) <= set(last["factors"]):
                return last
            time.sleep(0.5)
        if last is not None:
            return last
        raise LabError(f"no finding for {pod} on {node} in {seconds} s; the agent says:\n{self.log(node)[-6000:]}")

    def wait(self, what: str, done: Any, *, seconds: float = 60, log: str | None = None) -> None:
        """Wait until *done* says so; raises LabError with a process's last words."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise LabError(f"waited {seconds} s for {what}\n{self.log(log)[-4000:] if log else ''}")
            time.sleep(0.1)

    def end(self, node: Node) -> None:
        """End a node and its agent."""
        self.agents.pop(node.name).close()
        node.close()

    def close(self) -> None:
        """End agents and collector; the lab ends the rest."""
        for process in (*self.agents.values(), self.collector):
            if process is not None:
                process.close()

    def _get(self, path: str) -> Any:
        program = f"import urllib.request as u; u.urlopen('{self.url}{path}', timeout=2)"
        return self.lab.servers.run([sys.executable, "-c", program], check=False)

    def _start(
        self, namespace: Any, command: str, config: str, environment: Mapping[str, str] | None = None
    ) -> Process:
        name = command if command == "collector" else namespace.name
        with self._log_path(name).open("a") as log:
            words = [PULLWHY, command, "--config", config]
            return namespace.popen(words, env=environment, stdout=log, stderr=log)  # type: ignore[no-any-return]

    def _log_path(self, name: str) -> Path:
        return self.lab.servers.path(f"/run/lab/{name}.log")


@contextlib.contextmanager
def running(lab: Lab) -> Iterator[World]:
    """Run a world with its collector; nodes come later."""
    world = World(lab)
    try:
        world.start_collector()
        yield world
    finally:
        world.close()


def toml(values: dict[str, Any], **tables: dict[str, Any]) -> str:
    """Return a settings file."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join([*lines, ""])


def cli(world: World, arguments: Sequence[str], *, node: Node | None = None, check: bool = True) -> Any:
    """Run pullwhy on a node, or among the servers."""
    namespace = node.namespace if node is not None else world.lab.servers
    return namespace.run([PULLWHY, *arguments], check=check)
