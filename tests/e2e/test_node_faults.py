"""Faults that break a node for every pull: one node each, on containerd's newest generation."""

import json
from collections.abc import Iterator
from dataclasses import replace
from subprocess import DEVNULL
from typing import Any

import pytest
from matrix.fault import FAST

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
    registry = world.servers.walled
    node.trust(registry.place, registry.authority.pem)
    image = f"{registry.host}/shop/web:1.0"
    node.kubelet.add_pod("pod", image)

    if node.containerd.version.startswith(("1.", "2.0")):
        # Named with PULLWHY_LAB_CONTAINERD: without the transfer service both roots are read.
        world.wait("the pull", lambda: image in node.containerd.images(), log=node.name)
        return
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


def test_a_pull_that_hangs_without_a_line_and_holds_up_the_node(world: World) -> None:
    serial = replace(FAST, serial=True)
    node = world.node("hung", watch={"hang_seconds": 3}, kubelet=serial)
    image = world.servers.faulty_for(node).set("hung", "manifest-hang")
    node.kubelet.add_pod("pod", image)
    world.wait("the pull", lambda: image in node.containerd.log(), log=node.name)
    for name in ("waits-a", "waits-b"):
        node.kubelet.add_pod(name, f"{world.servers.walled.host}/shop/{name}:none")

    def hung() -> list[dict[str, Any]]:
        return [found for found in world.findings("--node", node.name) if found["trace"]]

    world.wait("a finding", hung, seconds=90, log=node.name)
    found = hung()[0]

    assert told(found) == ("PullStalled", "Manifest", None), context(found)
    assert found["image"] == image
    assert "SerialPullsBlocked" in found["factors"], context(found)
    waiting = next(fact["fact"] for fact in found["evidence"] if "no container yet" in fact["fact"])
    assert waiting.startswith("3 pods"), waiting
    assert all(name in waiting for name in ("waits-a", "waits-b"))
    assert [one["cause"] for one in world.findings("--node", node.name)] == ["PullStalled"]


def test_a_sandbox_image_that_cannot_be_pulled(world: World) -> None:
    place = world.servers.closed_for("pause-away.lab.test")
    settings = Settings(sandbox_image=f"{place.authority}/pause:3.9")
    node = world.node("no-pause", settings=settings, preload_sandbox=False)
    node.kubelet.add_pod("pod", f"{world.servers.walled.host}/shop/web:1.0")

    found = world.finding("pod", node.name)

    assert told(found) == ("ConnectionRefused", "Connect", "SandboxImage"), context(found)
    assert found["confidence"] == "Proved", context(found)


def test_one_node_alone_without_any_settings(world: World) -> None:
    node = world.lab.node("alone", kubelet=FAST)
    agent = node.popen([world.pullwhy, "agent", "--standalone"], stdout=DEVNULL, stderr=DEVNULL)
    node.kubelet.add_pod("pod", f"{world.servers.plain_for(node).host}/shop/web:none")

    def findings() -> list[dict[str, Any]]:
        answer = node.run([world.pullwhy, "findings", "-A", "-o", "json"], check=False)
        return list(json.loads(answer.stdout or "[]"))

    try:
        world.wait("the finding", lambda: findings() and findings()[0]["trace"], seconds=60)
        assert [found["cause"] for found in findings()] == ["TagNotFound"]
        explained = node.run([world.pullwhy, "explain", "pod/pod"]).stdout
    finally:
        agent.close()
    assert "shop/web" in explained


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
