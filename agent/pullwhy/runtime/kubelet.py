"""Where the kubelet of this node keeps its things: read from its command line and configuration file."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pullwhy.runtime import urls
from pullwhy.runtime.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.processes import Process, Processes

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
_ENDPOINT: Final = re.compile(r"^containerRuntimeEndpoint:[ \t]*[\"']?([^\s\"']{1,300})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Kubelet:
    """What is known of the node's kubelet; defaults where it is not seen."""

    root: str = DEFAULT_ROOT
    runtime_endpoint: str = ""
    """As its flag or configuration file names it, empty where neither does."""
    servers: tuple[str, ...] = ()
    """Addresses of the API server, as URLs."""
    seen: bool = False
    """Whether its process was found."""


def find_kubelet(fs: HostFS, processes: Processes) -> Kubelet:
    """Return what the node's kubelet uses; nothing is raised."""
    process = next((found for found in processes.named(*NAMES) if found.name == "kubelet"), None)
    flags = process if process is not None else Process(0, "", ())
    configs = (flags.flag("config"),) if flags.flag("config") else CONFIG_FILES
    endpoint = flags.flag("container-runtime-endpoint") or next(
        filter(None, (_endpoint(fs, path) for path in configs)), ""
    )
    kubeconfigs = [path for path in (flags.flag("kubeconfig"), flags.flag("bootstrap-kubeconfig")) if path]
    servers = [server for path in kubeconfigs or KUBECONFIGS for server in _servers(fs, path)]
    return Kubelet(
        root=flags.flag("root-dir") or DEFAULT_ROOT,
        runtime_endpoint=endpoint,
        servers=tuple(dict.fromkeys(servers)),
        seen=process is not None,
    )


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


def _endpoint(fs: HostFS, path: str) -> str:
    text = _read(fs, path)
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        value = document.get("containerRuntimeEndpoint", "")
        return value if isinstance(value, str) else ""
    match = _ENDPOINT.search(text)
    return match[1] if match else ""


def _servers(fs: HostFS, path: str) -> list[str]:
    text = _read(fs, path)
    if text.lstrip().startswith("{"):
        return re.findall(r"\"server\"\s{0,8}:\s{0,8}\"([^\"\s]{1,300})\"", text)
    return _SERVER.findall(text)
