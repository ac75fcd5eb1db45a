"""Limits of the kernel that end connections before a packet leaves: connection tracking, and local ports."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pullwhy.frozen import frozen

MAX_TEXT: Final = 64
"""Characters read of one value."""


@frozen
class NetworkLimits:
    """What is seen of this network namespace; None where there is no such limit, or it cannot be read."""

    conntrack: tuple[int, int] | None = None
    """Connections that are tracked, and how many may be (Linux 6.12: Documentation/networking/nf_conntrack-sysctl.rst)."""
    local_ports: tuple[int, int] | None = None
    """First and last local port (Linux 6.12: Documentation/networking/ip-sysctl.rst, ip_local_port_range)."""


def network_limits(proc: Path) -> NetworkLimits:
    """Read the limits below `proc`, which are those of this process' own network namespace; raises nothing."""
    net = proc / "sys/net"
    count, most = (_numbers(net / "netfilter" / f"nf_conntrack_{name}") for name in ("count", "max"))
    ports = _numbers(net / "ipv4/ip_local_port_range")
    return NetworkLimits(
        (count[0], most[0]) if len(count) == len(most) == 1 and most[0] > 0 else None,
        (ports[0], ports[1]) if len(ports) == 2 else None,  # noqa: PLR2004 - first and last
    )


def _numbers(path: Path) -> tuple[int, ...]:
    try:
        with path.open("rb") as file:
            words = file.read(MAX_TEXT).split()
    except OSError:
        return ()
    return tuple(int(word) for word in words) if all(word.isdigit() for word in words) else ()
