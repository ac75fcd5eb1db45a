"""Where kubelet and container runtime log on this host: journal units, or plain files, found from the processes themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pullwhy.cgroup import in_pod
from pullwhy.frozen import frozen

KUBELET_UNITS: Final = (
    "kubelet.service",
    "k3s.service",
    "k3s-agent.service",
    "snap.microk8s.daemon-kubelite.service",
    "k0sworker.service",
    "k0scontroller.service",
    "microshift.service",
)
RUNTIME_UNITS: Final = (
    "containerd.service",
    "crio.service",
    "docker.service",
    "cri-docker.service",
    "cri-dockerd.service",
)

# The kernel's name of a process (proc(5): comm) has at most 15 characters.
_KUBELETS: Final = frozenset(
    {"kubelet", "k3s-server", "k3s-agent", "k3s", "kubelite", "k0s", "microshift", "hyperkube"}
)
_RUNTIMES: Final = frozenset({"containerd", "crio", "dockerd", "cri-dockerd"})
_RUNTIME_FILES: Final = (
    "var/lib/rancher/k3s/agent/containerd/containerd.log",
    "var/lib/rancher/rke2/agent/containerd/containerd.log",
)
"""k3s and rke2 write their containerd's log to a file (docs.rke2.io: reference/logging)."""


@frozen
class LogSources:
    """What to follow, and how that was found out."""

    kubelet_units: tuple[str, ...] = ()
    runtime_units: tuple[str, ...] = ()
    kubelet_files: tuple[Path, ...] = ()
    """As paths of this process, below the host's root."""
    runtime_files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    """One line for each process that was found, for people."""

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit."""
        return (*self.kubelet_units, *self.runtime_units)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file."""
        return (*self.kubelet_files, *self.runtime_files)


def detect(root: Path = Path("/"), proc: Path = Path("/proc")) -> LogSources:
    """Look at the processes of the host: their control group names the unit, their standard error where it logs.

    Processes of pods are passed over, whatever they call themselves: what they log is not the node's word.
    A socket is the journal's (systemd-journald(8): stdout transport), a path is a file. Where no kubelet runs, or its
    processes may not be seen, every unit name that distributions use is followed: unused ones cost nothing.
    """
    units: dict[bool, list[str]] = {True: [], False: []}
    files: dict[bool, list[Path]] = {True: [], False: []}
    notes: list[str] = []
    for process, name in _processes(proc):
        kubelet = name in _KUBELETS
        unit, target = unit_of(int(process.name), proc), _stderr(process)
        logs_to_file = target.startswith("/") and not target.startswith("/dev/")
        notes.append(f"{name} (pid {process.name}): {_describe(unit, target, logs_to_file)}")
        if logs_to_file:
            files[kubelet].append(root / target.removesuffix(" (deleted)").lstrip("/"))
        elif unit:
            units[kubelet].append(unit)
    files[False].extend(path for name in _RUNTIME_FILES if (path := root / name).exists())
    known = units[True] or files[True]
    return LogSources(
        tuple(dict.fromkeys(units[True] if known else KUBELET_UNITS)),
        tuple(dict.fromkeys(units[False] or RUNTIME_UNITS)),
        tuple(dict.fromkeys(files[True])),
        tuple(path for path in dict.fromkeys(files[False]) if path not in files[True]),
        tuple(notes),
    )


def _processes(proc: Path) -> Iterator[tuple[Path, str]]:
    for process in sorted(proc.glob("[1-9]*"), key=lambda path: int(path.name) if path.name.isdigit() else 0):
        with contextlib.suppress(OSError):  # it ended meanwhile
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            if (name in _KUBELETS or name in _RUNTIMES) and not in_pod(int(process.name), proc):
                yield process, name


def unit_of(pid: int, proc: Path = Path("/proc")) -> str:
    """Return the unit that a process belongs to, the last service of its control group's path; empty for none."""
    with contextlib.suppress(OSError):
        for line in (proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
            _, controllers, path = (*line.split(":", 2), "", "")[:3]
            services = [part for part in path.split("/") if part.endswith(".service")]
            if controllers in {"", "name=systemd"} and services:
                return services[-1]
    return ""


def _stderr(process: Path) -> str:
    try:
        return str((process / "fd/2").readlink())
    except OSError:
        return ""


def _describe(unit: str, target: str, logs_to_file: bool) -> str:
    if logs_to_file:
        return f"logs to the file {target}"
    if not unit:
        return "belongs to no unit, so its log was not found; name it in the settings (watch.units or watch.files)"
    seen = "journal socket" if target.startswith("socket:") else target or "not readable"
    return f"journal unit {unit} (standard error: {seen})"
