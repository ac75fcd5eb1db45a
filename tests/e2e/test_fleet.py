"""Five nodes, one collector: is it the image, the registry, or these nodes? The faults are made, the answer must follow from them."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.world import PULLWHY, World, running

from lab import lab as labs
from lab.errors import LabError
from lab.node import Node
from lab.registry import Registry

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]

NODES = ("node-1", "node-2", "node-3", "node-4", "node-5")
PATIENCE = 30
"""Seconds in which a problem's scope must be right; how long it really takes is printed."""


class Fleet:
    """Five nodes that trust the lab's registries, each with its agent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes = [world.node(name) for name in NODES]

    def registry(self, name: str, *, trusted_by: Sequence[Node]) -> Registry:
        """Start a registry with a certificate of the lab's CA, with two images that are there."""
        registry = self.world.lab.registry("tls", f"{name}.lab.test")
        registry.push("shop/web", "1.0", "1.1")
        registry.push("shop/api", "1.0")
        for node in trusted_by:
            node.trust(registry.place, self.world.lab.authority.pem)
        self.wait_until_told(f"{registry.host}: ca", trusted_by, "sha256:")
        return registry

    def wait_until_told(self, fact: str, nodes: Sequence[Node], value: str = "") -> None:
        """Wait until the collector knows this fact of the nodes: agents look at their configuration four times a minute."""

        def told() -> bool:
            known = {one["node"]: one["configuration"] for one in self.known_nodes()}
            return all(value in known.get(node.name, {}).get(fact, ()) for node in nodes)

        self.world.wait(f"the collector to be told of {fact}", told, seconds=60, log=nodes[0].name)

    def configure(self, node: Node, registry: Registry, pem: bytes) -> None:
        """Name the registry in the node's own configuration, with a CA where there is one."""
        ca = f'ca = "/etc/containerd/certs.d/{registry.host}/lab.pem"\n' if pem else ""
        if pem:
            node.write(f"/etc/containerd/certs.d/{registry.host}/lab.pem", pem)
        node.hosts_toml(
            registry.place,
            f'server = "{registry.url}"\n\n[host."{registry.url}"]\n  capabilities = ["pull", "resolve"]\n  {ca}',
        )

    def fails(self, pod: str, image: str, nodes: Sequence[Node]) -> None:
        """Start a pod on each of these nodes."""
        for node in nodes:
            node.kubelet.add_pod(pod, image, namespace="shop")

    def known_nodes(self) -> list[dict[str, Any]]:
        """Ask the collector for its nodes."""
        words: list[str | Path] = [PULLWHY, "nodes", "--server", self.world.url, "-o", "json"]
        known: list[dict[str, Any]] = json.loads(self.world.lab.servers.run(words).stdout)
        return known

    def findings(self, image: str, number: int, *, confidence: str = "Proved") -> list[dict[str, Any]]:
        """Wait until so many nodes have a finding of this image, of this confidence if one is named."""

        def enough() -> bool:
            found[:] = self.world.findings("--image", image)
            return len([one for one in found if confidence in ("", one["confidence"])]) >= number

        found: list[dict[str, Any]] = []
        self.world.wait(f"{number} findings of {image}", enough, seconds=90, log="collector")
        return found

    def problem(self, cause: str, subject: str, *, verdict: str, failing: int) -> dict[str, Any]:
        """Wait for the problem with this verdict over so many nodes, those that were asked included; prints how long after its first line it was told."""
        end = time.monotonic() + PATIENCE
        last: list[dict[str, Any]] = []
        while time.monotonic() < end:
            last = [one for one in self.problems() if (one["cause"], one["subject"]["name"]) == (cause, subject)]
            for one in last:
                if (one["scope"]["verdict"], one["scope"]["failing"]) == (verdict, failing):
                    after = time.time() - datetime.fromisoformat(one["first_seen"]).timestamp()
                    print(f"{cause} {subject}: {verdict} known {after:.1f} s after the first line", one["scope"])
                    return one
            time.sleep(0.2)
        raise LabError(
            f"no {cause} of {subject} that is {verdict} over {failing} nodes in {PATIENCE} s; there are {self.problems()}"
        )

    def problems(self) -> list[dict[str, Any]]:
        """Ask the collector through the command line."""
        words: list[str | Path] = [PULLWHY, "problems", "-A", "--server", self.world.url, "-o", "json"]
        found: list[dict[str, Any]] = json.loads(self.world.lab.servers.run(words).stdout)
        return found

    def asked(self, registry: Registry, repository: str) -> Counter[str]:
        """Return how many requests the walks of each node made at a registry for a repository."""
        names = {address: node.name for node in self.nodes for address in (node.addresses.v4, node.addresses.v6)}
        return Counter(
            names[one.client]
            for one in registry.requests()
            if one.client in names and one.user_agent.startswith("pullwhy") and f"/{repository}/" in one.path
        )


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with labs.running() as lab, running(lab) as world:
        yield Fleet(world)


