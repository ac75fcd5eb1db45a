"""Faults of certificates and of the handshake."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def untrusted_certificate(servers: Servers, node: Node) -> PodSpec:
    """A registry whose own CA this node does not have."""
    del node
    return PodSpec(f"{servers.untrusted.host}/shop/web:1.0")


def expired_certificate(servers: Servers, node: Node) -> PodSpec:
    """A certificate that ended, from a CA that the node trusts."""
    registry = servers.flawed["expired"]
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def wrong_name_certificate(servers: Servers, node: Node) -> PodSpec:
    """A certificate for another name."""
    registry = servers.flawed["wrong-name"]
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def plain_http(servers: Servers, node: Node) -> PodSpec:
    """A registry without TLS that the node was not told about."""
    del node
    return PodSpec(f"{servers.untold.host}/shop/web:1.0")


FAULTS = (
    Fault("CA missing", untrusted_certificate, "CertificateUntrusted", "TLS"),
    Fault("certificate expired", expired_certificate, "CertificateExpired", "TLS"),
    Fault("certificate for another name", wrong_name_certificate, "CertificateNameMismatch", "TLS"),
    Fault("plain HTTP", plain_http, "PlainHTTPRegistry", "TLS"),
)
