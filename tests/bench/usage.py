"""What a process costs, read from outside it: CPU time to the nanosecond and memory by kind."""

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)")
_KIB_PER_MIB = 1024


def cpu_seconds(pid: int) -> float:
    """Return user and system time of all of a process's threads, ended ones included (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


def family_cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and its children, ended ones included (proc(5): /proc/PID/stat)."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(stat.parent.name) == pid:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == pid:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MiB, without mapped journal files: libsystemd maps them, the page cache owns them."""

    resident: float
    private: float
    """Anonymous pages: what no other process could share and the kernel cannot drop."""

    def __str__(self) -> str:
        """Return both numbers for people."""
        return f"{self.resident:.1f} MiB resident, {self.private:.1f} MiB of it private"


def memory(pid: int) -> Memory:
    """Read /proc/PID/smaps (proc(5))."""
    resident = private = 0
    counts = True
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        mapping = _MAPPING.match(line)
        if mapping:
            counts = ".journal" not in mapping[1]
        elif counts:
            key, _, value = line.partition(":")
            resident += int(value.split()[0]) if key == "Rss" else 0
            private += int(value.split()[0]) if key == "Anonymous" else 0
    return Memory(resident / _KIB_PER_MIB, private / _KIB_PER_MIB)
