"""Faults of the image itself: what its tag, digest or platform names is not there, or is no image."""

from matrix.fault import Fault, PodSpec, answered
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


UNSUPPORTED = "ManifestUnsupported"
FAULTS = (
    Fault("tag missing", missing_tag, "TagNotFound", "Manifest"),
    Fault("latest assumed", assumed_latest, "TagNotFound", "Manifest", factors=("DefaultedLatestTag",)),
    Fault("digest missing", missing_digest, "DigestNotFound", "Manifest"),
    Fault("repository missing", missing_repository, "RepositoryNotFound", "Manifest"),
    answered("tag unknown to the registry", "manifest-404", "TagNotFound", "Manifest"),
    answered("name unknown to the registry", "manifest-404-name", "RepositoryNotFound", "Manifest"),
    Fault("platform missing", wrong_platform, "PlatformNotAvailable", "Platform"),
    answered("platform missing in an index", "platform-index", "PlatformNotAvailable", "Platform"),
    answered("Windows only", "platform-windows", "PlatformNotAvailable", "Platform"),
    answered("schema 1", "manifest-schema1", UNSUPPORTED, "Manifest"),
    answered("manifest of an unknown type", "manifest-unknown-type", UNSUPPORTED, "Manifest"),
    answered("manifest that is no JSON", "manifest-no-json", UNSUPPORTED, "Manifest"),
    answered("layer encrypted", "layer-encrypted", UNSUPPORTED, "Manifest"),
    answered("manifest altered", "manifest-corrupt", "ContentCorrupt", "Blob"),
)
