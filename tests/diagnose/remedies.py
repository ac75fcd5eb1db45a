"""Remedies for nodes of every kind."""

import subprocess
from pathlib import Path

from pullwhy.diagnose.remedies.rendering import Remedy

BASE = {
    "image": "registry.example:5000/shop/web:1.4",
    "registry": "registry.example:5000",
    "repository": "shop/web",
    "tag": "1.4",
    "host": "registry.example:5000",
    "namespace": "shop",
    "pod": "web-7d9c",
    "container": "web",
    "wanted": "linux/amd64",
    "path": "/var/lib/containerd",
    "file": "/etc/containerd/certs.d/registry.example:5000/hosts.toml",
}
CONTAINERD = {
    "runtime": "containerd",
    "version": "v2.1.9",
    "certs_d": "/etc/containerd/certs.d",
    "runtime_unit": "containerd.service",
}


def run(remedy: Remedy, where: Path) -> None:
    for command in remedy.commands:
        subprocess.run(["bash", "-euc", command.run], cwd=where, check=True, timeout=10)
