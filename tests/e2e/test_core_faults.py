"""The core faults on every generation of containerd: from the kubelet's journal to an answer at the collector."""

from collections.abc import Iterator
from typing import Any

import pytest
from matrix.catalogue import CORE
from matrix.fault import Fault, PodSpec

from e2e.world import World, running

from lab import lab as labs
from lab.node import Node

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


class Fleet:
    """A node for each generation, with every core fault made on each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes: dict[str, Node] = {}
        self.specs: dict[tuple[str, str], PodSpec] = {}

    def add(self, generation: str) -> None:
        """Start a node of *generation* and make every fault on it."""
        node = self.world.node(f"node-{generation.replace('.', '-')}", containerd=generation)
        self.nodes[generation] = node
        for fault in CORE:
            spec = fault.make(self.world.servers, node)
            self.specs[generation, fault.name] = spec
            node.kubelet.add_pod(fault.pod, spec.image, pull_policy=spec.pull_policy, credentials=spec.credentials)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with labs.running() as lab, running(lab) as world:
        made = Fleet(world)
        for generation in labs.generations(lab.components):
            made.add(generation)
        yield made


@pytest.mark.parametrize("generation", ["1.6", "1.7", "2.1"])
@pytest.mark.parametrize("fault", CORE, ids=lambda fault: fault.name)
def test_the_cause_is_the_fault_that_was_made(fleet: Fleet, generation: str, fault: Fault) -> None:
    if generation not in fleet.nodes:
        # PULLWHY_LAB_CONTAINERD replaces all generations by one: it stands for each.
        generation = next(iter(fleet.nodes))
    node = fleet.nodes[generation]

    found = fleet.world.finding(fault.pod, node.name, seconds=120, factors=fault.factors)

    assert told(found) == (fault.cause, fault.stage, fault.via), context(found)
    assert found["confidence"] == fault.confidence, context(found)
    assert set(fault.factors) <= set(found["factors"]), context(found)
    assert found["image"] in {
        fleet.specs[generation, fault.name].image,
        f"{fleet.specs[generation, fault.name].image}:latest",
    }
    assert found["remedy"]["text"]


def told(found: dict[str, Any]) -> tuple[str, str, str | None]:
    return found["cause"], found["stage"], found["via"]


def context(found: dict[str, Any]) -> str:
    lines = [f"{t['stage']} {t['target']} {t['outcome']} {t['detail']} ({t['identity']})" for t in found["trace"]]
    last = found["kubelet"]["last_message"]
    return "\n".join([found["summary"], last, str(found["reproduction"]), *lines])
