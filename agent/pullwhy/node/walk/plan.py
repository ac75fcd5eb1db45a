"""Makes the plan of a walk: everything about this node that bears on one image, read before the walk begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Final

from pullwhy import __version__
from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, InvalidReference, parse
from pullwhy.model import Outcome, Stage
from pullwhy.node.walk.credentials import match
from pullwhy.node.walk.kubeletversion import kubelet_version
from pullwhy.plan import CURRENT, Endpoint, Timeouts, WalkPlan
from pullwhy.runtime.containerd.contentstore import CONTENT_STORE
from pullwhy.runtime.containerd.settings import read_config, with_status
from pullwhy.runtime.cri import CRIClient, CRIError
from pullwhy.runtime.distributions import by_socket
from pullwhy.runtime.effective import CONTAINERD, Effective, RuntimeView, effective, reference_result
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.host.kernel import NetworkLimits, network_limits
from pullwhy.runtime.host.platform import node_platform
from pullwhy.runtime.host.processes import Processes, UnreadableProcess
from pullwhy.runtime.host.resolver import RESOLV_CONF, ResolverView, read_resolver
from pullwhy.runtime.host.storage import Place, check
from pullwhy.runtime.host.trust import TrustStore, read_trust
from pullwhy.runtime.kubelet.credentials import InvalidCredentials, PullSecret
from pullwhy.runtime.kubelet.settings import Kubelet, api_servers, detect_endpoint, find_kubelet
from pullwhy.runtime.process import RuntimeProcess, find_process
from pullwhy.runtime.versions import Version, parse_version
from pullwhy.trace import StageResult

START_PRECISION: Final = 1.0
"""Seconds by which a process' start may be told too early: /proc/stat gives the boot time in whole ones (proc(5))."""

__all__ = ["InvalidCredentials", "NodeSight", "Prepared", "Sources", "make_plan", "node_resolver", "survey"]


@frozen
class Sources:
    """Where the node's facts are read. What is named here is meant as this process sees it, and wins over what is found."""

    host_root: Path = Path("/")
    runtime_endpoint: str = ""
    runtime_config: str = ""
    resolv_conf: str = ""
    platform: str = ""
    credentials: str = ""
    """A dockerconfigjson, a dockercfg, or a Secret that holds one."""
    proc: Path = Path("/proc")
    machine: str = field(default_factory=lambda: os.uname().machine)
    hostname: str = field(default_factory=lambda: os.uname().nodename)
    service_host: str = field(default_factory=lambda: os.environ.get("KUBERNETES_SERVICE_HOST", ""))
    """The API server's address as a pod is told it."""


@frozen
class NodeSight:
    """What was seen of the node: the same for every image until its configuration changes."""

    view: RuntimeView
    kubelet: Kubelet
    runtime_answers: bool | None = None
    """Whether CRI Version was answered; None where no socket was found."""
    storage: tuple[StageResult, ...] = ()
    credentials_for: tuple[str, ...] = ()
    """Hosts for which the runtime's own status shows credentials."""
    kubelet_version: str = ""
    """As the kubelet told at its start; empty where that is not known."""
    limits: NetworkLimits = NetworkLimits()

    @property
    def runtime_seen(self) -> bool:
        """Whether the runtime itself was seen; else `view` has what a containerd would be."""
        return bool(self.runtime_answers) or self.view.process is not None


@frozen
class Prepared:
    """A plan with what is known before the walk: the results of the stages Reference, Config, Storage and Runtime."""

    image: ImageReference | None
    plan: WalkPlan | None
    """None where the reference is invalid, or the configuration fails the pull before any host is asked."""
    results: tuple[StageResult, ...]
    effective: Effective | None = None

    @property
    def credentials_held(self) -> tuple[str, ...]:
        """Endpoints for which the runtime itself has credentials: a reproduction would open the image to every pod."""
        return self.effective.credentials_held if self.effective is not None else ()


