"""Which hosts and addresses a walk may dial: pullwhy must never be the tool of whoever may name an image.

The rule. An image, a token realm and a redirect are named by strangers, so where they lead is judged by address, and the judged
address is the one dialled:

- never: link-local, metadata services, multicast, unspecified and reserved addresses, and those of the plan (the API server);
- hosts that the node's own configuration names (`trusted_hosts`): everything else;
- the image's own registry endpoints: public addresses; private, shared and loopback ones only where the kubelet itself failed here; for
  another node's sake private and shared ones of a registry that this node has to do with anyway, never loopback;
- realms and redirects: public addresses; private ones as for an endpoint (registries of one's own often live on them), for another
  node's sake only where the endpoint itself is at one; loopback only where they name the endpoint's own host.

Addresses that carry another one (IPv4-mapped, NAT64, 6to4, Teredo) are judged as both. Nameservers and proxies are the node's own.
"""

from __future__ import annotations

import enum
import re
from dataclasses import field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.plan import WalkPlan

Address = IPv4Address | IPv6Address
NetworkRange = IPv4Network | IPv6Network

_NEVER: Final[tuple[NetworkRange, ...]] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "100.100.100.200/32",  # metadata, Alibaba Cloud
        "168.63.129.16/32",  # wire server, Azure
        "192.0.0.0/24",  # protocol assignments; Oracle's classic metadata service
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::/32",  # metadata, name server and clock of AWS
        "fd20:ce::254/128",  # metadata, Google Cloud
        "fd00:42::42/128",  # metadata, Scaleway
        "fd00:c1::/32",  # metadata, Oracle Cloud
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
"""For translators of a site's own, whose prefix may be any that is as long or longer (RFC 8215)."""
_COMPATIBLE: Final = IPv6Network("::/96")
_METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_NUMERIC_LABEL: Final = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\Z")


class Origin(enum.Enum):
    """Who named a destination."""

    ENDPOINT = "endpoint"  # the runtime's configuration for the image's own registry
    INDIRECT = "indirect"  # a token realm or a redirect
    NODE = "node"  # the node's own proxy


@frozen
class Destinations:
    """The destination rules of one plan."""

    forbidden: tuple[NetworkRange, ...]
    forbidden_ports: frozenset[tuple[Address, int]]
    forbidden_names: frozenset[str]
    trusted: frozenset[str]
    local_allowed: bool
    private_allowed: bool = False
    private_endpoints: set[str] = field(default_factory=set)
    """Hosts of endpoints that turned out to be at private addresses, by `private_allowed`."""

    @classmethod
    def of(cls, plan: WalkPlan) -> Destinations:
        """Read a plan's rules; entries are networks, addresses, `address:port` or names."""
        networks: list[NetworkRange] = []
        ports: set[tuple[Address, int]] = set()
        names: set[str] = set()
        for text in plan.forbidden_addresses:
            parsed = _parse_forbidden(text)
            if isinstance(parsed, tuple):
                ports.add(parsed)
            elif isinstance(parsed, str):
                names.add(parsed)
            else:
                networks.append(parsed)
        trusted = frozenset(_plain(host) for host in plan.trusted_hosts)
        allowed = (plan.local_addresses_allowed, plan.private_addresses_allowed)
        return cls(tuple(networks), frozenset(ports), frozenset(names), trusted, *allowed)

    def refuses_name(self, host: str) -> str:
        """Return why a host may not be asked for at all, empty where it may."""
        name = _plain(host)
        if name in _METADATA_NAMES:
            return "a metadata service's name"
        if name in self.forbidden_names:
            return "a forbidden host"
        if parse_address(name) is None and _NUMERIC_LABEL.match(name.rsplit(".", 1)[-1]):
            return "a number that some resolvers take for an address"
        return ""

    def refuses(self, address: str, port: int, host: str, origin: Origin, own_host: str) -> str:
        """Return why `address`, to which `host` led, is not dialled; empty where it may be.

        `own_host` is the host of the endpoint that is being walked.
        """
        parsed = parse_address(address)
        if parsed is None:
            return "not an address"
        reasons = (self._refuses_one(form, port, host, origin, own_host) for form in _forms(parsed))
        return next((reason for reason in reasons if reason), "")

    def _refuses_one(self, address: Address, port: int, host: str, origin: Origin, own_host: str) -> str:
        if any(address in network for network in _NEVER if network.version == address.version):
            return "a link-local, metadata or reserved address"
        if any(address in network for network in self.forbidden if network.version == address.version):
            return "a forbidden address"
        if (address, port) in self.forbidden_ports:
            return "a forbidden address"
        if address.is_global or origin is Origin.NODE or _plain(host) in self.trusted:
            return ""
        if not self.local_allowed:
            return self._refuses_private(address, origin, own_host)
        if address.is_loopback and origin is Origin.INDIRECT and _plain(host) != _plain(own_host):
            return "a loopback address that another host named"
        return ""

    def _refuses_private(self, address: Address, origin: Origin, own_host: str) -> str:
        """Judge an address that is not public for the sake of another node."""
        if address.is_loopback or not self.private_allowed:
            return (
                f"a {'loopback' if address.is_loopback else 'private'} address, and the kubelet did not fail on it here"
            )
        if origin is Origin.ENDPOINT:
            self.private_endpoints.add(_plain(own_host))
        return "" if _plain(own_host) in self.private_endpoints else "a private address that a public host named"


def parse_address(text: str) -> Address | None:
    """Return the literal address that `text` is, with or without brackets and zone, else None."""
    try:
        return ip_address(text.strip("[]").split("%", 1)[0])
    except ValueError:
        return None


def _forms(address: Address) -> tuple[Address, ...]:
    """Return the address and the IPv4 addresses that it carries."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    carried: list[Address] = []
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if address.teredo is not None:
        carried.extend(address.teredo)
    low = int(address) & 0xFFFF_FFFF
    if address in _NAT64:
        return IPv4Address(low), *carried
    if address in _LOCAL_NAT64:
        return _translated(address)
    if address in _COMPATIBLE and low > 1:
        carried.append(IPv4Address(low))
    return (address, *carried)


def _translated(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return what an address may carry behind a prefix of 48, 56, 64 or 96 bits (RFC 6052 section 2.2: byte 8 is passed over)."""
    data = address.packed
    split = data[6:8] + data[9:16]
    carried = (*(split[start : start + 4] for start in range(3)), data[12:16])
    # What begins with 0 is no address of a host, so the address is not one behind a prefix of that length.
    return tuple(IPv4Address(form) for form in carried if form[0]) or (IPv4Address(0),)


def _parse_forbidden(text: str) -> NetworkRange | tuple[Address, int] | str:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        host, _, port = text.rpartition(":")
        address = parse_address(host)
        if address is not None and port.isdecimal():
            return address, int(port[:6])
        return _plain(host if port.isdecimal() and host else text)


def _plain(host: str) -> str:
    return host.rstrip(".").strip("[]").lower()
