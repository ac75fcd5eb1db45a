"""Faults of the registry's answers about a manifest."""

from dataclasses import replace

from matrix.fault import FAST, Fault, Home, PodSpec, answered, repository_of
from matrix.servers import Servers

from lab.errors import wait_for
from lab.faults import Repository, Rule, error_body, own_token
from lab.node import Node

THROTTLED = Home("throttled", kubelet=replace(FAST, qps=0.001, burst=1))


def rate_limited(servers: Servers, node: Node) -> PodSpec:
    """A registry that answers 429 and says for how long: the node then asks it nothing more, so it is one of its own."""
    registry, repository = servers.listed("limiting"), repository_of("rate limit")
    node.trust(registry.place, servers.lab.authority.pem)
    return PodSpec(registry.set(repository, "manifest-429-retry-after"))


def tokens_limited(servers: Servers, node: Node) -> PodSpec:
    """A registry whose own token service answers 429."""
    registry = servers.faulty_for(node)
    limit = own_token(registry.host, status=429, body=error_body("TOOMANYREQUESTS", "too many requests"))
    return PodSpec(registry.set(repository_of("tokens limited"), limit))


def beyond_the_kubelets_limit(servers: Servers, node: Node) -> PodSpec:
    """A kubelet that may pull once in a thousand seconds, and has."""
    registry = servers.plain_for(node)
    first = f"{registry.host}/shop/web:1.0"
    node.kubelet.add_pod("first", first)
    wait_for("the first pull", lambda: first in node.containerd.images(), seconds=30, every=0.2)
    return PodSpec(f"{registry.host}/shop/cart:1.0")


def once_overloaded() -> Repository:
    """Return a repository whose registry answers 503 to the first question only."""
    return Repository(rules=(Rule("manifest", status=503, body=error_body("UNAVAILABLE", ""), times=1),))


ERROR, LIMITED, PORTAL = "RegistryServerError", "RateLimited", "NotARegistry"
FAULTS = (
    Fault("rate limit", rate_limited, LIMITED, "Manifest"),
    Fault("rate limit of the token service", tokens_limited, LIMITED, "Auth", "TokenHost"),
    answered("rate limit without headers", "manifest-429", LIMITED, "Manifest"),
    answered("rate limit of the hub", "manifest-429-hub", LIMITED, "Manifest"),
    Fault("kubelet's own limit", beyond_the_kubelets_limit, "KubeletPullRateLimited", "Kubelet", home=THROTTLED),
    answered("registry overloaded", "manifest-503", ERROR, "Manifest"),
    answered("registry's own error", "manifest-500", ERROR, "Manifest"),
    answered("bad gateway", "manifest-502", ERROR, "Manifest"),
    answered("bad gateway with a page", "manifest-502-html", ERROR, "Manifest"),
    answered("gateway timeout", "manifest-504", ERROR, "Manifest"),
    answered("bad request", "manifest-400", ERROR, "Manifest"),
    answered("method not allowed", "manifest-405", ERROR, "Manifest"),
    answered("not acceptable", "manifest-406", ERROR, "Manifest"),
    answered("redirects in a circle", "manifest-redirect-loop", ERROR, "Manifest"),
    answered("login page", "manifest-login-page", PORTAL, "Manifest"),
    answered("page for 404", "manifest-404-html", PORTAL, "Manifest"),
    answered("page for 403", "manifest-403-html", PORTAL, "Auth"),
)
