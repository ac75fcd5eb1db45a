"""What this process can and cannot see of its node, and how to mend what it cannot."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pullwhy.config import AgentSettings
from pullwhy.image import parse
from pullwhy.node.check import Check
from pullwhy.node.feed import kubelet_silence, log_sources
from pullwhy.node.investigate.investigate import Walks
from pullwhy.node.walk.plan import NodeSight, Sources, node_resolver
from pullwhy.plan import Resolver, WalkPlan
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.processes import Processes
from pullwhy.runtime.host.trust import read_trust
from pullwhy.watch.journal import JournalUnreadable, Place, newest
from pullwhy.watch.units import LogSources, detect

CONNECT_SECONDS: Final = 3.0
UNSYNCHRONISED: Final = 5
"""What adjtimex(2) returns then: TIME_ERROR."""
_HOST_PID: Final = "run where the host's processes are visible (hostPID: true, or on the host itself), as root"


def is_no_node(settings: AgentSettings, sight: NodeSight, processes: Processes) -> bool:
    """Whether all of this machine is seen, and neither a kubelet nor a runtime runs on it, nor is one named in the settings."""
    named = settings.runtime_endpoint or settings.watch.units or settings.watch.files
    runs = sight.runtime_answers or detect(Path(settings.host_root), processes.proc).notes
    return not named and not runs and processes.are_all()


def no_node() -> list[Check]:
    """Say once that there is nothing to see, in place of `logs` and `runtime`: no mount and no right would show more."""
    found, mend = (
        "no container runtime or kubelet runs on this machine",
        "start them, or run this on a node of the cluster",
    )
    others = ("kubelet log", "CRI socket", "runtime configuration", "runtime process", "proxy environment")
    nothing = (Check(name, True, "nothing to look at", skipped=True) for name in others)
    return [Check("processes", False, found, mend), *nothing]


def logs(settings: AgentSettings, now: datetime) -> list[Check]:
    """Look for the kubelet's log."""
    root = Path(settings.host_root)
    sources = log_sources(root, settings.watch)
    seen = "; ".join(sources.notes) or f"no kubelet or runtime process is visible; following {' '.join(sources.units)}"
    trouble, _, mend = kubelet_silence(root, sources, now).partition(": ")
    return [
        Check("processes", bool(sources.notes), seen, "" if sources.notes else _HOST_PID),
        Check("kubelet log", not trouble, trouble or _newest(root, sources), mend),
    ]


def runtime(sight: NodeSight) -> list[Check]:
    """Look at what was learnt of the container runtime."""
    view = sight.view
    answers = bool(sight.runtime_answers)
    where = view.socket or "no socket was found"
    found = f"{view.name} {view.version} on {view.socket}" if answers else f"does not answer: {where}"
    mend = (
        ""
        if answers
        else "mount the directory of its socket, run as root, or name the socket: the setting runtime_endpoint "
        "(PULLWHY_RUNTIME_ENDPOINT), here --runtime-endpoint too"
    )
    config = view.config
    problems = [each.detail for each in (config.problems if config else ())]
    process = view.process
    nobody = not (answers or process or (config and config.file))
    file = config.file if config and config.file else "built-in defaults"
    file = "no runtime was found, so that none is known; the built-in defaults are assumed" if nobody else file
    proxies = process.proxies if process else None
    return [
        Check("CRI socket", answers, found, mend),
        Check(
            "runtime configuration",
            not problems,
            "; ".join(problems) or file,
            "correct it there; what it means for an image: pullwhy diagnose IMAGE" if problems else "",
            skipped=nobody,
        ),
        Check(
            "runtime process",
            process is not None,
            f"{process.name} (pid {process.pid})" if process else "not visible",
            "" if process else _HOST_PID,
        ),
        Check(
            "proxy environment",
            proxies is not None,
            _proxies(bool(proxies.https), bool(proxies.http), proxies.no_proxy) if proxies else "not readable",
            "" if proxies else _HOST_PID,
        ),
    ]


