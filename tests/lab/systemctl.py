"""The systemctl of a node of the lab: start, stop, restart, kill, status, show and is-active, for the lab's own units."""

import argparse
import signal
import sys
from collections.abc import Sequence

from lab import units
from lab.errors import LabError


def _status(unit: units.Unit) -> int:
    pid = units.main_pid(unit)
    print(f"● {unit.unit}\n     Loaded: loaded\n     Active: {'active (running)' if pid else 'inactive (dead)'}")
    if pid:
        print(f"   Main PID: {pid}")
    return 0 if pid else 3


def _show(unit: units.Unit, wanted: Sequence[str]) -> int:
    pid = units.main_pid(unit)
    pairs = " ".join(f"{key}={value}" for key, value in units.environment(unit).items())
    properties = {
        "Id": unit.unit,
        "MainPID": str(pid),
        "ActiveState": "active" if pid else "inactive",
        "SubState": "running" if pid else "dead",
        "LoadState": "loaded",
        "ExecStart": " ".join(unit.argv),
        "Environment": pairs,
    }
    for key, value in properties.items():
        if not wanted or key in wanted:
            print(f"{key}={value}")
    return 0


def _act(verb: str, unit: units.Unit, number: int, wanted: Sequence[str]) -> int:
    if verb == "status":
        return _status(unit)
    if verb == "show":
        return _show(unit, wanted)
    if verb == "is-active":
        pid = units.main_pid(unit)
        print("active" if pid else "inactive")
        return 0 if pid else 3
    if verb in {"stop", "restart", "kill"}:
        units.stop(unit, number if verb == "kill" else signal.SIGTERM)
    if verb in {"start", "restart"}:
        units.start(unit)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; exit statuses are systemctl's: 3 for a unit that does not run, 5 for one unknown."""
    parser = argparse.ArgumentParser(prog="systemctl")
    parser.add_argument("--signal", "-s", default="TERM")
    parser.add_argument("--property", "-p", action="append", default=[])
    parser.add_argument("--no-pager", action="store_true")
    verbs = ("start", "stop", "restart", "kill", "status", "show", "is-active", "daemon-reload")
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("unit", nargs="*")
    options = parser.parse_intermixed_args(words)
    wanted = [name for text in options.property for name in text.split(",")]
    number = getattr(signal, f"SIG{options.signal.removeprefix('SIG')}")
    result = 0
    for name in options.unit:
        try:
            unit = units.load(name)
        except LabError as error:
            print(error, file=sys.stderr)
            return 5
        try:
            result = max(result, _act(options.verb, unit, number, wanted))
        except LabError as error:
            print(f"Job for {unit.unit} failed: {error}", file=sys.stderr)
            return 1
    return result


if __name__ == "__main__":
    raise SystemExit(main())
