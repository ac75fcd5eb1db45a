"""What a person reads of faults of credentials: which secret, which key, whose error, which source, and nothing of a secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matrix.catalogue import BY_NAME
from matrix.fault import Fault

from e2e.world import World, running

from lab import lab as labs
from lab.node import Node
from lab.registry import PASSWORD

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

CONFIG = "/var/lib/kubelet/config.json"
WORDS: dict[str, tuple[str, ...]] = {
    "pull secret missing": (
        "The pod names the pull secret registry-login, which the kubelet could not get in the namespace default",
        "kubectl create secret docker-registry registry-login",
    ),
    "node key without its last slash": ("/v2 without a slash after it is taken for a path of the image", CONFIG),
    "node token expired": ("The token expired at 20", f"The credentials came from {CONFIG}"),
    "node credentials shadow a public image": ("The image is public", "removing that entry, or renewing it", CONFIG),
    "provider without identity": (
        "The provider lab-credential-provider says: ",
        "no identity: the metadata service answers 403",
    ),
    "old provider without identity": ("says: ", "exit status 1: no identity: the metadata service answers 403"),
    "provider not executable": ("permission denied", "its binary cannot be run: ", ": not executable"),
    "provider for other hosts": ("no matchImages of ", "it has *.cloud.test"),
    "record names another pod's secret": (
        "was pulled with the pull secret default/pull-secret; this pod brings no such credentials",
    ),
    "record denies under the policy Never": ("was pulled with the pull secret default/pull-secret",),
}


class Fleet:
    """A node for each fault: most of them are about a file of the node."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._number = 0

    def play(self, fault: Fault) -> dict[str, Any]:
        """Make the fault on a node of its own and return what is found."""
        self._number += 1
        node: Node = self.world.node(f"node-{self._number}", kubelet=fault.home.kubelet)
        try:
            spec = fault.make(self.world.servers, node)
            node.kubelet.add_pod(
                fault.pod,
                spec.image,
                pull_policy=spec.pull_policy,
                credentials=spec.credentials,
                missing_secrets=spec.missing_secrets,
            )
            found = self.world.finding(fault.pod, node.name, seconds=60, factors=fault.factors)
            assert PASSWORD not in self.world.log(node.name)
            self.world.wait(
                f"the kubelet's version of {node.name}", lambda: self._version(node) == node.kubelet.version
            )
            return found
        finally:
            self.world.agents.pop(node.name).close()
            node.close()

    def _version(self, node: Node) -> str:
        words: list[str | Path] = [self.world.pullwhy, "nodes", "--server", self.world.url, "-o", "json"]
        nodes = json.loads(self.world.lab.servers.run(words).stdout)
        return next((str(each["kubelet_version"]) for each in nodes if each["node"] == node.name), "")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with labs.running() as lab, running(lab) as world:
        yield Fleet(world)


@pytest.mark.parametrize("name", WORDS)
def test_the_remedy_says_what_to_change(fleet: Fleet, name: str) -> None:
    fault = BY_NAME[name]
    found = fleet.play(fault)
    assert (found["cause"], found["confidence"]) == (fault.cause, "Proved"), found["summary"]
    remedy = found["remedy"]
    told = "\n".join((remedy["text"], *(command["run"] for command in remedy["commands"])))
    for words in WORDS[name]:
        assert words in told
    assert PASSWORD not in str(found)
