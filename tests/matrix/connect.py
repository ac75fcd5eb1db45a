"""Faults on the wire between node and registry."""

from matrix.fault import OWN, Fault, PodSpec, answered, nothing
from matrix.servers import Servers

from lab import images
from lab.node import Node


def refused_connection(servers: Servers, node: Node) -> PodSpec:
    """A host on which nothing listens."""
    del node
    return PodSpec(f"{servers.closed.authority}/shop/web:1.0")


def refused_port(servers: Servers, node: Node) -> PodSpec:
    """The registry's host with a port on which nothing listens."""
    return PodSpec(f"{servers.plain_for(node).place.host}:5443/shop/web:1.0")


def refused_address(servers: Servers, node: Node) -> PodSpec:
    """A registry named by an address at which nothing listens."""
    del node
    return PodSpec(f"{servers.closed.addresses[0]}:5000/shop/web:1.0")


def rejecting_firewall(servers: Servers, node: Node) -> PodSpec:
    """A firewall on this node alone that answers in the registry's place with a reset."""
    registry = servers.fenced
    node.trust(registry.place, registry.authority.pem)
    node.faults.reset(registry.place.addresses[0], port=registry.place.port)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def stale_hosts_entry(servers: Servers, node: Node) -> PodSpec:
    """An entry of the hosts file that leads to where the registry was before."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.write("/etc/hosts", f"127.0.0.1 localhost\n{servers.closed.addresses[0]} {registry.place.host}\n")
    return PodSpec(f"{registry.host}/shop/web:1.0")


def blocked_connection(servers: Servers, node: Node) -> PodSpec:
    """A firewall on this node alone that swallows what the registry answers."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.block(registry.place.addresses[0], registry.place.port)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def unreachable_network(servers: Servers, node: Node) -> PodSpec:
    """A route that says unreachable, on this node alone."""
    node.faults.route(servers.unrouted.addresses[0], "unreachable")
    return PodSpec(f"{servers.unrouted.authority}/shop/web:1.0")


def prohibited_network(servers: Servers, node: Node) -> PodSpec:
    """A route that says prohibited, on this node alone."""
    place = servers.closed_for("prohibited.lab.test")
    node.faults.route(place.addresses[0], "prohibit")
    return PodSpec(f"{place.authority}/shop/web:1.0")


def ipv6_only(servers: Servers, node: Node) -> PodSpec:
    """A registry with IPv6 addresses only, and a node without IPv6."""
    servers.lab.dns.add("six.lab.test", servers.closed.addresses[1])
    node.faults.no_ipv6()
    return PodSpec("six.lab.test/shop/web:1.0")


def no_default_route(servers: Servers, node: Node) -> PodSpec:
    """A registry off the node's own network, and no default route."""
    servers.lab.dns.add("far.lab.test", "198.51.100.7")
    node.faults.no_default_route(4)
    return PodSpec("far.lab.test/shop/web:1.0")


def ipv6_preferred(servers: Servers, node: Node) -> PodSpec:
    """A name with both kinds of addresses: no route for IPv6, and nothing that listens at the IPv4 address."""
    servers.lab.dns.add("both.lab.test", servers.closed.addresses[0], servers.closed.addresses[1])
    node.faults.no_ipv6()
    return PodSpec("both.lab.test/shop/web:1.0")


def local_ports_exhausted(servers: Servers, node: Node) -> PodSpec:
    """A node with four local ports, each of which holds a connection to the registry."""
    place = servers.spoken("silent").place
    few = "echo 40000 40003 > /proc/sys/net/ipv4/ip_local_port_range"
    hold = f"for n in 1 2 3 4; do exec {{fd}}<>/dev/tcp/{place.addresses[0]}/{place.port} || exit 1; done"
    node.run(["bash", "-c", f"{few}; {hold}; sleep infinity <&- >/dev/null 2>&1 &"])
    return PodSpec(f"{place.authority}/shop/web:1.0")


def registry_away(servers: Servers, node: Node) -> PodSpec:
    """Policy Always, the image is on the node, and nothing listens at its registry."""
    image = f"{servers.closed_for('away.lab.test').authority}/shop/web:1.0"
    node.containerd.load(images.build("on the node already"), image)
    return PodSpec(image, "Always")


FAULTS = (
    Fault("connection refused", refused_connection, "ConnectionRefused", "Connect"),
    Fault("port closed", refused_port, "ConnectionRefused", "Connect"),
    Fault("address refuses", refused_address, "ConnectionRefused", "Connect"),
    Fault("firewall rejects", rejecting_firewall, "ConnectionRefused", "Connect"),
    Fault("hosts file stale", stale_hosts_entry, "ConnectionRefused", "Connect", home=OWN, mend=nothing),
    Fault("connection blocked", blocked_connection, "ConnectionTimedOut", "Connect"),
    Fault("network unreachable", unreachable_network, "NetworkUnreachable", "Connect"),
    Fault("network prohibited", prohibited_network, "NetworkUnreachable", "Connect"),
    Fault("IPv6 only and no IPv6 here", ipv6_only, "NetworkUnreachable", "Connect", home=OWN),
    Fault("no default route", no_default_route, "NetworkUnreachable", "Connect", home=OWN),
    Fault(
        "refused with a useless IPv6 address",
        ipv6_preferred,
        "ConnectionRefused",
        "Connect",
        home=OWN,
        factors=("IPv6NoRoute",),
    ),
    Fault(
        "no local port left",
        local_ports_exhausted,
        "NetworkUnreachable",
        "Connect",
        home=OWN,
        factors=("PortsExhausted",),
    ),
    Fault("registry away", registry_away, "ConnectionRefused", "Connect", factors=("PolicyAlwaysImagePresent",)),
    answered("connection cut at the manifest", "manifest-reset", "ConnectionReset", "Manifest"),
)
