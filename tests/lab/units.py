"""The services of a node: started in their own cgroup with their output in the journal, as systemd would; runs on the node."""

import contextlib
import dataclasses
import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabError
from lab.stream import STREAM_SOCKET, open_stream, places

FOLDER = Path("/run/lab/units")
DROP_INS = Path("/etc/systemd/system")
START_SECONDS = 30.0
STOP_SECONDS = 15.0


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A service: its name without ".service", what it runs, whether it reports readiness, and whether it logs to the journal."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    notifies: bool = False
    journal: bool = True

    @property
    def unit(self) -> str:
        """The unit's full name."""
        return f"{self.name}.service"


def load(name: str) -> Unit:
    """Return the unit *name*, with or without ".service"; raises LabError when there is none."""
    path = FOLDER / f"{name.removesuffix('.service')}.json"
    if not path.exists():
        raise LabError(f"Unit {name} not found.")
    return Unit(**json.loads(path.read_text(encoding="utf-8")))


def environment(unit: Unit, folder: Path = DROP_INS) -> dict[str, str]:
    """Return the unit's environment with that of its drop-ins: Environment= lines, the later ones winning."""
    found = dict(unit.environment)
    for path in sorted((folder / f"{unit.unit}.d").glob("*.conf")):
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.strip().partition("=")
            if key.strip() != "Environment":
                continue
            if not value:
                found = dict(unit.environment)
            for word in shlex.split(value):
                name, _, text = word.partition("=")
                found[name] = text
    return found


def main_pid(unit: Unit) -> int:
    """Return the unit's main process, or 0 when it does not run."""
    path = FOLDER / f"{unit.name}.pid"
    try:
        number, started = path.read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):
        return 0
    return int(number) if _started(int(number)) == started else 0


def start(unit: Unit) -> None:
    """Start the unit unless it runs, and wait until it reports readiness where it does; raises LabError."""
    if main_pid(unit):
        return
    with contextlib.ExitStack() as held:
        variables = environment(unit)
        ready = held.enter_context(_notify_socket(unit)) if unit.notifies else None
        if ready is not None:
            variables["NOTIFY_SOCKET"] = str(FOLDER / f"{unit.name}.notify")
        output: int
        if unit.journal and Path(STREAM_SOCKET).exists():
            output = held.enter_context(open_stream(unit.name, unit.unit)).fileno()
        else:
            output = held.enter_context((FOLDER / f"{unit.name}.log").open("ab")).fileno()
        process = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                'for place in $PLACES; do echo 0 > "$place"; done; unset PLACES; exec "$@"',
                "sh",
                *unit.argv,
            ],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
            | variables
            | {"PLACES": " ".join(str(place) for place in places(unit.unit))},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
        (FOLDER / f"{unit.name}.pid").write_text(f"{process.pid} {_started(process.pid)}", encoding="ascii")
        if ready is not None:
            _wait_ready(unit, ready, process)


def stop(unit: Unit, number: int = signal.SIGTERM) -> None:
    """End the unit's main process only, as KillMode=process does, and wait for it; raises LabError when it stays."""
    pid = main_pid(unit)
    if not pid:
        return
    os.kill(pid, number)
    deadline = time.monotonic() + STOP_SECONDS
    while main_pid(unit):
        if time.monotonic() > deadline:
            raise LabError(f"{unit.unit} did not end within {STOP_SECONDS:g} s of signal {number}")
        time.sleep(0.01)


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks, "" when it has ended: it tells a number used again apart."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


@contextlib.contextmanager
def _notify_socket(unit: Unit) -> Iterator[socket.socket]:
    path = FOLDER / f"{unit.name}.notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(0.1)
        yield listener
    path.unlink(missing_ok=True)


def _wait_ready(unit: Unit, listener: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LabError(f"{unit.unit} ended with {process.returncode} before it was ready")
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in listener.recv(4096).split(b"\n"):
                return
    raise LabError(f"{unit.unit} was not ready within {START_SECONDS:g} s")
