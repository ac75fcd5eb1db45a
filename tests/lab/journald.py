"""A node's journal: a real systemd-journald that writes where journald writes, and what the lab reads from it."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Any

from lab.errors import LabError, wait_for
from lab.namespace import Namespace, own_environment
from lab.services import Service

DAEMON = "/lib/systemd/systemd-journald"
CONFIG = "/etc/systemd/journald.conf"
DEFAULTS = {
    "Storage": "persistent",
    "ReadKMsg": "no",
    "Audit": "no",
    "ForwardToSyslog": "no",
    "ForwardToConsole": "no",
    "RateLimitIntervalSec": "0",
    "SystemMaxFileSize": "8M",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one node."""

    namespace: Namespace
    service: Service

    @classmethod
    def start(cls, namespace: Namespace, settings: Mapping[str, str] | None = None) -> "Journal":
        """Start journald with *settings* of journald.conf over the lab's own (no rate limit); raises LabError."""
        # The flag that journald has been told to leave /run for /var: it then begins in /var at once.
        namespace.write("/run/systemd/journal/flushed", "")
        journal = cls(namespace, Service.define(namespace, "systemd-journald", [DAEMON], notifies=True, journal=False))
        journal.configure(settings or {})
        return journal

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write journald.conf and (re)start journald. RateLimitIntervalSec and RateLimitBurst provoke 'Suppressed'."""
        lines = [f"{key}={value}" for key, value in (DEFAULTS | dict(settings)).items()]
        self.namespace.write(CONFIG, "\n".join(["[Journal]", *lines, ""]))
        self.service.restart()

    def write(self, text: str, *, unit: str = "kubelet.service", identifier: str = "kubelet") -> None:
        """Write *text* as the lines of *unit*, the trusted field included, and wait until the last is stored."""
        writer = [sys.executable, "-m", "lab.stream", identifier, unit]
        self.namespace.run(writer, env=own_environment(), stdin=text if text.endswith("\n") else f"{text}\n")
        last = text.rstrip("\n").rpartition("\n")[2]
        wait_for("journald to store the lines", lambda: last in self.lines(unit)[-50:], seconds=10)

    def entries(self, unit: str | None = None) -> list[dict[str, Any]]:
        """Return all entries, of one unit or of all, oldest first, with all fields; raises LabError."""
        filters = ["--unit", unit] if unit else []
        # --unit also asks for what systemd says about the unit; the lab has no such lines.
        query = ["journalctl", "--no-pager", "--all", "--output", "json", *filters]
        done = self.namespace.run(query, check=False)
        if done.returncode not in {0, 1}:
            raise LabError(f"journalctl ended with {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def lines(self, unit: str = "kubelet.service") -> list[str]:
        """Return the messages of one unit, oldest first."""
        return [_text(entry.get("MESSAGE")) for entry in self.entries(unit)]

    def wait_for(self, text: str, *, unit: str = "kubelet.service", seconds: float = 30) -> str:
        """Wait for a line of *unit* that contains *text* and return it; raises LabError with the last lines."""
        return wait_for(
            f"{text!r} in the journal of {unit} on {self.namespace.name}",
            lambda: next((line for line in self.lines(unit) if text in line), None),
            seconds=seconds,
            every=0.1,
            log=lambda: "\n".join(self.lines(unit)[-15:]),
        )

    def rotate(self) -> None:
        """Close the active file and begin a new one; returns when it is done."""
        self.namespace.run(["journalctl", "--rotate"])

    def vacuum(self, files: int = 1) -> None:
        """Delete archived files until *files* are left."""
        self.namespace.run(["journalctl", f"--vacuum-files={files}"])


def _text(message: Any) -> str:
    """Return a message as text: journalctl prints bytes that are no UTF-8, or hold control characters, as a list."""
    if isinstance(message, list):
        return bytes(message).decode("utf-8", "replace")
    return str(message)
