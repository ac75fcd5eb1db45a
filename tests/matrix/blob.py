"""Faults of an image's content: config and layers, at the registry or where it redirects to."""

from matrix.fault import Fault, Make, PodSpec, answered, repository_of
from matrix.servers import Servers

from lab.faults import blob_redirect
from lab.node import Node


def unknown_blob_host(servers: Servers, node: Node) -> PodSpec:
    """A layer that is redirected to a host which no nameserver knows."""
    servers.lab.dns.fault("blobs.lab.test", "nxdomain")
    return redirected(servers, node, "blobs.lab.test")


def closed_blob_host(servers: Servers, node: Node) -> PodSpec:
    """A layer that is redirected to a host on which nothing listens."""
    return redirected(servers, node, servers.closed_for("blobs-closed.lab.test").host)


def blocked_blob_host(servers: Servers, node: Node) -> PodSpec:
    """A layer that is redirected to a host which this node's firewall blocks."""
    place = servers.closed_for("blobs-blocked.lab.test")
    node.block(place.addresses[0])
    return redirected(servers, node, place.host)


def untrusted_blob_host(servers: Servers, node: Node) -> PodSpec:
    """A layer that is redirected to a host whose CA this node does not have."""
    return redirected(servers, node, servers.unknown("blobs-untrusted").host)


def redirected(servers: Servers, node: Node, host: str) -> PodSpec:
    """Return the pod of an image whose layers are at another host."""
    return PodSpec(servers.faulty_for(node).set(repository_of(host), blob_redirect(f"https://{host}{{path}}")))


def behind_storage(name: str, mode: str) -> Make:
    """Return how an image is made whose layers are at a host that talks as *mode* says."""

    def make(servers: Servers, node: Node) -> PodSpec:
        target = f"https://{servers.spoken(mode).host}{{path}}"
        return PodSpec(servers.faulty_for(node).set(repository_of(name), blob_redirect(target)))

    return make


GONE, CORRUPT = "BlobUnavailable", "ContentCorrupt"
FAULTS = (
    answered("layer missing", "layer-404", GONE, "Blob"),
    answered("layer refused with 401", "layer-401", GONE, "Blob"),
    answered("layer refused with 403", "layer-403", GONE, "Blob"),
    answered("config missing", "config-404", GONE, "Blob"),
    answered("manifest of the platform missing", "index-child-missing", GONE, "Blob"),
    answered("layer limited", "layer-429", "RateLimited", "Blob"),
    answered("layer's server fails", "layer-500", "RegistryServerError", "Blob"),
    answered("config altered", "config-corrupt", CORRUPT, "Blob"),
    answered("layer altered", "layer-corrupt", CORRUPT, "Blob"),
    answered("layer truncated", "layer-truncated", CORRUPT, "Blob"),
    answered("layer too short", "layer-short", CORRUPT, "Blob"),
    answered("layer of another size", "layer-wrong-size", CORRUPT, "Blob"),
    answered("layer cut", "layer-reset", "ConnectionReset", "Blob"),
    Fault("blob host unknown", unknown_blob_host, "DNSNameNotFound", "DNS", via="BlobHost"),
    Fault("blob host refuses", closed_blob_host, "ConnectionRefused", "Connect", via="BlobHost"),
    Fault("blob host blocked", blocked_blob_host, "ConnectionTimedOut", "Connect", via="BlobHost"),
    Fault("blob host untrusted", untrusted_blob_host, "CertificateUntrusted", "TLS", via="BlobHost"),
    Fault("blob host resets", behind_storage("resets", "tls-reset"), "ConnectionReset", "TLS", via="BlobHost"),
    Fault("blob host without TLS", behind_storage("bare", "http"), "PlainHTTPRegistry", "TLS", via="BlobHost"),
)
