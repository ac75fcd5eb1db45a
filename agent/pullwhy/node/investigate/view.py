"""The node as the judge sees it, and a fingerprint that changes when the node's configuration does."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from typing import Final

from pullwhy.diagnose.case import NodeView
from pullwhy.node.walk.plan import NodeSight, Prepared
from pullwhy.runtime.host import trust
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.host.resolver import UPSTREAMS
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.watch.units import unit_of

MAX_ENTRIES: Final = 2000
"""Files and directories below certs.d whose times are looked at."""
MAX_DEPTH: Final = 3

_FILES: Final = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/rancher/k3s/registries.yaml",
    "/etc/rancher/rke2/registries.yaml",
    "/etc/containers/registries.conf",
    "/etc/containers/registries.conf.d",
    "/etc/containers/policy.json",
    "/etc/crio/crio.conf",
    "/etc/crio/crio.conf.d",
    "/etc/docker/daemon.json",
    "/var/cache/containers/short-name-aliases.conf",
    "/var/lib/kubelet/config.json",
    UPSTREAMS,
    *trust.FILES,
)

_ROOTS: Final = (
    "/etc/containers/certs.d",
    "/etc/docker/certs.d",
    "/etc/containers/registries.conf.d",
    "/etc/crio/crio.conf.d",
    "/root/.config/containers",
)
"""Of CRI-O and dockerd: whatever is below them decides."""


def node_view(sight: NodeSight, prepared: Prepared | None, hostname: str = "") -> NodeView:
    """Return the node's facts that decide how a remedy is worded; `hostname` is its own name."""
    view, process = sight.view, sight.view.process
    directory = prepared.effective.directory if prepared and prepared.effective else ""
    hosts_toml = f"{directory}/hosts.toml" if directory and _holds(view.fs, f"{directory}/hosts.toml") else ""
    return NodeView(
        runtime=view.name,
        version=str(view.version) if view.version.known else "",
        # The first directory of a host hides those of other roots (CRI-O), so that one that is there is kept to.
        certs_d=directory.rpartition("/")[0] if directory and not view.config else view.certs_d,
        hosts_toml=hosts_toml,
        config_file=view.config.file if view.config else "",
        runtime_unit=unit_of(process.pid) if process else "",
        managed_by=view.managed_by,
        platform=prepared.plan.platform if prepared and prepared.plan else "",
        hostname=hostname,
        kubelet_version=sight.kubelet_version,
        serial_pulls=sight.kubelet.serial_pulls,
        conntrack=sight.limits.conntrack,
        local_ports=sight.limits.local_ports,
        runtime_answers=sight.runtime_answers,
        unseen=_unseen(sight, prepared),
    )


def _unseen(sight: NodeSight, prepared: Prepared | None) -> str:
    view, process = sight.view, sight.view.process
    # A process without a socket here may be another machine's, as in a container of its own.
    found = sight.runtime_answers or (process and view.socket) or (view.config and view.config.file)
    if not found:
        why = "answers" if view.socket else "was found"
        return f"the runtime's configuration, proxy and disk were not checked, because no runtime {why}"
    hosts = prepared.effective.endpoints if prepared and prepared.effective else ()
    # Loopback is never asked through a proxy (Go 1.27: golang.org/x/net/http/httpproxy).
    if (process is not None and process.proxies is not None) or all(_is_loopback(each.host) for each in hosts):
        return ""
    return "whether the runtime uses a proxy was not checked, because its process and environment are not visible"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def fingerprint(sight: NodeSight) -> str:
    """Return a text that changes whenever a file that decides about pulls changes, or the runtime is started anew."""
    view = sight.view
    digest = hashlib.sha256()
    if view.process is not None:
        digest.update(f"{view.process.pid} {view.process.started}\n".encode())
    config = view.config
    roots = config.roots if config else _ROOTS
    for path in (*_FILES, *_of_kubelet(sight.kubelet), *(config.files if config else ())):
        digest.update(_stamp(view.fs, path))
    left = MAX_ENTRIES
    for root in roots:
        for path in _below(view.fs, root, MAX_DEPTH):
            if left <= 0:
                break
            left -= 1
            digest.update(_stamp(view.fs, path))
    return digest.hexdigest()[:16]


def _of_kubelet(kubelet: Kubelet) -> tuple[str, ...]:
    """Return the files that decide which credentials the kubelet has."""
    docker = f"{kubelet.home or kubelet.working_directory}/.docker/config.json"
    own = (f"{kubelet.root}/config.json", docker, kubelet.provider_config, kubelet.provider_directory)
    return tuple(path for path in own if path)


def _stamp(fs: HostFS, path: str) -> bytes:
    try:
        return f"{path} {fs.mtime(path)}\n".encode()
    except UnreadableFile as error:
        return f"{path} {error.why}\n".encode()


def _below(fs: HostFS, directory: str, depth: int) -> Iterator[str]:
    yield directory
    if depth == 0:
        return
    try:
        entries = fs.entries(directory)
    except UnreadableFile:
        return
    for entry in entries:
        path = f"{directory}/{entry.name}"
        if entry.is_dir:
            yield from _below(fs, path, depth - 1)
        else:
            yield path


def _holds(fs: HostFS, path: str) -> bool:
    try:
        return fs.kind(path) == "file"
    except UnreadableFile:
        return False
