"""The runtime's own process: which configuration it was started with, and through which proxies it speaks."""

from __future__ import annotations

import socket
import struct
from datetime import datetime
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import Outcome, Stage
from pullwhy.plan import CURRENT, GoBuild, Proxies
from pullwhy.runtime.host.gobuild import read_build
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.host.processes import Process, Processes, UnreadableProcess
from pullwhy.secret import Secret
from pullwhy.trace import StageResult

NAMES: Final = ("containerd", "crio", "cri-dockerd")
CONNECT_SECONDS: Final = 2.0

_VARIABLES: Final = (
    *("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES"),
)


@frozen
class RuntimeProcess:
    """What the runtime was started with. Of its environment only proxies, trust and Go's own settings are kept."""

    pid: int
    name: str
    config_file: str = ""
    """As its command line names it, empty for the default."""
    config_directory: str = ""
    """Of drop-ins (CRI-O), empty for the default."""
    root: str = ""
    state: str = ""
    proxies: Proxies | None = None
    """None where its environment cannot be read: unknown, which is not the same as no proxy."""
    ssl_cert_file: str = ""
    ssl_cert_dir: str = ""
    started: datetime | None = None
    build: GoBuild = CURRENT
    prefers_libc: bool = False
    """Its environment has settings of libc's resolver, for whose sake Go leaves names to it (Go 1.27: net/conf.go)."""


@frozen
class ProcessView:
    """The process, or None where it is not seen, and what could not be learnt."""

    process: RuntimeProcess | None
    results: tuple[StageResult, ...] = ()


def find_process(endpoint: str, fs: HostFS, processes: Processes) -> ProcessView:
    """Find the process that serves a CRI socket: by the socket itself, else by name. Nothing is raised, nothing guessed."""
    pid = _listener(endpoint, fs)
    if pid > 1:  # 1: systemd made the socket before the runtime was started
        try:
            return _inspect(processes.process(pid), processes)
        except UnreadableProcess:
            pass
    named = processes.named(*NAMES)
    serving = [process for process in named if process.flag("a", "address", "listen") == endpoint]
    candidates = serving or list(named)
    if len(candidates) == 1:
        return _inspect(candidates[0], processes)
    if not candidates:
        why = (
            "no container runtime runs on this machine"
            if processes.are_all()
            else "the runtime's process is not visible here (it needs the host's process list: hostPID)"
        )
        detail = f"{why}: proxy and command line are not known"
    else:
        pids = ", ".join(f"{process.name} {process.pid}" for process in candidates)
        detail = f"several processes may be the runtime ({pids}): proxy and command line are not known"
    return ProcessView(None, (StageResult(Stage.PROXY, str(processes.proc), Outcome.SKIPPED, detail=detail),))


def _listener(endpoint: str, fs: HostFS) -> int:
    """Return the pid of the process that listens on a socket, 0 where it cannot be told (unix(7): SO_PEERCRED)."""
    if not endpoint:
        return 0
    try:
        local = str(fs.local(endpoint))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(local)
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except (OSError, UnreadableFile):
        return 0
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def _inspect(process: Process, processes: Processes) -> ProcessView:
    if process.name == "cri-dockerd":
        # It only translates: images are pulled by dockerd, through dockerd's proxies.
        process = next(iter(processes.named("dockerd")), process)
    source = str(processes.proc / str(process.pid) / "environ")
    results: tuple[StageResult, ...] = ()
    proxies: Proxies | None = None
    variables: dict[str, str] = {}
    try:
        variables = processes.variables(process.pid, _VARIABLES)
        proxies = Proxies(
            http=Secret(variables.get("HTTP_PROXY") or variables.get("http_proxy", "")),
            https=Secret(variables.get("HTTPS_PROXY") or variables.get("https_proxy", "")),
            no_proxy=variables.get("NO_PROXY") or variables.get("no_proxy", ""),
            source=source,
        )
    except UnreadableProcess as error:
        detail = f"whether the runtime uses a proxy is not known: {error.why}"
        results = (StageResult(Stage.PROXY, source, Outcome.SKIPPED, detail=detail),)
    found = RuntimeProcess(
        pid=process.pid,
        name=process.name,
        config_file=process.flag("c", "config"),
        config_directory=process.flag("d", "config-dir"),
        root=process.flag("root"),
        state=process.flag("state"),
        proxies=proxies,
        ssl_cert_file=variables.get("SSL_CERT_FILE", ""),
        ssl_cert_dir=variables.get("SSL_CERT_DIR", ""),
        started=processes.started(process.pid),
        prefers_libc="LOCALDOMAIN" in variables or any(variables.get(name) for name in ("RES_OPTIONS", "HOSTALIASES")),
        build=_build(process, processes, variables.get("GODEBUG", "")),
    )
    return ProcessView(found, results)


def _build(process: Process, processes: Processes, environment: str) -> GoBuild:
    try:
        with processes.program(process.pid) as file:
            return read_build(file, environment)
    except UnreadableProcess:
        return CURRENT
