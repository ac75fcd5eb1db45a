"""Faults on the wire between node and registry."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab import images
from lab.node import Node


def refused_connection(servers: Servers, node: Node) -> PodSpec:
    """A host on which nothing listens."""
    del node
    return PodSpec(f"{servers.closed.authority}/shop/web:1.0")


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


def registry_away(servers: Servers, node: Node) -> PodSpec:
    """Policy Always, the image is on the node, and nothing listens at its registry."""
    image = f"{servers.closed_for('away.lab.test').authority}/shop/web:1.0"
    node.containerd.load(images.build("on the node already"), image)
    return PodSpec(image, "Always")


FAULTS = (
    Fault("connection refused", refused_connection, "ConnectionRefused", "Connect"),
    Fault("connection blocked", blocked_connection, "ConnectionTimedOut", "Connect"),
    Fault("network unreachable", unreachable_network, "NetworkUnreachable", "Connect"),
    Fault("registry away", registry_away, "ConnectionRefused", "Connect", factors=("PolicyAlwaysImagePresent",)),
)
