"""Following a live journal, beside a minimal C follower of the same units: both at once, at two rates."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from e2e.world import AGENT_CONFIG, PULLWHY, toml

from bench import generate
from bench.figures import Figure, say
from bench.reading import compiled
from bench.usage import cpu_seconds

from lab import lab as labs
from lab.namespace import Process, own_environment
from lab.node import Node

RATES: Final = (100, 1000)
"""Lines a second of the kubelet; as many again of another unit, that neither reads."""
ROUNDS: Final = 3
SECONDS: Final = 15
UNITS: Final = ("kubelet.service", "containerd.service", "crio.service")
OTHER_UNIT: Final = "sshd.service"


def run() -> list[Figure]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="pullwhy-bench-") as folder, labs.running() as lab:
        node = lab.node("node-a")
        follower = compiled("follower", Path(folder))
        node.write(AGENT_CONFIG, toml({"node": node.name}, watch={"units": ["kubelet.service"]}))
        with node.path("/run/lab/agent.log").open("w") as log:
            agent = node.popen([PULLWHY, "agent", "--config", AGENT_CONFIG], stderr=log)
        yardstick = node.popen([follower, *UNITS])
        try:
            time.sleep(10)
            return [figure for rate in RATES for figure in _compare(node, rate, agent.pid, yardstick.pid)]
        finally:
            yardstick.close()
            agent.close()


def _compare(node: Node, rate: int, ours: int, yardstick: int) -> list[Figure]:
    ratios, shares = [], []
    for number in range(1, ROUNDS + 1):
        writers = [_writer(node, rate, unit) for unit in (UNITS[0], OTHER_UNIT)]
        time.sleep(3)
        before, began = (cpu_seconds(ours), cpu_seconds(yardstick)), time.monotonic()
        time.sleep(SECONDS)
        passed = time.monotonic() - began
        our_share = (cpu_seconds(ours) - before[0]) / passed * 100
        c_share = (cpu_seconds(yardstick) - before[1]) / passed * 100
        for writer in writers:
            writer.wait(SECONDS + 30)
            writer.close()
        say(f"{rate} lines a second, round {number}: C {c_share:.3f} %, pullwhy {our_share:.3f} % of a core")
        ratios.append(our_share / c_share)
        shares.append(our_share)
    return [
        Figure.median(f"live tail at {rate} lines a second, CPU to the C follower's", ratios, "x"),
        Figure.median(f"live tail at {rate} lines a second, CPU of one core", shares, "%"),
    ]


def _writer(node: Node, rate: int, unit: str) -> Process:
    """Start writing what a busy node's unit writes, at an even pace."""
    lines = generate.quiet_lines(rate * (SECONDS + 6), kubelet=unit == UNITS[0])
    path = node.write(f"/run/lab/{unit}.txt", "".join(f"{line}\n" for line in lines))
    with path.open("rb") as text:
        return node.popen([sys.executable, "-m", "bench.writer", str(rate), unit], env=own_environment(), stdin=text)