async def survey(sources: Sources, client: CRIClient | None = None) -> NodeSight:
    """Look at the node's runtime and kubelet. Nothing is raised: what cannot be seen is said in the results.

    `client` serves instead of a connection of its own; it is left open.
    """
    fs = HostFS(sources.host_root)
    processes = Processes(sources.proc)
    kubelet = find_kubelet(fs, processes)
    given = sources.runtime_endpoint.removeprefix("unix://")
    socket_fs, socket = (HostFS(), given) if given else (fs, detect_endpoint(fs, kubelet))
    found = find_process(socket, socket_fs, processes)
    answers = await _ask(client, socket_fs, socket)
    view = _view(sources, fs, socket, found.process, answers)
    view = replace(view, results=(*answers.results, *found.results))
    places = [Place(path, "images") for path in answers.mountpoints]
    if view.config is not None:
        content = f"{view.config.root.rstrip('/')}/{CONTENT_STORE}"  # it may be a mount of its own
        places.append(Place(content if fs.exists(content) else view.config.root, "content store"))
    mountinfo = _mountinfo(found.process, processes)
    version = kubelet_version(sources.host_root, sources.proc, kubelet)
    storage = check(places, fs, mountinfo)
    limits = network_limits(sources.proc)
    return NodeSight(view, kubelet, answers.answered, storage, answers.credentials_for, version, limits)


def make_plan(
    text: str,
    sight: NodeSight,
    sources: Sources,
    *,
    timeouts: Timeouts | None = None,
    secrets: Sequence[PullSecret] = (),
) -> Prepared:
    """Return the plan for the image `text` on this node; `secrets` are tried after the node's own credentials.

    Raises InvalidCredentials for a file of `sources.credentials` that cannot be used; everything else is in the results.
    """
    try:
        image = parse(text)
    except InvalidReference as error:
        return Prepared(None, None, (_invalid(error), *sight.storage))
    view = sight.view
    found = effective(image, view)
    named, image = image, found.image or image
    resolver = node_resolver(sources, view.fs, view.process)
    matched = match(named, image, view.fs, sight.kubelet, sources.credentials, secrets)
    held = tuple(dict.fromkeys((*found.credentials_held, *_held(found, sight.credentials_for))))
    found = replace(found, credentials_held=held)
    trust = read_trust(view.fs, *_trust_variables(view.process))
    results = (
        reference_result(named),
        *found.results,
        *resolver.results,
        *matched.results,
        *_stale(view, trust),
        *sight.storage,
    )
    if not found.endpoints:
        return Prepared(image, None, results, found)
    plan = WalkPlan(
        image=image,
        platform=sources.platform or node_platform(sources.machine),
        endpoints=_distinct(found.endpoints),
        resolver=resolver.resolver,
        proxies=view.process.proxies if view.process is not None else None,
        system_trust=trust.pem,
        credentials=matched.credentials,
        user_agent=f"pullwhy/{__version__}",
        timeouts=timeouts or Timeouts(),
        trusted_hosts=_trusted(found),
        forbidden_addresses=api_servers(sight.kubelet.servers, sources.service_host),
        go=view.process.build if view.process is not None else CURRENT,
    )
    return Prepared(image, plan, results, found)


def _invalid(error: InvalidReference) -> StageResult:
    hint = f"; did you mean {error.suggestion}?" if error.suggestion else ""
    return StageResult(Stage.REFERENCE, error.text, Outcome.FAILED, detail=f"{error.fault}{hint}")


def node_resolver(sources: Sources, fs: HostFS, process: RuntimeProcess | None = None) -> ResolverView:
    """Return the resolver settings that hold on the node whose files are in `fs`, as the runtime's `process` reads them."""
    go = process.build if process is not None else CURRENT
    prefers = process is not None and process.prefers_libc
    given = sources.resolv_conf
    where, path = (HostFS(), str(Path(given).absolute())) if given else (fs, RESOLV_CONF)
    return read_resolver(where, path, sources.hostname, fs, go=go, prefers_libc=prefers)


@frozen
class _Answers:
    """What the runtime said over CRI."""

    answered: bool | None = None
    name: str = ""
    version: Version = Version()
    config: dict[str, object] = field(default_factory=dict)
    credentials_for: tuple[str, ...] = ()
    mountpoints: tuple[str, ...] = ()
    results: tuple[StageResult, ...] = ()


async def _ask(client: CRIClient | None, fs: HostFS, socket: str) -> _Answers:
    if client is None and not socket:
        detail = (
            "no runtime socket was found; name it with --runtime-endpoint (of the agent: the setting runtime_endpoint)"
        )
        return _Answers(results=(StageResult(Stage.RUNTIME, "CRI", Outcome.SKIPPED, detail=detail),))
    if client is not None:
        return await _questions(client)
    try:
        path = str(fs.local(socket))
    except UnreadableFile as error:
        failed = StageResult(Stage.RUNTIME, socket, Outcome.FAILED, detail=f"the runtime's socket: {error.why}")
        return _Answers(False, results=(failed,))
    async with CRIClient(path) as own:
        return await _questions(own)


