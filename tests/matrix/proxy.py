"""Faults of the proxy that the runtime takes from its own environment."""

from collections.abc import Mapping

from matrix.fault import OWN, Fault, Fill, Make, PodSpec
from matrix.servers import Servers

from lab.node import Node


def through(proxy_url: str) -> Make:
    """Return how a node is made whose runtime has this proxy; the registry itself is good."""

    def make(servers: Servers, node: Node) -> PodSpec:
        node.trust(servers.walled.place, servers.lab.authority.pem)
        node.containerd.set_proxy(HTTPS_PROXY=proxy_url)
        return PodSpec(f"{servers.walled.host}/shop/web:1.0")

    return make


def answering(mode: str, *, user: str = "") -> Make:
    """Return how a node is made whose proxy answers CONNECT as *mode* says (lab.faultproxy.MODES)."""

    def make(servers: Servers, node: Node) -> PodSpec:
        return through(f"http://{user}{servers.proxy(mode).host}")(servers, node)

    return make


def unknown_proxy(servers: Servers, node: Node) -> PodSpec:
    """A proxy whose name does not exist."""
    servers.lab.dns.fault("proxy-gone.lab.test", "nxdomain")
    return through("http://proxy-gone.lab.test:3128")(servers, node)


def closed_proxy(servers: Servers, node: Node) -> PodSpec:
    """A proxy on whose port nothing listens."""
    return through(f"http://{servers.closed.host}:3128")(servers, node)


def blocked_proxy(servers: Servers, node: Node) -> PodSpec:
    """A proxy that a firewall keeps from this node."""
    place = servers.closed_for("proxy-blocked.lab.test")
    node.block(place.addresses[0])
    return through(f"http://{place.host}:3128")(servers, node)


def dead_end(servers: Servers, node: Node) -> PodSpec:
    """A registry on the nodes' own network that the proxy cannot reach, and that NO_PROXY does not name."""
    node.containerd.set_proxy(HTTPS_PROXY=f"http://{servers.proxy('proxy').host}", NO_PROXY="10.0.0.0/8")
    return PodSpec(f"{servers.closed_for('inner.lab.test').authority}/shop/web:1.0")


def refusing_proxy_for_http(servers: Servers, node: Node) -> PodSpec:
    """A registry without TLS, and a proxy for plain HTTP that wants a password."""
    registry = servers.plain_for(node)
    node.containerd.set_proxy(HTTP_PROXY=f"http://{servers.proxy('proxy-407').host}")
    return PodSpec(f"{registry.host}/shop/web:1.0")


def working(servers: Servers, node: Node) -> Mapping[str, str]:
    """Hand the administrator a proxy that works."""
    del node
    return {"PROXY_URL": f"http://{servers.proxy('proxy').host}", "NO_PROXY_LIST": "10.0.0.0/8,.svc,.cluster.local"}


def past_the_proxy(host: str) -> Fill:
    """Return how the administrator excepts *host* from a proxy that is right as it is."""

    def fill(servers: Servers, node: Node) -> Mapping[str, str]:
        return {**working(servers, node), "NO_PROXY_LIST": f"10.0.0.0/8,{host}"}

    return fill


def proxied(name: str, make: Make, mend: Fill = working) -> Fault:
    """Return a fault of the proxy, which strikes every pull of its node."""
    return Fault(name, make, "ProxyFailed", "Proxy", via="Proxy", home=OWN, mend=mend)


FAULTS = (
    proxied("proxy wants a password", answering("proxy-407")),
    proxied("proxy rejects the password", answering("proxy-407", user="robot:wrong@")),
    proxied("proxy forbids", answering("proxy-403")),
    proxied("proxy overloaded", answering("proxy-503")),
    proxied("proxy's name unknown", unknown_proxy),
    proxied("proxy refuses connections", closed_proxy),
    proxied("proxy blocked", blocked_proxy),
    proxied("proxy wants a password for HTTP", refusing_proxy_for_http, past_the_proxy("reg.lab.test")),
    proxied("proxy setting is no URL", through("http://proxy.lab.test:31x8")),
    Fault("proxy cannot reach the registry", dead_end, "ProxyFailed", "Proxy", via="Proxy", home=OWN),
)
