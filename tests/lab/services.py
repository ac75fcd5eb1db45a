"""The host's hand on the services of a namespace: defines units there and drives them through the node's own systemctl."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import LabError
from lab.namespace import Namespace, own_environment
from lab.units import FOLDER, Unit


def install_systemctl(namespace: Namespace) -> None:
    """Put the lab's systemctl on the namespace's PATH, before any other."""
    settings = " ".join(f"{key}='{value}'" for key, value in own_environment().items() if key.startswith("PYTHON"))
    script = f'#!/bin/sh\nexec env {settings} "{sys.executable}" -m lab.systemctl "$@"\n'
    namespace.write("/usr/local/bin/systemctl", script, 0o755)
    namespace.path(str(FOLDER)).mkdir(parents=True, exist_ok=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A unit of a namespace."""

    namespace: Namespace
    unit: Unit

    @classmethod
    def define(
        cls,
        namespace: Namespace,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        notifies: bool = False,
        journal: bool = True,
    ) -> "Service":
        """Define the unit *name*, or define it anew; it is not started."""
        unit = Unit(name, [str(word) for word in argv], {"LANG": "C.UTF-8", **(env or {})}, notifies, journal)
        namespace.write(f"{FOLDER}/{name}.json", json.dumps(dataclasses.asdict(unit)))
        return cls(namespace, unit)

    def start(self) -> None:
        """Start it and wait until it is ready, where it says so; raises LabError with its last log lines."""
        self._systemctl("start")

    def stop(self) -> None:
        """Stop it and wait for its end; raises LabError."""
        self._systemctl("stop")

    def restart(self) -> None:
        """Stop and start it; raises LabError."""
        self._systemctl("restart")

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal that ends it, and wait for its end; raises LabError."""
        self._systemctl("kill", "--signal", signal)

    @property
    def pid(self) -> int:
        """Its main process as numbered inside the namespace, 0 when it does not run."""
        return int(self._systemctl("show", "--property", "MainPID").strip().partition("=")[2])

    def set_environment(self, pairs: Mapping[str, str], name: str = "10-lab.conf") -> None:
        """Write a drop-in with these environment variables, as an administrator would; it counts from the next start on."""
        lines = [f'Environment="{key}={value}"' for key, value in pairs.items()]
        text = "\n".join(["[Service]", *lines, ""])
        self.namespace.write(f"/etc/systemd/system/{self.unit.unit}.d/{name}", text)

    def log(self, lines: int = 30) -> str:
        """Return its last lines, from the journal or from its own file."""
        path = self.namespace.path(f"{FOLDER}/{self.unit.name}.log")
        if path.exists():
            return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        query = ["journalctl", "--no-pager", "--output", "cat", "--unit", self.unit.unit, "--lines", str(lines)]
        return self.namespace.run(query, check=False).stdout

    def _systemctl(self, verb: str, *words: str) -> str:
        try:
            return self.namespace.run(["systemctl", verb, *words, self.unit.unit], seconds=50).stdout
        except LabError as error:
            raise LabError(f"{error}\n{self.log()}") from error
