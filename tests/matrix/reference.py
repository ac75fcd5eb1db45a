"""Faults that the kubelet finds before it asks the runtime."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def invalid_reference(servers: Servers, node: Node) -> PodSpec:
    """An upper-case letter in the repository."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/Web:1.0")


def scheme_in_reference(servers: Servers, node: Node) -> PodSpec:
    """A URL in place of a reference."""
    return PodSpec(f"https://{servers.plain_for(node).host}/shop/web:1.0")


def space_in_tag(servers: Servers, node: Node) -> PodSpec:
    """A space that a template left at the end of the tag."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:1.0 ")


def unfilled_template(servers: Servers, node: Node) -> PodSpec:
    """A variable that no pipeline filled in."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:${{TAG}}")


def short_digest(servers: Servers, node: Node) -> PodSpec:
    """A digest that was cut when it was copied."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web@sha256:4f53cda18c2baa0c")


def empty_tag(servers: Servers, node: Node) -> PodSpec:
    """A colon and no tag after it."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:")


def never_pulled(servers: Servers, node: Node) -> PodSpec:
    """Policy Never, and the image is not on the node."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:1.0", "Never")


FAULTS = (
    Fault("reference invalid", invalid_reference, "InvalidImageReference", "Reference"),
    Fault("scheme in the reference", scheme_in_reference, "InvalidImageReference", "Reference"),
    Fault("space after the tag", space_in_tag, "InvalidImageReference", "Reference"),
    Fault("template not filled in", unfilled_template, "InvalidImageReference", "Reference"),
    Fault("digest cut short", short_digest, "InvalidImageReference", "Reference"),
    Fault("tag empty", empty_tag, "InvalidImageReference", "Reference"),
    Fault("policy Never", never_pulled, "ImageNeverPull", "Kubelet"),
)
