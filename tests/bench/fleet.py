"""A collector with as many agents as a large fleet has, and a burst: a finding from each of them at once."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.process import CollectorProcess

from bench.figures import Figure, say
from bench.usage import cpu_seconds, family_cpu_seconds, memory

from lab.postgres import Cluster, cluster

AGENTS: Final = 15_000
PROCESSES: Final = 5
"""Of simulated agents: one would need three times the descriptors that a process may have open."""
ROUNDS: Final = 3
BAR: Final = 4.0


def run(agents: int = AGENTS) -> list[Figure]:
    """Measure with each database, and return the figures."""
    with tempfile.TemporaryDirectory(prefix="pullwhy-bench-") as folder:
        with _Collector(Path(folder)) as collector:
            figures = _measure("SQLite", collector, agents, None)
        with cluster("max_wal_size=4GB") as server, _Collector(Path(folder), database=server.url()) as collector:
            return figures + _measure("PostgreSQL", collector, agents, server)


def _measure(database: str, collector: "_Collector", agents: int, server: Cluster | None) -> list[Figure]:
    meter, empty = _Meter(collector, server), memory(collector.pid)
    fleet = [_Agents(collector.grpc, number, agents // PROCESSES) for number in range(PROCESSES)]
    try:
        for part in fleet:
            part.expect("connected")
        connecting, full = meter.lap(), memory(collector.pid)
        say(f"{database}: {agents:,} agents are connected; {connecting}; {full}")
        bursts = [_all(fleet, "burst", "acknowledged", meter) for _ in range(ROUNDS)]
        lost = agents * ROUNDS - collector.count()
        storm = _storm(collector, fleet, agents, meter)
    finally:
        for part in fleet:
            part.close()
    what = f"{database}: {agents:,}"
    figures = [
        Figure.median(
            f"{what} findings at once: collector's CPU until all are stored and can be asked for",
            [burst.collector for burst in bursts],
            "s",
            BAR,
        ),
        Figure.median(
            f"{what} findings at once, wall, the agents on the same CPUs", [each.wall for each in bursts], "s"
        ),
        Figure(f"{database}: findings lost or doubled", abs(lost), "", 0),
        Figure(f"{what} agents connecting, collector's CPU", connecting.collector, "s"),
        Figure(f"{what} agents reconnecting within seconds, collector's CPU", storm.collector, "s"),
        Figure(f"{what} agents reconnecting, wall, the agents on the same CPUs", storm.wall, "s"),
        Figure(
            f"{database}: collector's resident memory for each agent",
            (full.resident - empty.resident) * 1024 / agents,
            "KiB",
        ),
    ]
    if server is not None:
        figures.append(
            Figure.median(f"{what} findings at once: the server's CPU", [each.server for each in bursts], "s")
        )
        figures.append(Figure(f"{what} agents reconnecting: the server's CPU", storm.server, "s"))
    return figures


def _storm(collector: "_Collector", fleet: "list[_Agents]", agents: int, meter: "_Meter") -> "_Cost":
    """Have all agents lose their connections at once and come back, each after its pause; return what it cost."""
    meter.lap()
    for part in fleet:
        part.close()
    while (
        collector.connections() > agents // 20
    ):  # else the limit of open files is met, which here is little above the fleet
        time.sleep(0.1)
    fleet[:] = [_Agents(collector.grpc, number, agents // PROCESSES, "storm") for number in range(PROCESSES)]
    for part in fleet:
        part.expect("connected")
    cost = meter.lap()
    say(f"reconnected: {cost}")
    return cost


@dataclass(frozen=True, slots=True)
class _Cost:
    """What something took, in seconds: CPU of the collector, CPU of the database's server, wall."""

    collector: float
    server: float
    wall: float

    def __str__(self) -> str:
        return f"collector {self.collector:.2f} CPU s, database server {self.server:.2f} CPU s, {self.wall:.1f} s"


class _Meter:
    """Reads the clocks of the collector and of the database's server, if it has one."""

    def __init__(self, collector: "_Collector", server: Cluster | None) -> None:
        self._collector, self._server = collector, server
        self._then = self._now()

    def lap(self) -> _Cost:
        """Return what was spent since the last lap."""
        before, self._then = self._then, self._now()
        return _Cost(*(now - then for now, then in zip(self._then, before, strict=True)))

    def _now(self) -> tuple[float, float, float]:
        server = family_cpu_seconds(self._server.pid) if self._server else 0.0
        return cpu_seconds(self._collector.pid), server, time.monotonic()


def _all(fleet: "list[_Agents]", told: str, done: str, meter: _Meter) -> _Cost:
    """Have all agents do something, and return what it cost until the last had done it; an acknowledgement follows its commit."""
    meter.lap()
    for part in fleet:
        part.tell(told)
    for part in fleet:
        part.expect(done)
    cost = meter.lap()
    say(f"{told}: {cost}")
    return cost


class _Collector(CollectorProcess):
    """A collector whose connections and findings are counted."""

    def connections(self) -> int:
        """Return how many files and connections it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def count(self) -> int:
        """Ask for every finding, page by page, and return how many different ones there are."""
        found: set[tuple[str, str]] = set()
        after = ""
        while True:
            page = self.get(f"/api/v1/findings?limit=500{after}")
            found |= {(item["node"], item["id"]) for item in page["items"]}
            if not page.get("next"):
                return len(found)
            after = f"&cursor={page['next']}"


class _Agents:
    """A process of simulated agents."""

    def __init__(self, address: str, number: int, count: int, *how: str) -> None:
        argv = [sys.executable, "-m", "bench.agents", address, f"{number}", f"{count}", *how]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, word: str) -> None:
        """Have the agents do something."""
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def expect(self, word: str) -> None:
        """Wait until they did it."""
        assert self._process.stdout
        said = self._process.stdout.readline().strip()
        if said != word:
            sys.exit(f"bench: the simulated agents said {said!r}, not {word!r}")

    def close(self) -> None:
        """End them."""
        self._process.kill()
        self._process.communicate()
