"""The platform that the node's runtime pulls for, in the names of the image specification."""

from __future__ import annotations

from typing import Final

_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv8l": "arm/v8",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "armv5tel": "arm/v5",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "loongarch64": "loong64",
    "mips64": "mips64le",
}
"""What uname(2) calls a machine, and what Go and containerd do (github.com/containerd/platforms: normalizeArch)."""


def node_platform(machine: str) -> str:
    """Return `os/architecture[/variant]` for uname's machine; a name that is not listed stands for itself."""
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"
