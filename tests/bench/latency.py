"""From the kubelet's failure line to a finding that the collector answers with: real faults, that themselves make nobody wait."""

import json
import sys
import time
from typing import Any, Final

from e2e.world import World, running

from bench.figures import Figure, quantile, say

from lab import lab as labs
from lab.kubelet.pods import Pod
from lab.node import Node

FAILURES: Final = 60
EVERY_SECONDS: Final = 1.5
PATIENCE_SECONDS: Final = 60.0
BARS: Final = {0.5: 1.0, 0.99: 3.0}

_POLL: Final = """
import http.client, json, sys, time
host, wanted, patience = sys.argv[1], json.loads(sys.stdin.readline()), float(sys.argv[2])
seen, end = {}, time.time() + patience
connection = http.client.HTTPConnection(host, timeout=20)
while time.time() < end and not (len(seen) == len(wanted) and all("proved" in times for times in seen.values())):
    connection.request("GET", "/api/v1/findings?limit=500")
    items = json.load(connection.getresponse())["items"]
    now = time.time()
    for item in items:
        if item["image"] in wanted:
            times = seen.setdefault(item["image"], {"first": now})
            if item["confidence"] == "Proved":
                times.setdefault("proved", now)
    time.sleep(0.05)
print(json.dumps(seen))
"""
"""Asks all the time, among the servers, and notes when an answer first held each image, and when its cause was proved."""


def run() -> list[Figure]:
    """Measure and return the figures."""
    with labs.running() as lab, running(lab) as world:
        node = world.node("node-a")
        world.wait("the agent to be connected", lambda: ": connected" in world.log(node.name), log=node.name)
        images = _images(world, node)
        poller = world.lab.servers.popen(
            [
                sys.executable,
                "-c",
                _POLL,
                world.url.removeprefix("http://"),
                str(FAILURES * EVERY_SECONDS + PATIENCE_SECONDS),
            ],
            stdin=-1,
            stdout=-1,
        )
        pods = _fail(node, images, poller)
        assert poller.stdout
        seen: dict[str, dict[str, float]] = json.loads(poller.stdout.readline())
        poller.close()
        failed = _failed(node, pods)
    return _figures(images, seen, failed)


def _images(world: World, node: Node) -> list[str]:
    """Return images that fail at once, three faults in turn: a tag that is missing, a connection refused, a CA that nobody trusts."""
    hosts = (world.servers.plain_for(node).host, world.servers.closed.authority, world.servers.untrusted.host)
    return [f"{hosts[number % len(hosts)]}/shop/web:late-{number}" for number in range(FAILURES)]


def _fail(node: Node, images: list[str], poller: Any) -> dict[str, Pod]:
    say(f"{len(images)} pods, one every {EVERY_SECONDS} s")
    poller.stdin.write(json.dumps(images) + "\n")
    poller.stdin.flush()
    pods = {}
    for number, image in enumerate(images):
        pods[image] = node.kubelet.add_pod(f"web-{number}", image)
        time.sleep(EVERY_SECONDS)
    return pods


def _failed(node: Node, pods: dict[str, Pod]) -> dict[str, float]:
    """Return when journald took in the kubelet's first failure line of each pod, in seconds since the epoch."""
    found: dict[str, float] = {}
    for entry in node.journal.entries("kubelet.service"):
        text = str(entry.get("MESSAGE", ""))
        if "Error syncing pod" in text and "with ErrImagePull" in text:
            for image, pod in pods.items():
                if pod.uid in text:
                    found.setdefault(image, int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000)
    return found


def _figures(images: list[str], seen: dict[str, dict[str, float]], failed: dict[str, float]) -> list[Figure]:
    figures = []
    for kind, what in (("first", "the finding is in an answer"), ("proved", "its cause is there, proved")):
        waits = [seen[image][kind] - failed[image] for image in images if kind in seen.get(image, {})]
        missing = len(images) - len(waits)
        spread = f"{len(waits)} failures, longest {max(waits):.2f} s" + (
            f", {missing} not seen at all" if missing else ""
        )
        for share, bar in BARS.items():
            name = f"kubelet's line until {what}, p{share * 100:.0f}"
            figures.append(Figure(name, quantile(waits, share), "s", bar, spread))
    return figures
