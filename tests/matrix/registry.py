"""Faults of the registry's answers about a manifest."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def rate_limited(servers: Servers, node: Node) -> PodSpec:
    """A registry that answers 429 and says for how long."""
    return PodSpec(servers.faulty_for(node).set("limited", "manifest-429-retry-after"))


def overloaded(servers: Servers, node: Node) -> PodSpec:
    """A registry that answers 503."""
    return PodSpec(servers.faulty_for(node).set("overloaded", "manifest-503"))


def login_page(servers: Servers, node: Node) -> PodSpec:
    """A portal that answers with a page for people."""
    return PodSpec(servers.faulty_for(node).set("portal", "manifest-login-page"))


FAULTS = (
    Fault("rate limit", rate_limited, "RateLimited", "Manifest"),
    Fault("registry overloaded", overloaded, "RegistryServerError", "Manifest"),
    Fault("login page", login_page, "NotARegistry", "Manifest"),
)
