"""Faults of name resolution."""

from collections.abc import Mapping

from matrix.fault import OWN, Fault, Make, PodSpec
from matrix.servers import Servers

from lab.node import Node


def unknown_name(servers: Servers, node: Node) -> PodSpec:
    """A registry name that does not exist."""
    del node
    servers.lab.dns.fault("nowhere.lab.test", "nxdomain")
    return PodSpec("nowhere.lab.test/shop/web:1.0")


def empty_name(servers: Servers, node: Node) -> PodSpec:
    """A name that exists without an address."""
    del node
    servers.lab.dns.fault("empty.lab.test", "nodata")
    return PodSpec("empty.lab.test/shop/web:1.0")


def broken_name_server(servers: Servers, node: Node) -> PodSpec:
    """A zone that every nameserver fails to serve."""
    del node
    servers.lab.dns.fault("servfail.lab.test", "servfail")
    return PodSpec("servfail.lab.test/shop/web:1.0")


def refusing_name_server(servers: Servers, node: Node) -> PodSpec:
    """A zone that no nameserver will answer for."""
    del node
    servers.lab.dns.fault("forbidden-zone.lab.test", "refused")
    return PodSpec("forbidden-zone.lab.test/shop/web:1.0")


def silent_name_server(servers: Servers, node: Node) -> PodSpec:
    """A zone for which every nameserver keeps silent."""
    del node
    servers.lab.dns.fault("mute.lab.test", "silent")
    return PodSpec("mute.lab.test/shop/web:1.0")


def disagreeing_name_servers(servers: Servers, node: Node) -> PodSpec:
    """The first nameserver denies a name that the second knows, as where one of two lacks a private zone."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    name = "split.lab.test"
    first, second = servers.lab.dns.servers
    servers.lab.dns.fault(name, "nxdomain", server=first)
    servers.lab.dns.add(name, registry.place.addresses[0], server=second)
    return PodSpec(f"{name}/shop/web:1.0")


def name_servers_gone(servers: Servers, node: Node) -> PodSpec:
    """A resolv.conf whose only nameserver is an address at which nothing answers."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.block("10.90.0.250")
    node.set_name_servers("10.90.0.250")
    return PodSpec(f"{registry.host}/shop/web:1.0")


def name_server_port_closed(servers: Servers, node: Node) -> PodSpec:
    """A resolv.conf whose only nameserver is a machine on which no nameserver listens."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.set_name_servers(servers.closed.addresses[0])
    return PodSpec(f"{registry.host}/shop/web:1.0")


def name_server_unreachable(servers: Servers, node: Node) -> PodSpec:
    """A resolv.conf whose only nameserver has no route."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.faults.route("192.0.2.53", "unreachable")
    node.set_name_servers("192.0.2.53")
    return PodSpec(f"{registry.host}/shop/web:1.0")


def no_name_server(servers: Servers, node: Node) -> PodSpec:
    """A resolv.conf without a nameserver: the resolver asks the node itself, where nothing listens."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.set_name_servers()
    return PodSpec(f"{registry.host}/shop/web:1.0")


def name_servers_blocked(servers: Servers, node: Node) -> PodSpec:
    """A firewall that swallows what the nameservers answer, over UDP and TCP."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    for server in servers.lab.dns.servers:
        for protocol in ("udp", "tcp"):
            node.faults.drop(server, port=53, protocol=protocol)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def another_server(servers: Servers, node: Node) -> Mapping[str, str]:
    """Hand the administrator a nameserver that works."""
    del node
    return {"WORKING_NAMESERVER": servers.lab.dns.servers[0]}


def server(name: str, make: Make) -> Fault:
    """Return a fault of a node's only nameserver, mended by another one in resolv.conf."""
    return Fault(name, make, "DNSServerFailure", "DNS", home=OWN, mend=another_server)


FAULTS = (
    Fault("name unknown", unknown_name, "DNSNameNotFound", "DNS"),
    Fault("name without an address", empty_name, "DNSNameNotFound", "DNS"),
    Fault("nameserver fails", broken_name_server, "DNSServerFailure", "DNS"),
    Fault("nameserver refuses", refusing_name_server, "DNSServerFailure", "DNS"),
    Fault("nameserver silent", silent_name_server, "DNSServerFailure", "DNS"),
    Fault("nameservers disagree", disagreeing_name_servers, "DNSNameNotFound", "DNS", factors=("NameserversDisagree",)),
    server("nameserver gone", name_servers_gone),
    server("nameserver port closed", name_server_port_closed),
    server("nameserver without a route", name_server_unreachable),
    server("no nameserver listed", no_name_server),
    Fault("nameservers blocked", name_servers_blocked, "DNSServerFailure", "DNS", home=OWN),
)
