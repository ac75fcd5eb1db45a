"""A collector with as many agents as a large fleet has, and a burst: a finding from each of them at once."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final, Self

from bench.figures import Figure, say
from bench.usage import cpu_seconds, memory

AGENTS: Final = 15_000
PROCESSES: Final = 5
"""Of simulated agents: one would need three times the descriptors that a process may have open."""
ROUNDS: Final = 3
BAR: Final = 4.0
PULLWHY: Final = Path(sys.executable).with_name("pullwhy")


def run(agents: int = AGENTS) -> list[Figure]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="pullwhy-bench-") as folder, _Collector(Path(folder)) as collector:
        return _measure(collector, agents)


def _measure(collector: "_Collector", agents: int) -> list[Figure]:
    empty, before = memory(collector.pid), cpu_seconds(collector.pid)
    fleet = [_Agents(collector.grpc, number, agents // PROCESSES) for number in range(PROCESSES)]
    try:
        for part in fleet:
            part.expect("connected")
        connecting = cpu_seconds(collector.pid) - before
        full = memory(collector.pid)
        say(f"{agents:,} agents are connected; the collector took {connecting:.1f} CPU s and has {full}")
        bursts = [_burst(collector, fleet, number) for number in range(1, ROUNDS + 1)]
        lost = agents * ROUNDS - collector.count()
    finally:
        for part in fleet:
            part.close()
    return [
        Figure.median(
            f"{agents:,} findings at once: CPU until all are stored and can be asked for",
            [cpu for cpu, _ in bursts],
            "s",
            BAR,
        ),
        Figure.median("the same in wall time, the agents on the same CPUs", [wall for _, wall in bursts], "s"),
        Figure("findings lost or doubled", abs(lost), "", 0),
        Figure(f"{agents:,} agents connecting, CPU", connecting, "s"),
        Figure("collector's resident memory for each agent", (full.resident - empty.resident) * 1024 / agents, "KiB"),
    ]


def _burst(collector: "_Collector", fleet: "list[_Agents]", number: int) -> tuple[float, float]:
    """Let every agent report one finding; return CPU and wall seconds until the last acknowledgement, which follows the commit."""
    before, began = cpu_seconds(collector.pid), time.monotonic()
    for part in fleet:
        part.tell("burst")
    for part in fleet:
        part.expect("acknowledged")
    cpu, wall = cpu_seconds(collector.pid) - before, time.monotonic() - began
    say(f"burst {number}: {cpu:.2f} CPU s, {wall:.1f} s; {memory(collector.pid)}")
    return cpu, wall


class _Collector:
    """A collector as its users run it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.grpc = self._http = ""

    def __enter__(self) -> Self:
        config = self._folder / "collector.toml"
        config.write_text(
            f'grpc_listen = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:0"\ndatabase = "{self._folder}/collector.db"\n'
        )
        self._process = subprocess.Popen([PULLWHY, "collector", "--config", config], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        words = self._process.stderr.readline().replace(",", "").split()
        self.grpc, self._http = words[words.index("to") + 1], next(word for word in words if word.startswith("http://"))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def count(self) -> int:
        """Ask for every finding, page by page, and return how many different ones there are."""
        found: set[tuple[str, str]] = set()
        after = ""
        while True:
            page = self._get(f"/api/v1/findings?limit=500{after}")
            found |= {(item["node"], item["id"]) for item in page["items"]}
            if not page.get("next"):
                return len(found)
            after = f"&cursor={page['next']}"

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._http + path, timeout=30) as answer:
            return json.load(answer)


class _Agents:
    """A process of simulated agents."""

    def __init__(self, address: str, number: int, count: int) -> None:
        argv = [sys.executable, "-m", "bench.agents", address, f"{number}", f"{count}"]
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
