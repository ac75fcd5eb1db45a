"""The agent on a real node with a real collector: memory at rest, CPU at rest, memory over many failures."""

import math
import re
import sys
import time
from collections.abc import Callable
from typing import Final

from e2e.world import World, running

from bench.figures import Figure, say
from bench.usage import Memory, cpu_seconds, memory

from lab import lab as labs
from lab.kubelet.pods import Pod
from lab.namespace import REPOSITORY, own_environment
from lab.node import Node

DOCKERFILE: Final = REPOSITORY / "Dockerfile"
NODE: Final = "node-a"
IMAGES: Final = 100
FAILURES: Final = 10_000
PER_SECOND: Final = 200
TOLD: Final = "with ErrImagePull: "
SETTLE_SECONDS: Final = 20.0
IDLE_SECONDS: Final = 120.0
RESIDENT_BAR: Final = 48.0
PRIVATE_BAR: Final = 24.0
GROWTH_BAR: Final = 2.0
IDLE_BAR: Final = 0.1


def run() -> list[Figure]:
    """Measure and return the figures."""
    with labs.running() as lab, running(lab) as world:
        return Bench(world).measure()


def allocator() -> dict[str, str]:
    """Return how the agent's image has the C library allocate: it is part of what is measured."""
    stage = DOCKERFILE.read_text(encoding="utf-8").partition(" AS agent")[2].partition("FROM ")[0]
    return dict(re.findall(r"\b(MALLOC_\w+)=(\S+)", stage))


class Bench:
    """One node, its agent and the collector."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.agent_environment = allocator()
        self._node: Node = world.node(NODE)
        self._pid = world.agents[NODE].pid

    def measure(self) -> list[Figure]:
        """Rest, be scraped, rest for longer, fail a lot, rest again."""
        self._wait("the agent to be connected", lambda: ": connected" in self._world.log(NODE))
        time.sleep(SETTLE_SECONDS)
        rest = self._memory("at rest")
        idle = self._idle()
        self._metric("incidents")
        scraped = self._memory("at rest, scraped")
        pods = self._fail()
        first = self._memory(f"after {IMAGES} images began to fail")
        self._fail_again(pods)
        many = self._memory(f"after {FAILURES:,} failures")
        for pod in pods:
            self._node.kubelet.remove_pod(pod)
        self._wait("the walk's child to be gone", lambda: not self._children())
        self._wait("every finding to be resolved", lambda: self._metric("incidents") == 0)
        time.sleep(SETTLE_SECONDS)
        after = self._memory("at rest again, nothing fails, the walk's child is gone")
        return [
            idle,
            Figure("agent at rest, resident without mapped journal files", rest.resident, "MiB", RESIDENT_BAR),
            Figure("agent at rest, private", rest.private, "MiB", PRIVATE_BAR),
            Figure("agent at rest after a scrape, resident", scraped.resident, "MiB", RESIDENT_BAR),
            Figure("agent at rest after a scrape, private", scraped.private, "MiB", PRIVATE_BAR),
            Figure(f"agent while {IMAGES} images fail, private", first.private, "MiB"),
            Figure(f"agent after {FAILURES:,} failures, resident", many.resident, "MiB", RESIDENT_BAR),
            Figure(f"agent after {FAILURES:,} failures, private", many.private, "MiB", PRIVATE_BAR),
            Figure("agent at rest again, private", after.private, "MiB", PRIVATE_BAR),
            # The scrapes that count the failures are no part of what the failures cost.
            Figure(f"growth with the first {IMAGES} images, private", first.private - scraped.private, "MiB"),
            Figure(f"growth over {FAILURES:,} failures, private", many.private - scraped.private, "MiB", GROWTH_BAR),
            Figure("the same once nothing fails any more", after.private - scraped.private, "MiB", GROWTH_BAR),
        ]

    def _idle(self) -> Figure:
        say(f"watching the idle agent for {IDLE_SECONDS:.0f} s")
        rounds = []
        for _ in range(4):
            before, began = cpu_seconds(self._pid), time.monotonic()
            time.sleep(IDLE_SECONDS / 4)
            rounds.append((cpu_seconds(self._pid) - before) / (time.monotonic() - began) * 100)
        figure = Figure.median("connected and idle, CPU of one core", rounds, "%", IDLE_BAR)
        say(str(figure))
        return figure

    def _fail(self) -> list[Pod]:
        say(f"{IMAGES} pods whose tags are missing")
        host = self._world.servers.plain_for(self._node).host
        pods = [self._node.kubelet.add_pod(f"web-{n}", f"{host}/shop/web:gone-{n}") for n in range(IMAGES)]
        self._wait("every finding to be acknowledged", lambda: self._metric("reports_acknowledged_total") >= IMAGES)
        self._wait("every walk to end", lambda: self._metric('walks_total{outcome="ok"}') >= IMAGES)
        return pods

    def _fail_again(self, pods: list[Pod]) -> None:
        """Write each pod's own failure again and again, as a kubelet without back-off would."""
        told = [line for line in self._node.journal.lines() if TOLD in line]  # read once: it has many lines by now
        lines = [next(line for line in told if pod.uid in line) for pod in pods]
        before = self._metric("pull_failures_total")
        missing = max(0, FAILURES - int(before))
        say(f"{before:.0f} failures so far, {missing} more at {PER_SECOND} a second")
        text = "\n".join((lines * math.ceil(missing / len(lines)))[:missing])
        writer = [sys.executable, "-m", "bench.writer", str(PER_SECOND)]
        self._node.run(writer, env=own_environment(), stdin=text, seconds=60 + missing / PER_SECOND * 3)
        self._wait("the agent to have read them", lambda: self._metric("pull_failures_total") >= FAILURES)

    def _memory(self, when: str) -> Memory:
        found = memory(self._pid)
        say(f"{when}: {found}")
        return found

    def _children(self) -> list[str]:
        path = f"/proc/{self._pid}/task/{self._pid}/children"
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
            return file.read().split()

    def _metric(self, name: str) -> float:
        ask = (
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics', timeout=20).read().decode())"
        )
        lines = self._node.run([sys.executable, "-c", ask]).stdout.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"pullwhy_{name} "))

    def _wait(self, what: str, done: Callable[[], bool]) -> None:
        self._world.wait(what, done, seconds=240, log=NODE)
