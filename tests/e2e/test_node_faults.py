"""Faults that break a node for every pull: one node each, on containerd's newest generation."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.test_core_faults import context, told
from e2e.world import World, running

from lab import lab as labs
from lab.containerd import Settings

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with labs.running() as lab, running(lab) as made:
        yield made


def test_a_proxy_that_wants_a_password(world: World) -> None:
    proxy = world.lab.fault_registry("proxy.lab.test", mode="proxy-407", port=3128)
    node = world.node("proxied")
    node.containerd.set_proxy(HTTPS_PROXY=f"http://user:proxy-secret@{proxy.host}", NO_PROXY="reg.lab.test")
    node.kubelet.add_pod("pod", f"{world.servers.walled.host}/shop/web:1.0")

    found = world.finding("pod", node.name)

    assert told(found) == ("ProxyFailed", "Proxy", "Proxy"), context(found)
    assert found["confidence"] == "Proved", context(found)
    assert "proxy-secret" not in str(found) + world.log(node.name)


def test_several_roots_of_certs_d_are_ignored_by_the_transfer_service(world: World) -> None:
    roots = "/etc/containerd/certs.d:/etc/docker/certs.d"
    node = world.node("two-roots", containerd="2.1", settings=Settings(config_path=roots))
    if not node.containerd.version.startswith("2."):
        pytest.fail("the fault is of containerd 2.x: name one with PULLWHY_LAB_CONTAINERD")
    registry = world.servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.kubelet.add_pod("pod", f"{registry.host}/shop/web:1.0")

    found = world.finding("pod", node.name)

    assert told(found) == ("RuntimeConfigIgnored", "Config", None), context(found)
    assert found["confidence"] == "Proved", context(found)
    assert found["remedy"]["restart_required"] is True


def test_a_full_disk(world: World) -> None:
    node = world.node("full")
    image = world.servers.faulty_for(node).set("large", "layer-big")
    used = int(node.run(["df", "--output=used", "--block-size=1K", "/var/lib/containerd"]).stdout.split()[-1])
    node.containerd.limit_disk(size=f"{used + 512}k")
    node.kubelet.add_pod("pod", image)

    found = world.finding("pod", node.name)

    assert told(found) == ("DiskFull", "Storage", None), context(found)
    assert found["confidence"] == "Proved", context(found)


def test_a_runtime_that_is_down(world: World) -> None:
    node = world.node("down")
    registry = world.servers.plain_for(node)
    node.kubelet.add_pod("pod", f"{registry.host}/shop/web:none")
    assert world.finding("pod", node.name)["cause"] == "TagNotFound"

    node.containerd.stop()

    world.wait("another cause", lambda: world.finding("pod", node.name)["cause"] != "TagNotFound", log=node.name)
    found = world.finding("pod", node.name)

    assert told(found) == ("RuntimeUnavailable", "Runtime", None), context(found)
    assert found["confidence"] == "Proved", context(found)


def test_a_fault_that_ends_is_recovered(world: World) -> None:
    node = world.node("healed")
    registry = world.servers.plain_for(node)
    node.kubelet.add_pod("pod", f"{registry.host}/shop/web:late")
    found = world.finding("pod", node.name)
    assert found["cause"] == "TagNotFound"

    registry.push("shop/web", "late")

    def recovered() -> bool:
        return bool(state_of(world, found["id"]) == "Recovered")

    world.wait("the finding to be recovered", recovered, seconds=90, log=node.name)


def state_of(world: World, identity: str) -> Any:
    return next((found["state"] for found in world.findings("--state", "Recovered") if found["id"] == identity), None)
