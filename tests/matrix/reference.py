"""Faults that the kubelet finds before it asks the runtime."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def invalid_reference(servers: Servers, node: Node) -> PodSpec:
    """An upper-case letter in the repository."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/Web:1.0")


def never_pulled(servers: Servers, node: Node) -> PodSpec:
    """Policy Never, and the image is not on the node."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:1.0", "Never")


FAULTS = (
    Fault("reference invalid", invalid_reference, "InvalidImageReference", "Reference"),
    Fault("policy Never", never_pulled, "ImageNeverPull", "Kubelet"),
)
