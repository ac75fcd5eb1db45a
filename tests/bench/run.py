"""`make bench`: the figures of the design's bars that can be measured on one machine, all or those that are named."""

import argparse
import importlib
import os
import platform
import sys
from importlib.metadata import version

BENCHES = {
    "reading": "read + recognise a stored journal, beside a minimal C reader",
    "tail": "follow a live journal, beside a minimal C follower",
    "resting": "the agent's memory and its CPU while nothing fails, and its memory over 10,000 failures",
    "latency": "from the kubelet's line to an answer at the collector",
    "api": "answers of a collector that has 1,000,000 findings stored",
    "fleet": "a collector with 15,000 agents, and a finding from each at once",
}
PACKAGES = ("grpcio", "protobuf", "msgspec", "systemd-python")


def main() -> int:
    """Print each figure beside its bar; a missed bar is told, not an error."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, epilog="; ".join(map(": ".join, BENCHES.items()))
    )
    parser.add_argument("only", nargs="*", choices=[*BENCHES, []], metavar="NAME", help=" ".join(BENCHES))
    chosen = parser.parse_args().only or list(BENCHES)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"CPython {platform.python_version()}, {packages}, Linux {platform.release()}, {os.cpu_count()} CPUs")
    print(
        f"load of the machine before: {os.getloadavg()[0]:.1f}; CPU time and ratios of one run can be compared, wall time hardly"
    )
    print(
        "node-problem-detector and other peers are not measured: none is installed here, and no figure is made up for them"
    )
    figures = []
    for name in chosen:
        print(f"{name}: {BENCHES[name]}", flush=True)
        figures += importlib.import_module(f"bench.{name}").run()
    print()
    for figure in figures:
        print(figure)
    missed = sum(figure.missed for figure in figures)
    print(f"{missed} of {sum(figure.bar is not None for figure in figures)} bars missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