def resolver(sources: Sources) -> Check:
    """Look at the host's resolver settings."""
    read = node_resolver(sources, HostFS(sources.host_root))
    trouble = "; ".join(each.detail for each in read.results)
    found = f"{read.resolver.source}: {' '.join(read.resolver.nameservers)}"
    mend = "mount the host's /etc, or name the file: the setting resolv_conf, here --resolv-conf too" if trouble else ""
    return Check("resolver", not trouble, trouble or found, mend)


def trust(sources: Sources) -> Check:
    """Look for the system's trust store."""
    read = read_trust(HostFS(sources.host_root), "", "")
    count = read.pem.count("BEGIN CERTIFICATE")
    found = f"{count} certificates in {read.files[0]}" if count else "none found"
    return Check("trust store", bool(count), found, "" if count else "install the distribution's ca-certificates")


def clock(now: datetime, state: Callable[[], int]) -> Check:
    """Ask the kernel whether the clock is kept; `state` is adjtimex(2)."""
    kept = state() != UNSYNCHRONISED
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    found = f"{shown}, synchronised" if kept else f"{shown}, not synchronised"
    return Check(
        "clock", kept, found, "" if kept else "run chrony or systemd-timesyncd: certificates depend on the time"
    )


def kernel_clock() -> int:
    """Return adjtimex(2)'s state of the clock; unsynchronised where it cannot be asked."""
    library = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
    state: int = library.adjtimex(ctypes.create_string_buffer(512))  # struct timex, all zero: only read
    return state if state >= 0 else UNSYNCHRONISED


async def walks(walker: Walks) -> Check:
    """Have the child make a walk to nowhere."""
    plan = WalkPlan(parse("pullwhy.invalid/doctor:1"), "linux/amd64", (), Resolver())
    faults = [each.detail for each in (await walker.walk(plan)).results if each.outcome == "Error"]
    mend = "the interpreter and the package must be readable, and process limits leave room for one child"
    return Check("walks", not faults, "; ".join(faults) or "the child starts and answers", mend if faults else "")


def state(settings: AgentSettings) -> Check:
    """Try to write to the state directory."""
    directory = Path(settings.state_directory)
    existing = next((path for path in (directory, *directory.parents) if path.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        mend = "run as root, or set state_directory to a place on the host's disk that can be written"
        return Check("state directory", False, f"{existing}: {error.strerror}", mend)
    return Check("state directory", True, f"{directory} can be written")


def collector(settings: AgentSettings) -> Check:
    """Try to connect to the collector."""
    address = settings.report.address
    if not address:
        found = "none is set (report.address); findings stay in the outbox"
        return Check("collector", True, found, skipped=True)
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            pass
    except (OSError, ValueError, OverflowError) as error:
        mend = "is the collector running, is report.address right, and does a network policy let this through?"
        return Check("collector", False, f"{address}: {error}", mend)
    return Check("collector", True, f"{address} accepts connections")


def rights() -> Check:
    """Say as whom this runs."""
    root = os.geteuid() == 0
    found = "root" if root else f"user {os.geteuid()}"
    return Check("rights", root, found, "" if root else "run as root (sudo): sockets, logs and processes are root's")


def utc_now() -> datetime:
    """Return the wall time."""
    return datetime.now(UTC)


def _newest(root: Path, sources: LogSources) -> str:
    if sources.kubelet_files:
        return ", ".join(map(str, sources.kubelet_files))
    try:
        last = newest(Place(root), sources.kubelet_units)
    except JournalUnreadable as error:
        return str(error)
    return f"newest entry of {last:%Y-%m-%d %H:%M:%S} UTC" if last else "nothing is followed"


def _proxies(https: bool, http: bool, no_proxy: str) -> str:
    names = [name for name, given in (("HTTPS_PROXY", https), ("HTTP_PROXY", http)) if given]
    if not names:
        return "no proxy"
    return f"{' and '.join(names)} set, NO_PROXY={no_proxy[:200] or '(empty)'}"
