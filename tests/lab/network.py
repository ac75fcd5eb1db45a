"""The wire of the lab: a bridge in the servers' namespace, a cable to each node, and faults on a node's end of it."""

import dataclasses
import ipaddress
from collections.abc import Sequence

from lab.errors import LabError
from lab.namespace import Namespace

NETWORK4 = ipaddress.IPv4Network("10.90.0.0/16")
NETWORK6 = ipaddress.IPv6Network("fd90::/64")
GATEWAY4 = "10.90.0.1"
GATEWAY6 = "fd90::1"
BRIDGE = "wire0"
BRIDGE_MAC = "02:00:0a:5a:00:01"
TABLE = "lab_faults"
_QUIET = """
net.ipv6.conf.all.accept_dad=0
net.ipv6.conf.default.accept_dad=0
net.ipv6.conf.all.accept_ra=0
net.ipv6.conf.default.accept_ra=0
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """An IPv4 and an IPv6 address of one machine of the lab."""

    v4: str
    v6: str


def server_addresses(number: int) -> Addresses:
    """Return the addresses of the server *number*, 1 to 250."""
    return Addresses(f"10.90.0.{number}", f"fd90::{number:x}")


def node_addresses(number: int) -> Addresses:
    """Return the addresses of the node *number*, 1 to 250."""
    return Addresses(f"10.90.1.{number}", f"fd90::1:{number:x}")


def make_bridge(servers: Namespace) -> None:
    """Make the bridge in the servers' namespace and give it the gateway's addresses. It forwards nothing."""
    _sysctl(servers)
    _ip(
        servers,
        "link set lo up",
        f"link add {BRIDGE} type bridge forward_delay 0 mcast_snooping 0",
        # Left to itself the bridge takes the lowest address of its ports: it would change as nodes come and go.
        f"link set {BRIDGE} address {BRIDGE_MAC} up",
    )
    add_address(servers, Addresses(GATEWAY4, GATEWAY6))


def add_address(servers: Namespace, addresses: Addresses) -> None:
    """Give the servers' namespace the addresses of one more server."""
    _ip(
        servers,
        f"addr add {addresses.v4}/{NETWORK4.prefixlen} dev {BRIDGE}",
        f"addr add {addresses.v6}/{NETWORK6.prefixlen} dev {BRIDGE} nodad",
    )


def connect(servers: Namespace, node: Namespace, number: int) -> Addresses:
    """Lay a cable from *node* to the bridge and return the node's addresses. Its default routes lead to a silent gateway."""
    addresses = node_addresses(number)
    _sysctl(node)
    far = f"node{number}"
    # `ip` runs on the servers' network but in the host's process namespace: only there the node's process has this number.
    _host_ip(servers, f"link add {far} type veth peer name eth0 netns {node.pid}")
    _ip(servers, f"link set {far} master {BRIDGE} up")
    _ip(
        node,
        "link set lo up",
        "link set eth0 up",
        f"addr add {addresses.v4}/{NETWORK4.prefixlen} dev eth0",
        f"addr add {addresses.v6}/{NETWORK6.prefixlen} dev eth0 nodad",
        f"route add default via {GATEWAY4}",
        f"route add default via {GATEWAY6}",
    )
    return addresses


@dataclasses.dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on the wire of one node; nothing of it touches another."""

    node: Namespace

    def drop(self, address: str, *, port: int | None = None, protocol: str = "tcp") -> None:
        """Swallow all that comes back from *address*: the node sees silence.

        It is dropped on the way in: a drop on the way out would show as EPERM to the sender.
        """
        self._rule("input", f"{_match('saddr', address)} {_port('sport', port, protocol)} drop")

    def drop_large(self, address: str, *, size: int) -> None:
        """Swallow what the node sends to *address* in packets above *size* bytes, as a path does that lost its MTU."""
        self._rule("output", f"{_match('daddr', address)} meta length > {size} drop")

    def reset(self, address: str, *, port: int) -> None:
        """Answer the node's own packets to *address* with a TCP reset, as a rejecting firewall does."""
        self._rule("output", f"{_match('daddr', address)} tcp dport {port} reject with tcp reset")

    def route(self, address: str, kind: str) -> None:
        """Set a route of *kind* (unreachable, prohibit, blackhole) for *address*: EHOSTUNREACH, EACCES, EINVAL."""
        if kind not in {"unreachable", "prohibit", "blackhole"}:
            raise LabError(f"no route of kind {kind!r}: unreachable, prohibit, blackhole")
        family = "-6" if ":" in address else "-4"
        self.node.run(["ip", family, "route", "add", kind, address])

    def no_default_route(self, family: int) -> None:
        """Take the default route of a family, 4 or 6, away: ENETUNREACH for all that is off the wire."""
        self.node.run(["ip", f"-{family}", "route", "del", "default"])

    def no_ipv6(self) -> None:
        """Take the node's IPv6 addresses and routes away."""
        self.node.run(["ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global"])
        self.node.run(["ip", "-6", "route", "flush", "dev", "eth0"], check=False)

    def clear(self) -> None:
        """Take all drops, resets and routes of *kind* away again."""
        self.node.run(["nft", "delete", "table", "inet", TABLE], check=False)
        for family in ("-4", "-6"):
            for kind in ("unreachable", "prohibit", "blackhole"):
                self.node.run(["ip", family, "route", "flush", "type", kind], check=False)

    def _rule(self, chain: str, rule: str) -> None:
        script = (
            f"add table inet {TABLE}\n"
            f"add chain inet {TABLE} {chain} {{ type filter hook {chain} priority 0; }}\n"
            f"add rule inet {TABLE} {chain} {rule}\n"
        )
        self.node.run(["nft", "-f", "-"], stdin=script)


def _match(direction: str, address: str) -> str:
    return f"{'ip6' if ':' in address else 'ip'} {direction} {address}"


def _port(direction: str, port: int | None, protocol: str) -> str:
    return "" if port is None else f"{protocol} {direction} {port}"


def _ip(namespace: Namespace, *commands: str) -> None:
    namespace.run(["ip", "-batch", "-"], stdin="\n".join(commands) + "\n")


def _host_ip(namespace: Namespace, *commands: str) -> None:
    namespace.run_on_network(["ip", "-batch", "-"], "\n".join(commands) + "\n")


def _sysctl(namespace: Namespace) -> None:
    namespace.run(["sh", "-c", "sysctl -qp - || true"], stdin=_QUIET)


def all_addresses(addresses: Sequence[Addresses]) -> list[str]:
    """Return the IPv4 and the IPv6 addresses of all, in one list."""
    return [text for pair in addresses for text in (pair.v4, pair.v6)]