async def _questions(client: CRIClient) -> _Answers:
    try:
        version = await client.version()
    except CRIError as error:
        detail = f"the runtime does not answer: {error}"
        return _Answers(False, results=(StageResult(Stage.RUNTIME, client.socket, Outcome.FAILED, detail=detail),))
    answers = _Answers(True, version.name, parse_version(version.version))
    try:
        status = await client.status()
        filesystems = await client.image_fs()
    except CRIError as error:
        detail = f"the runtime's status is not known: {error}"
        return replace(answers, results=(StageResult(Stage.RUNTIME, client.socket, Outcome.SKIPPED, detail=detail),))
    return replace(
        answers,
        config=dict(status.config),
        credentials_for=status.credentials_for,
        mountpoints=tuple(filesystem.mountpoint for filesystem in filesystems if filesystem.mountpoint),
    )


def _view(sources: Sources, fs: HostFS, socket: str, process: RuntimeProcess | None, answers: _Answers) -> RuntimeView:
    name = answers.name or (
        {"crio": "cri-o", "cri-dockerd": "docker"}.get(process.name, CONTAINERD) if process else CONTAINERD
    )
    view = RuntimeView(name=name, version=answers.version, process=process, fs=fs, socket=socket)
    if name != CONTAINERD:
        return view
    if sources.runtime_config:
        config = read_config(str(Path(sources.runtime_config).absolute()), answers.version, HostFS(), given=True)
    else:
        usual = by_socket(socket, fs)
        file = (process.config_file if process is not None else "") or (usual.config_file if usual is not None else "")
        config = with_status(read_config(file, answers.version, fs, given=bool(file)), answers.config)
    if process is not None:
        config = replace(config, root=process.root or config.root, state=process.state or config.state)
    return replace(view, config=config)


def _held(found: Effective, hosts: Iterable[str]) -> tuple[str, ...]:
    names = set(hosts)
    return tuple(endpoint.authority for endpoint in found.endpoints if names & {endpoint.host, endpoint.authority})


def _trusted(found: Effective) -> tuple[str, ...]:
    """Return the hosts that the node's own files name; below `_default` the image alone names its registry."""
    named = bool(found.directory) and not found.directory.endswith("/_default")
    return tuple(dict.fromkeys(endpoint.host for endpoint in found.endpoints if endpoint.is_mirror or named))


def _distinct(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Return the endpoints without those that only repeat another one.

    A hosts.toml often names the server as a host too. The runtime asks twice then; we need not.
    """
    first: dict[Endpoint, Endpoint] = {}
    for endpoint in endpoints:
        first.setdefault(replace(endpoint, source=""), endpoint)
    return tuple(first.values())


def _trust_variables(process: RuntimeProcess | None) -> tuple[str, str]:
    return (process.ssl_cert_file, process.ssl_cert_dir) if process is not None else ("", "")


def _stale(view: RuntimeView, trust: TrustStore) -> tuple[StageResult, ...]:
    """Say which files are younger than the runtime, which reads them once at its start."""
    process, config = view.process, view.config
    if process is None or process.started is None:
        return ()
    started = process.started.timestamp() + START_PRECISION
    results = []
    if trust.newest > started:
        detail = f"the system's trust store was changed after {process.name} started, which reads it once, at its first handshake"
        results.append(StageResult(Stage.TLS, trust.files[0], Outcome.SKIPPED, detail=detail, stale_trust=True))
    for path in config.files if config is not None else ():
        if _changed(path, view) > started:
            detail = f"it was changed after {process.name} started, which may still run with other settings"
            results.append(StageResult(Stage.CONFIG, path, Outcome.SKIPPED, detail=detail))
    return tuple(results)


def _changed(path: str, view: RuntimeView) -> float:
    try:
        return view.fs.mtime(path)
    except UnreadableFile:
        return 0.0


def _mountinfo(process: RuntimeProcess | None, processes: Processes) -> str | None:
    if process is None:
        return None
    try:
        return processes.read(process.pid, "mountinfo").decode(errors="replace")
    except UnreadableProcess:
        return None