def test_a_ca_that_one_node_lacks_is_that_nodes_own_fault(fleet: Fleet) -> None:
    without = fleet.nodes[4]
    registry = fleet.registry("corp", trusted_by=fleet.nodes[:4])

    fleet.fails("untrusted", f"{registry.host}/shop/web:1.0", [without])

    found = fleet.problem("CertificateUntrusted", registry.host, verdict="NodeSpecific", failing=1)
    assert found["scope"]["healthy"] >= 2
    assert any(f"{registry.host}: ca" in text and "none" in text for text in found["scope"]["in_common"]), found[
        "scope"
    ]
    assert fleet.asked(registry, "shop/web").total() <= 4 * 6, "few nodes are asked, and each makes few requests"


def test_a_resolver_that_fails_two_nodes_is_named(fleet: Fleet) -> None:
    lab, broken = fleet.world.lab, fleet.nodes[2:4]
    first, second = lab.dns.servers
    for node in broken:
        node.set_name_servers(second)
    registry = fleet.registry("names", trusted_by=fleet.nodes)
    lab.dns.fault(registry.place.host, "servfail", server=second)
    fleet.wait_until_told("nameservers", broken, second)

    fleet.fails("unnamed", f"{registry.host}/shop/web:1.0", broken)

    found = fleet.problem("DNSServerFailure", registry.host, verdict="GroupSpecific", failing=2)
    assert found["scope"]["healthy"] >= 2
    assert second in found["scope"]["in_common"][0], found["scope"]
    assert first in found["scope"]["in_common"][0], "what the healthy ones have is told too"


def test_a_tag_that_is_missing_everywhere_is_the_images_fault(fleet: Fleet) -> None:
    registry = fleet.registry("tags", trusted_by=fleet.nodes)

    fleet.fails("mistyped", f"{registry.host}/shop/web:none", fleet.nodes[:3])

    found = fleet.problem("TagNotFound", f"{registry.host}/shop/web:none", verdict="ImageWide", failing=5)
    assert found["scope"]["healthy"] == 0
    assert fleet.asked(registry, "shop/web").total() <= 5 * 6, "few requests of each node"


def test_a_registry_that_is_down_is_down_for_all(fleet: Fleet) -> None:
    registry = fleet.registry("down", trusted_by=fleet.nodes)
    registry.stop()

    fleet.fails("stopped-web", f"{registry.host}/shop/web:1.0", fleet.nodes[:2])
    fleet.fails("stopped-api", f"{registry.host}/shop/api:1.0", fleet.nodes[2:3])

    found = fleet.problem("ConnectionRefused", registry.host, verdict="RegistryWide", failing=5)
    assert found["scope"]["healthy"] == 0
    assert found["pods"] == 3


def test_a_probe_tells_which_node_would_pull_and_which_not(fleet: Fleet) -> None:
    without = fleet.nodes[4]
    registry = fleet.registry("probed", trusted_by=fleet.nodes[:4])
    without.write("/etc/containerd/certs.d/probed.lab.test/hosts.toml", f'server = "{registry.url}"\n')
    fleet.wait_until_told(f"{registry.host}: ca", [without], "none")

    words: list[str | Path] = [
        PULLWHY,
        "probe",
        f"{registry.host}/shop/web:1.0",
        "--all-nodes",
        "--server",
        fleet.world.url,
        "-o",
        "json",
    ]
    answer = json.loads(fleet.world.lab.servers.run(words, check=False).stdout)

    states = {walk["node"]: walk["state"] for walk in answer["walks"]}
    assert states == {node.name: "Passes" for node in fleet.nodes[:4]} | {without.name: "Fails"}
    failed = next(walk for walk in answer["walks"] if walk["node"] == without.name)
    assert (failed["cause"], failed["stage"]) == ("CertificateUntrusted", "TLS")
    assert all(registry.host not in image for node in fleet.nodes for image in node.containerd.images()), "nobody pulls"


def test_in_a_storm_few_nodes_walk_and_the_others_adopt_until_it_is_their_turn(fleet: Fleet) -> None:
    world = fleet.world
    registry = fleet.registry("storm", trusted_by=fleet.nodes)
    image = f"{registry.host}/shop/web:none"
    restart_collector(fleet, walks_at_once=1, walks_per_second=0.04)
    fleet.fails("stormy", image, fleet.nodes[:3])
    proved = {found["node"] for found in fleet.findings(image, 3)}
    assert proved == {node.name for node in fleet.nodes[:3]}, "the first few walk at once"

    fleet.fails("stormy", image, fleet.nodes[3:])

    late = {node.name for node in fleet.nodes[3:]}
    adopted: list[dict[str, Any]] = []

    def some_adopted() -> bool:
        told = [found for found in world.findings("--image", image) if found["node"] in late]
        adopted[:] = [found for found in told if any(each["source"] == "fleet" for each in found["evidence"])]
        return bool(adopted)

    world.wait("a node to adopt what others proved", some_adopted, seconds=30, log=fleet.nodes[4].name)
    assert {(found["cause"], found["confidence"]) for found in adopted} == {("TagNotFound", "Likely")}
    fleet.findings(image, 5)
    world.collector_settings.clear()


def restart_collector(fleet: Fleet, **settings: float) -> None:
    """Start the collector anew with other settings, and wait until all agents are back."""
    world = fleet.world
    assert world.collector is not None
    world.collector.signal(15)
    world.collector.wait()
    world.collector_settings.update(settings)
    world.start_collector()
    world.wait("the agents to be back", lambda: all(one["connected"] for one in fleet.known_nodes()), log="collector")
