"""Kubernetes distributions that start the runtime themselves and write its configuration."""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile


@frozen
class Distribution:
    """One distribution: where its runtime's configuration is, and which file of its own it is generated from."""

    name: str
    config_file: str
    registries: str = ""
    """Read at the service's start only (k3s: pkg/agent/containerd/config.go)."""


DISTRIBUTIONS: Final = (
    Distribution("rke2", "/var/lib/rancher/rke2/agent/etc/containerd/config.toml", "/etc/rancher/rke2/registries.yaml"),
    Distribution("k3s", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml", "/etc/rancher/k3s/registries.yaml"),
    Distribution("microk8s", "/var/snap/microk8s/current/args/containerd.toml"),
    Distribution("k0s", "/etc/k0s/containerd.toml"),
)
_SOCKETS: Final = {
    "/run/k3s/": ("rke2", "k3s"),
    "/var/snap/microk8s/": ("microk8s",),
    "/run/k0s/": ("k0s",),
}


def by_config_file(path: str) -> Distribution | None:
    """Return the distribution that writes a configuration file, None for none."""
    return next((each for each in DISTRIBUTIONS if path and path == each.config_file), None)


def by_socket(socket: str, fs: HostFS) -> Distribution | None:
    """Return the distribution whose runtime listens on a socket (rke2 uses that of k3s), None for none."""
    names = next((names for prefix, names in _SOCKETS.items() if prefix in socket), ())
    candidates = [each for each in DISTRIBUTIONS if each.name in names]
    present = [each for each in candidates if _exists(each.config_file, fs)]
    return next(iter([*present, *reversed(candidates)]), None)


def _exists(path: str, fs: HostFS) -> bool:
    try:
        return fs.kind(path) == "file"
    except UnreadableFile:
        return False
