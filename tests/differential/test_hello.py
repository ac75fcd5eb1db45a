"""A path that loses large segments: a real containerd with a hello of two segments fails there, and the walk sees it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pullwhy.runtime.host.gobuild import read_build

from lab.lab import Lab, generations
from lab.node import Node

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PULLS = Path(__file__).with_name("pulls.py")
PULLWHY = Path(sys.executable).with_name("pullwhy")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as running:
        yield running


def diagnosed(node: Node, image: str) -> list[dict[str, Any]]:
    answer = node.run([PULLWHY, "diagnose", image, "--pull", "never", "-o", "json"], check=False, seconds=60)
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def test_a_large_hello_that_is_lost_is_told_from_a_server_that_is_silent(lab: Lab) -> None:
    registry = lab.fault_registry("hello.lab.test")
    image = registry.set("team/app", "manifest-404")
    generation = generations(lab.components)[-1]
    node = lab.node("hello", containerd=generation)
    node.trust(registry.place, lab.authority.pem)
    node.faults.drop_large(registry.place.addresses[0], size=1_000)

    with lab.components.containerd[generation].open("rb") as program:
        large = read_build(program, "tlsmlkem=1").since(24, "tlsmlkem=0")
    node.containerd.set_proxy(GODEBUG="tlsmlkem=1")
    said = json.loads(node.run([sys.executable, PULLS, image], seconds=60).stdout)[image]
    assert ("TLS handshake timeout" in said) is large
    found = diagnosed(node, image)[0]
    assert (found["cause"], found["stage"]) == (
        ("TLSHandshakeTimedOut", "TLS") if large else ("TagNotFound", "Manifest")
    )
    assert ("two segments" in found["remedy"]["text"]) is large

    node.containerd.set_proxy(GODEBUG="tlsmlkem=0")
    said = json.loads(node.run([sys.executable, PULLS, image], seconds=60).stdout)[image]
    assert "not found" in said
    assert diagnosed(node, image)[0]["cause"] == "TagNotFound"
