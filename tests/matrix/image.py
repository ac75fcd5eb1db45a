"""Faults of the image itself: what its tag, digest or platform names is not there, or is no image."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def missing_tag(servers: Servers, node: Node) -> PodSpec:
    """A typo in the tag."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:lattest")


def assumed_latest(servers: Servers, node: Node) -> PodSpec:
    """No tag given, and the repository has no `latest`."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/api", "Always")


def missing_digest(servers: Servers, node: Node) -> PodSpec:
    """A digest that was never pushed."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/cart@sha256:{'0' * 64}")


def missing_repository(servers: Servers, node: Node) -> PodSpec:
    """A repository that was never pushed."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/wbe:1.0")


def wrong_platform(servers: Servers, node: Node) -> PodSpec:
    """An index without the node's platform."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/arm-only:1.0")


def old_schema(servers: Servers, node: Node) -> PodSpec:
    """A manifest of schema 1."""
    return PodSpec(servers.faulty_for(node).set("ancient", "manifest-schema1"))


FAULTS = (
    Fault("tag missing", missing_tag, "TagNotFound", "Manifest"),
    Fault("latest assumed", assumed_latest, "TagNotFound", "Manifest", factors=("DefaultedLatestTag",)),
    Fault("digest missing", missing_digest, "DigestNotFound", "Manifest"),
    Fault("repository missing", missing_repository, "RepositoryNotFound", "Manifest"),
    Fault("platform missing", wrong_platform, "PlatformNotAvailable", "Platform"),
    Fault("schema 1", old_schema, "ManifestUnsupported", "Manifest"),
)
