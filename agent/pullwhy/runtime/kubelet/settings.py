"""Where the kubelet of this node keeps its things: read from its command line and configuration file."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.runtime import urls
from pullwhy.runtime.documents import MAX_YAML, decode, texts
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.host.processes import Process, Processes, UnreadableProcess

DEFAULT_ROOT: Final = "/var/lib/kubelet"
CONFIG_FILES: Final = (
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet/kubelet-config.json",
    "/etc/kubernetes/kubelet/config.json",
)
KUBECONFIGS: Final = (
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
)
SOCKETS: Final = (
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/k0s/containerd.sock",
)
"""Runtimes' usual sockets, in the order in which they are tried where the kubelet names none."""
NAMES: Final = ("kubelet", "k3s-server", "k3s-agent", "k3s", "rke2", "kubelite", "k0s")

_SERVER: Final = re.compile(r"^[ \t]*server:[ \t]*[\"']?([^\s\"']{1,300})", re.MULTILINE)
_KEYS: Final = (
    "containerRuntimeEndpoint",
    "imagePullCredentialsVerificationPolicy",
    "serializeImagePulls",
    "maxParallelImagePulls",
)
_VERIFIES: Final = "KubeletEnsureSecretPulledImages"
_SETTING: Final = re.compile(
    rf"^({'|'.join(_KEYS)}|[ \t]{{1,8}}{_VERIFIES}):[ \t]*[\"']?([^\s\"'#]{{1,300}})", re.MULTILINE
)
_ALLOWLISTED: Final = "NeverVerifyAllowlistedImages"
RANCHER_PROVIDERS: Final = "/var/lib/rancher/credentialprovider"
"""Where k3s has the kubelet look unless told otherwise (k3s: pkg/cli/cmds/agent.go): config.yaml and bin."""


@frozen
class Kubelet:
    """What is known of the node's kubelet; defaults where it is not seen."""

    root: str = DEFAULT_ROOT
    runtime_endpoint: str = ""
    """As its flag or configuration file names it, empty where neither does."""
    servers: tuple[str, ...] = ()
    """Addresses of the API server, as URLs."""
    serial_pulls: bool | None = None
    """Whether it pulls one image after the other; None where neither flags nor file were seen."""
    seen: bool = False
    """Whether its process was found."""
    pid: int = 0
    started: datetime | None = None
    working_directory: str = "/"
    home: str = "/root"
    """Its $HOME; root's where its environment is not seen."""
    provider_config: str = ""
    """The exec credential providers' configuration, empty where its flags name none."""
    provider_directory: str = ""
    verification_policy: str = ""
    """imagePullCredentialsVerificationPolicy; empty for the default."""
    verification_allowlist: tuple[str, ...] = ()
    verifies: bool | None = None
    """The feature gate KubeletEnsureSecretPulledImages, None where it is not set."""


def find_kubelet(fs: HostFS, processes: Processes) -> Kubelet:
    """Return what the node's kubelet uses; nothing is raised."""
    found = processes.named(*NAMES)
    process = next((each for each in found if each.name == "kubelet"), None)
    flags = process or next((_embedded(each) for each in found), Process(0, "", ()))
    configs = (flags.flag("config"),) if flags.flag("config") else CONFIG_FILES
    settings = next((read for path in configs if (read := _settings(fs, path))), {})
    dropped = _dropped_in(fs, flags.flag("config-dir"))
    settings = {**settings, **{key: value for path in dropped for key, value in _settings(fs, path).items()}}
    kubeconfigs = [path for path in (flags.flag("kubeconfig"), flags.flag("bootstrap-kubeconfig")) if path]
    servers = [server for path in kubeconfigs or KUBECONFIGS for server in _servers(fs, path)]
    policy = settings.get("imagePullCredentialsVerificationPolicy", "")
    kubelet = Kubelet(
        root=flags.flag("root-dir") or DEFAULT_ROOT,
        runtime_endpoint=flags.flag("container-runtime-endpoint") or settings.get("containerRuntimeEndpoint", ""),
        servers=tuple(dict.fromkeys(servers)),
        serial_pulls=_serial_pulls(flags, settings) if process is not None or settings else None,
        seen=process is not None,
        provider_config=flags.flag("image-credential-provider-config"),
        provider_directory=flags.flag("image-credential-provider-bin-dir"),
        verification_policy=policy,
        verification_allowlist=_allowlist(fs, (*dropped[::-1], *configs)) if policy == _ALLOWLISTED else (),
        verifies=_gate(flags.flag("feature-gates"), settings.get(_VERIFIES, "")),
    )
    if process is not None:
        return _with_process(kubelet, process, processes)
    if found and not kubelet.provider_config and _there(fs, f"{RANCHER_PROVIDERS}/config.yaml"):
        place = f"{RANCHER_PROVIDERS}/config.yaml"
        return replace(kubelet, provider_config=place, provider_directory=f"{RANCHER_PROVIDERS}/bin")
    return kubelet


