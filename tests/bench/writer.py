"""Writes lines of standard input to the journal as the kubelet's, at an even pace; runs inside a node."""

import sys
import time

from lab.stream import open_stream, places


def main(per_second: float, unit: str = "kubelet.service") -> None:
    """Write from the unit's own cgroup: journald goes by it first."""
    for place in places(unit):
        place.write_text("0", encoding="ascii")
    lines = sys.stdin.buffer.read().splitlines(keepends=True)
    began = time.monotonic()
    with open_stream(unit.removesuffix(".service"), unit) as stream:
        for number, line in enumerate(lines):
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            stream.sendall(line if line.endswith(b"\n") else line + b"\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
