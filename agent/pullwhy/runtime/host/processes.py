"""The host's processes as /proc shows them: name, command line, start, and of the environment only what is asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from pullwhy.cgroup import in_pod
from pullwhy.frozen import frozen

MAX_BYTES: Final = 1 << 20
"""Of one file below /proc."""


class UnreadableProcess(Exception):
    """A process' file cannot be read; `denied` says that only a right is missing."""

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.denied = number in {errno.EACCES, errno.EPERM}
        self.why = "permission denied" if self.denied else "the process is gone or not visible here"
        super().__init__(f"{path}: {self.why}")


@frozen
class Process:
    """A process and the arguments that it was started with."""

    pid: int
    name: str
    command: tuple[str, ...]

    def flag(self, *names: str) -> str:
        """Return the last value of a flag in Go's forms (`--name value`, `--name=value`, `-n value`), empty where unset."""
        value = ""
        for position, argument in enumerate(self.command[1:], 1):
            name, equals, given = argument.partition("=")
            if not name.startswith("-") or name.lstrip("-") not in names:
                continue
            following = self.command[position + 1] if position + 1 < len(self.command) else ""
            value = given if equals else following
        return value


@frozen
class Processes:
    """The processes below a /proc, which must be the host's (hostPID) to show the host's processes."""

    proc: Path = Path("/proc")
    first_namespace: int = 0xEFFFFFFC
    """The inode number of the machine's own pid namespace (Linux: include/linux/proc_ns.h, PROC_PID_INIT_INO)."""

    def are_all(self) -> bool:
        """Whether every process of the machine is among them: it is the machine's own namespace, and none is hidden (proc(5): hidepid)."""
        try:
            return (self.proc / "self/ns/pid").stat().st_ino == self.first_namespace and bool(self.name(1))
        except (OSError, UnreadableProcess):
            return False

    def named(self, *names: str) -> tuple[Process, ...]:
        """Return the node's own processes with one of these names (the kernel keeps 15 characters), by pid.

        Those of pods are passed over: their names, flags and environments are strangers' words.
        """
        short = {name[:15] for name in names}
        found = []
        for pid in self._pids():
            try:
                if self.name(pid) in short and not in_pod(pid, self.proc):
                    found.append(self.process(pid))
            except UnreadableProcess:
                continue
        return tuple(found)

    def process(self, pid: int) -> Process:
        """Return one process; raises UnreadableProcess."""
        command = self.read(pid, "cmdline").decode(errors="replace").split("\0")
        return Process(pid, self.name(pid), tuple(command[:-1] if command[-1] == "" else command))

    def name(self, pid: int) -> str:
        """Return a process' name; raises UnreadableProcess."""
        return self.read(pid, "comm").decode(errors="replace").rstrip("\n")

    def variables(self, pid: int, wanted: Iterable[str]) -> dict[str, str]:
        """Return these variables of a process' environment as it was at its start, as far as set; raises UnreadableProcess.

        Nothing else of the environment leaves this function.
        """
        keys = frozenset(wanted)
        pairs = (item.partition("=") for item in self.read(pid, "environ").decode(errors="replace").split("\0"))
        return {key: value for key, _, value in pairs if key in keys}

    def working_directory(self, pid: int) -> str:
        """Return a process' working directory, empty where it may not be seen."""
        try:
            return str((self.proc / str(pid) / "cwd").readlink())
        except OSError:
            return ""

    def started(self, pid: int) -> datetime | None:
        """Return when a process started, None where /proc does not tell."""
        try:
            # The name in parentheses may itself hold spaces and parentheses.
            ticks = int(self.read(pid, "stat").rpartition(b")")[2].split()[19])
            boot = next(int(line.split()[1]) for line in self._stat() if line.startswith("btime "))
        except (UnreadableProcess, OSError, ValueError, IndexError, StopIteration):
            return None
        return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)

    def read(self, pid: int, name: str) -> bytes:
        """Return a file of a process, cut at MAX_BYTES; raises UnreadableProcess."""
        # No Path: each would leave its parts in the interpreter's table of interned strings, which doubles some day.
        path = f"{self.proc}/{pid}/{name}"
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                return file.read(MAX_BYTES)
        except OSError as error:
            raise UnreadableProcess(path, error.errno or errno.EIO) from None

    def program(self, pid: int) -> BinaryIO:
        """Open the program that a process runs, even where its file was replaced since; raises UnreadableProcess."""
        path = self.proc / str(pid) / "exe"
        try:
            return path.open("rb")
        except OSError as error:
            raise UnreadableProcess(str(path), error.errno or errno.EIO) from None

    def _stat(self) -> list[str]:
        return (self.proc / "stat").read_text(encoding="ascii", errors="replace").splitlines()

    def _pids(self) -> Iterator[int]:
        try:
            names = [path.name for path in self.proc.iterdir()]
        except OSError:
            return
        yield from sorted(int(name) for name in names if name.isdigit())