def _dropped_in(fs: HostFS, directory: str) -> list[str]:
    """Return the kubelet's drop-in files in the order in which they are merged (kubelet 1.28 and later: --config-dir)."""
    try:
        names = [entry.name for entry in fs.entries(directory) if entry.name.endswith(".conf")] if directory else []
    except UnreadableFile:
        return []
    return [f"{directory.rstrip('/')}/{name}" for name in names]


def _with_process(kubelet: Kubelet, process: Process, processes: Processes) -> Kubelet:
    """Add what decides where the kubelet looks for a config.json (pkg/credentialprovider/config.go)."""
    try:
        home = processes.variables(process.pid, ("HOME",)).get("HOME", "")
    except UnreadableProcess:
        home = kubelet.home
    directory = processes.working_directory(process.pid) or kubelet.working_directory
    started = processes.started(process.pid)
    return replace(kubelet, pid=process.pid, started=started, working_directory=directory, home=home)


def _embedded(process: Process) -> Process:
    """Return a kubelet's flags as a distribution in one binary is told them: its own, and those that it hands on."""
    command = process.command
    handed = [f"--{argument.partition('=')[2]}" for argument in command if argument.startswith("--kubelet-arg=")]
    handed += [f"--{value}" for name, value in itertools.pairwise(command) if name == "--kubelet-arg"]
    own = [each for each in command[1:] if each.startswith("--image-credential-provider-")]
    return Process(process.pid, process.name, (process.name, *own, *handed))


def _gate(flag: str, setting: str) -> bool | None:
    """Return a feature gate as the flag sets it, else as the configuration file does."""
    given = dict(pair.partition("=")[::2] for pair in flag.split(",")).get(_VERIFIES, setting).lower()
    return given == "true" if given in {"true", "false"} else None


def _allowlist(fs: HostFS, configs: Iterable[str]) -> tuple[str, ...]:
    for path in configs:
        try:
            document = decode(fs.text(path, MAX_YAML))
        except (UnreadableFile, ValueError):
            continue
        if isinstance(document, dict) and (listed := texts(document.get("preloadedImagesVerificationAllowlist"))):
            return listed
    return ()


def detect_endpoint(fs: HostFS, kubelet: Kubelet) -> str:
    """Return the path of the runtime's socket: the kubelet's own, else the first usual one there is; empty for none."""
    if kubelet.runtime_endpoint:
        return kubelet.runtime_endpoint.removeprefix("unix://")
    return next((path for path in SOCKETS if _exists(fs, path)), "")


def api_servers(servers: Iterable[str], service_host: str) -> tuple[str, ...]:
    """Return the API server's addresses with their ports; names stand for themselves."""
    found = [service_host] if service_host else []
    for server in servers:
        try:
            address = urls.parse_url(server if "://" in server else f"https://{server}")
            host, port = urls.split_port(address.authority)
            number = urls.port_number(port, address.scheme)
        except ValueError:
            continue
        found.append(_with_port(host, number))
    return tuple(dict.fromkeys(filter(None, found)))


def _with_port(host: str, port: int) -> str:
    try:
        return f"[{host}]:{port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{port}"  # noqa: PLR2004 - IPv6
    except ValueError:
        return host


def _exists(fs: HostFS, path: str) -> bool:
    try:
        return fs.kind(path) == "other"
    except UnreadableFile:
        return False


def _read(fs: HostFS, path: str) -> str:
    try:
        return fs.text(path)
    except UnreadableFile:
        return ""


def _settings(fs: HostFS, path: str) -> dict[str, str]:
    """Return the settings of a KubeletConfiguration that matter here; nothing where it cannot be read."""
    text = _read(fs, path)
    if not text.lstrip().startswith("{"):
        return {match[1].strip(): match[2] for match in _SETTING.finditer(text)}
    try:
        document = decode(text)
    except ValueError:
        return {}
    gates = document.get("featureGates")
    own = {**document, **(gates if isinstance(gates, dict) else {})}
    return dict(_texts(own))


def _texts(values: dict[str, object]) -> Iterator[tuple[str, str]]:
    for key in (*_KEYS, _VERIFIES):
        value = values.get(key)
        if isinstance(value, str | int):
            yield key, str(value)


def _serial_pulls(flags: Process, settings: dict[str, str]) -> bool:
    """Read serializeImagePulls: true by default, false where several parallel pulls are allowed (kubelet 1.27: defaults.go)."""
    told = flags.flag("serialize-image-pulls") or settings.get("serializeImagePulls", "")
    several = settings.get("maxParallelImagePulls", "")
    parallel = several.isdecimal() and len(several) < 6 and int(several) > 1  # noqa: PLR2004 - digits
    return told.lower() == "true" if told else not parallel


def _there(fs: HostFS, path: str) -> bool:
    try:
        return bool(fs.kind(path))
    except UnreadableFile:
        return False


def _servers(fs: HostFS, path: str) -> list[str]:
    text = _read(fs, path)
    if text.lstrip().startswith("{"):
        return re.findall(r"\"server\"\s{0,8}:\s{0,8}\"([^\"\s]{1,300})\"", text)
    return _SERVER.findall(text)
