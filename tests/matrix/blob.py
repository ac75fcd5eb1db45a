"""Faults of an image's content: config and layers, at the registry or where it redirects to."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.faults import blob_redirect
from lab.node import Node


def missing_layer(servers: Servers, node: Node) -> PodSpec:
    """A manifest whose layer is gone."""
    return PodSpec(servers.faulty_for(node).set("gutted", "layer-404"))


def altered_config(servers: Servers, node: Node) -> PodSpec:
    """A config blob whose bytes are not its digest's."""
    return PodSpec(servers.faulty_for(node).set("altered", "config-corrupt"))


def unknown_blob_host(servers: Servers, node: Node) -> PodSpec:
    """A layer that is redirected to a host which no nameserver knows."""
    servers.lab.dns.fault("blobs.lab.test", "nxdomain")
    redirect = blob_redirect("https://blobs.lab.test{path}")
    return PodSpec(servers.faulty_for(node).set("redirected", redirect))


FAULTS = (
    Fault("layer missing", missing_layer, "BlobUnavailable", "Blob"),
    Fault("config altered", altered_config, "ContentCorrupt", "Blob"),
    Fault("blob host unknown", unknown_blob_host, "DNSNameNotFound", "DNS", via="BlobHost"),
)
