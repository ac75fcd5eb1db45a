"""A lab with a node for each generation of containerd, for the tests of the lab itself."""

from collections.abc import Iterator

import pytest

from lab.kubelet.sync import Settings as KubeletSettings
from lab.lab import Lab, generations
from lab.node import Node
from lab.registry import Registry

STYLES = ("1.27", "1.31", "1.36")


STYLES = ("1.27", "1.31", "1.36")


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    with Lab() as running:
        yield running


@pytest.fixture(scope="package")
def nodes(lab: Lab) -> list[Node]:
    """Three nodes, the newest containerd last, each with the lines of another kubelet, ten times as quick."""
    names = generations(lab.components)
    names = [names[0]] * (len(STYLES) - len(names)) + list(names)  # PULLWHY_LAB_CONTAINERD leaves one for all
    return [
        lab.node(f"node-{number}", containerd=name, kubelet=KubeletSettings(version=STYLES[number % 3], scale=0.1))
        for number, name in enumerate(names)
    ]


@pytest.fixture(scope="package")
def registry(lab: Lab, nodes: list[Node]) -> Registry:
    plain = lab.registry("plain", "reg.lab.test")
    plain.push("app/web", "1.0")
    for node in nodes:
        node.allow_http(plain.place)
    return plain
