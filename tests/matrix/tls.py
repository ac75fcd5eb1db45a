"""Faults of certificates and of the handshake."""

from collections.abc import Mapping

from matrix.fault import OWN, Fault, Make, PodSpec, nothing
from matrix.servers import Servers

from lab.node import Node

CA_FILE = "/root/authority.pem"


def untrusted_certificate(servers: Servers, node: Node) -> PodSpec:
    """A registry whose own CA this node does not have."""
    del node
    return PodSpec(f"{servers.untrusted.host}/shop/web:1.0")


def flawed_certificate(flaw: str) -> Make:
    """Return how a registry with a flawed certificate is made; the node trusts the CA."""

    def make(servers: Servers, node: Node) -> PodSpec:
        registry = servers.flawed(flaw)
        node.trust(registry.place, registry.authority.pem)
        return PodSpec(f"{registry.host}/shop/web:1.0")

    return make


def other_authority(servers: Servers, node: Node) -> PodSpec:
    """The node was given a CA for this registry, and the registry's certificate is of another."""
    registry = servers.flawed("unknown-ca")
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def plain_http(servers: Servers, node: Node) -> PodSpec:
    """A registry without TLS that the node was not told about."""
    del node
    return PodSpec(f"{servers.untold.host}/shop/web:1.0")


def plain_http_on_443(servers: Servers, node: Node) -> PodSpec:
    """A server without TLS on the port of HTTPS."""
    del node
    return PodSpec(f"{servers.spoken('http').host}/shop/web:1.0")


def spoken(mode: str) -> Make:
    """Return how a host is made that handles TLS as *mode* says (lab.faultregistry.MODES); the node trusts the lab's CA."""

    def make(servers: Servers, node: Node) -> PodSpec:
        host = servers.spoken(mode)
        node.trust(host.place, servers.lab.authority.pem)
        return PodSpec(f"{host.host}/shop/web:1.0")

    return make


def told_http(servers: Servers, node: Node) -> PodSpec:
    """A registry with TLS of which the node's hosts.toml says that it speaks HTTP; the system trusts its CA."""
    registry = servers.secured
    trust_system(node, registry.authority.pem)
    node.hosts_toml(registry.place, f'server = "http://{registry.host}"\n\n[host."http://{registry.host}"]\n')
    return PodSpec(f"{registry.host}/shop/web:1.0")


def trust_system(node: Node, pem: bytes) -> None:
    """Put a CA into the system's trust store, which containerd loads when it starts."""
    node.write("/usr/local/share/ca-certificates/lab.crt", pem)
    node.run(["update-ca-certificates"])
    node.containerd.restart()


def authority(servers: Servers, node: Node) -> Mapping[str, str]:
    """Hand the node's administrator the CA's certificate."""
    node.write(CA_FILE, servers.lab.authority.pem)
    return {"CA.pem": CA_FILE}


def client_pair(servers: Servers, node: Node) -> Mapping[str, str]:
    """Hand the node's administrator a client certificate that the server accepts."""
    node.write("/root/client.pem", servers.client.chain)
    node.write("/root/client-key.pem", servers.client.key, 0o600)
    return {"CLIENT.pem": "/root/client.pem", "CLIENT-KEY.pem": "/root/client-key.pem"}


FAULTS = (
    Fault("CA missing", untrusted_certificate, "CertificateUntrusted", "TLS", mend=authority),
    Fault("certificate of another CA", other_authority, "CertificateUntrusted", "TLS"),
    Fault("certificate self-signed", flawed_certificate("self-signed"), "CertificateUntrusted", "TLS"),
    Fault("intermediate not sent", flawed_certificate("missing-intermediate"), "CertificateChainIncomplete", "TLS"),
    Fault("certificate expired", flawed_certificate("expired"), "CertificateExpired", "TLS"),
    Fault("certificate not yet valid", flawed_certificate("not-yet-valid"), "CertificateNotYetValid", "TLS"),
    Fault("certificate for another name", flawed_certificate("wrong-name"), "CertificateNameMismatch", "TLS"),
    Fault("plain HTTP", plain_http, "PlainHTTPRegistry", "TLS", mend=nothing),
    Fault("plain HTTP on port 443", plain_http_on_443, "PlainHTTPRegistry", "TLS", mend=nothing),
    Fault("HTTP spoken to HTTPS", told_http, "PlainHTTPRegistry", "TLS", home=OWN, mend=nothing),
    Fault("client certificate missing", spoken("mtls"), "ClientCertificateRequired", "TLS", mend=client_pair),
    Fault("TLS 1.1 only", spoken("tls-old"), "TLSHandshakeFailed", "TLS"),
    Fault("answer that is no TLS", spoken("tls-garbage"), "TLSHandshakeFailed", "TLS"),
    Fault("connection reset at the hello", spoken("tls-reset"), "ConnectionReset", "TLS"),
    Fault("connection closed at the hello", spoken("tls-close"), "ConnectionReset", "TLS"),
    Fault("hello never answered", spoken("tls-hang"), "TLSHandshakeTimedOut", "TLS"),
)
