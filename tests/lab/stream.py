"""The journal's stream protocol: a socket whose lines journald stores as those of the unit that its header names."""

import socket
import sys
from pathlib import Path

STREAM_SOCKET = "/run/systemd/journal/stdout"
CGROUPS = Path("/sys/fs/cgroup")
UNIT_HIERARCHIES = {"systemd", "unified", CGROUPS.name}
INFO = 6


def places(unit: str) -> list[Path]:
    """Return the cgroup.procs files where systemd puts a process of *unit*: its own cgroup, and elsewhere the root."""
    found = []
    for hierarchy in [CGROUPS, *CGROUPS.glob("*/")]:
        if not (hierarchy / "cgroup.procs").exists() or (hierarchy != CGROUPS and (CGROUPS / "cgroup.procs").exists()):
            continue
        place = hierarchy
        if hierarchy.name in UNIT_HIERARCHIES:
            place = hierarchy / "system.slice" / unit
            place.mkdir(parents=True, exist_ok=True)
        found.append(place / "cgroup.procs")
    return found


def open_stream(identifier: str, unit: str, path: str | Path = STREAM_SOCKET, priority: int = INFO) -> socket.socket:
    """Connect to journald and say who writes; what is written to the socket then is stored line by line.

    It must be called inside the node: journald refuses a peer whose process it cannot see.
    The header's lines are identifier, unit, priority, level prefix, and three forward flags (systemd 252:
    src/journal/journald-stream.c). journald trusts the unit when the writer is root. Raises OSError.
    """
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(str(path))
        stream.sendall(f"{identifier}\n{unit}\n{priority}\n0\n0\n0\n0\n".encode())
    except OSError:
        stream.close()
        raise
    return stream


def main(identifier: str, unit: str) -> int:
    """Copy standard input to the journal as lines of *unit*, from the cgroup of that unit: journald goes by it first."""
    for place in places(unit):
        place.write_text("0", encoding="ascii")
    with open_stream(identifier, unit) as stream:
        stream.sendall(sys.stdin.buffer.read())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
