"""Journals for tests, made without root: systemd-journal-remote writes what it is fed in the export format."""

import subprocess
import time
from pathlib import Path
from typing import Self

REMOTE = "/lib/systemd/systemd-journal-remote"
MACHINE = "3d1219c7c4c5404aaa1f6d2a48adfda4"
BOOT = "d221618f532741da877d81c349543a08"
EPOCH = 1_795_335_000_000_000
"""Microseconds: the time of the first entry."""


class JournalWriter:
    """One journal file that grows by `write`."""

    def __init__(self, path: Path, machine: str = MACHINE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._machine = machine
        self._process = subprocess.Popen(
            [REMOTE, "--split-mode=none", "-o", str(path), "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def write(self, number: int, message: str | bytes, unit: str = "kubelet.service", **fields: str) -> None:
        """Append one entry, `number` seconds after the epoch."""
        raw = message.encode() if isinstance(message, str) else message
        head = {
            "__REALTIME_TIMESTAMP": str(EPOCH + number * 1_000_000),
            "__MONOTONIC_TIMESTAMP": str(1_000_000 + number * 1_000_000),
            "_BOOT_ID": BOOT,
            "_MACHINE_ID": self._machine,
            "_SYSTEMD_UNIT": unit,
            "_STREAM_ID": "aa",
            "_PID": "1201",
            **fields,
        }
        text = "".join(f"{name}={value}\n" for name, value in head.items()).encode()
        assert self._process.stdin
        self._process.stdin.write(text + b"MESSAGE\n" + len(raw).to_bytes(8, "little") + raw + b"\n\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the writer; the file is complete afterwards."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        assert self._process.wait(10) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_journal(path: Path, numbers: range, machine: str = MACHINE) -> None:
    """Write a complete journal file with one line a number."""
    with JournalWriter(path, machine) as writer:
        for number in numbers:
            writer.write(number, f"line {number}")


def host(root: Path, machine: str = MACHINE) -> Path:
    """Make a host's root with an empty journal directory and return that directory."""
    (root / "etc").mkdir(parents=True)
    (root / "etc/machine-id").write_text(f"{machine}\n")
    directory = root / "var/log/journal" / machine
    directory.mkdir(parents=True)
    return directory


def wait_until(condition: object, seconds: float = 5.0) -> None:
    """Wait until `condition()` is true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
