"""Nothing is lost and nothing is doubled when either side is killed at any moment."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.world import World, running

from lab import lab as labs
from lab.kubelet.pods import Pod

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]

PODS = 12
KILLS = 5
SEED = 20261122


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with labs.running() as lab, running(lab) as made:
        made.node("node-a")
        yield made


def test_kill_9_of_agent_and_collector_loses_and_doubles_nothing(world: World) -> None:
    rng = random.Random(SEED)
    node = world.lab.nodes["node-a"]
    registry = world.servers.plain_for(node)
    pods: list[Pod] = []

    for number in range(PODS):
        pods.append(node.kubelet.add_pod(f"lost-{number}", f"{registry.host}/shop/web:none-{number}"))
        time.sleep(rng.uniform(0, 0.8))
        if number < KILLS * 2:
            kill(world, "agent" if number % 2 else "collector", rng)

    for pod in pods:
        world.finding(pod.name, node.name, seconds=90)
    by_image = Counter(found["image"] for found in world.findings() if found["cause"] == "TagNotFound")
    assert by_image == Counter(pod.containers[0].image for pod in pods)


def kill(world: World, which: str, rng: random.Random) -> None:
    """Kill one side with SIGKILL, leave it dead for a moment, and start it again."""
    node = world.lab.nodes["node-a"]
    process = world.agents["node-a"] if which == "agent" else world.collector
    assert process is not None
    process.signal(9)
    process.wait()
    time.sleep(rng.uniform(0, 1.0))
    if which == "agent":
        world.start_agent(node)
    else:
        world.start_collector()


def test_an_agent_restarted_mid_journal_neither_repeats_nor_misses(world: World) -> None:
    node = world.lab.nodes["node-a"]
    registry = world.servers.plain_for(node)
    before = node.kubelet.add_pod("before-restart", f"{registry.host}/shop/web:before")
    first = world.finding(before.name, node.name)

    world.agents["node-a"].signal(15)
    assert world.agents["node-a"].wait() == 0
    during = node.kubelet.add_pod("during-restart", f"{registry.host}/shop/web:during")
    node.journal.wait_for("during-restart")
    time.sleep(2)
    world.start_agent(node)

    found = world.finding(during.name, node.name)
    again = world.finding(before.name, node.name)
    assert found["cause"] == "TagNotFound"
    assert again["id"] == first["id"]
    assert again["first_seen"] == first["first_seen"]
    assert attempts_in_journal(world, "before-restart") >= max(pod["attempts"] for pod in again["pods"])


def attempts_in_journal(world: World, pod: str) -> int:
    """Count the real attempts that the kubelet wrote down for a pod."""
    lines = world.lab.nodes["node-a"].journal.lines()
    return sum("Error syncing pod" in line and "with ErrImagePull" in line and f"/{pod}" in line for line in lines)
