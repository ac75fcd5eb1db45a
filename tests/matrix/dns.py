"""Faults of name resolution."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def unknown_name(servers: Servers, node: Node) -> PodSpec:
    """A registry name that does not exist."""
    del node
    servers.lab.dns.fault("nowhere.lab.test", "nxdomain")
    return PodSpec("nowhere.lab.test/shop/web:1.0")


def broken_name_server(servers: Servers, node: Node) -> PodSpec:
    """A zone that every nameserver fails to serve."""
    del node
    servers.lab.dns.fault("servfail.lab.test", "servfail")
    return PodSpec("servfail.lab.test/shop/web:1.0")


FAULTS = (
    Fault("name unknown", unknown_name, "DNSNameNotFound", "DNS"),
    Fault("nameserver fails", broken_name_server, "DNSServerFailure", "DNS"),
)
