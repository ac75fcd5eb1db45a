"""The servers that the faults need, each started when it is first asked for."""

from functools import cached_property

from lab.faultregistry import FaultRegistry
from lab.lab import Lab
from lab.node import Node
from lab.registry import Place, Registry


class Servers:
    """Registries and empty places on the lab's wire."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._places: dict[str, Place] = {}

    @cached_property
    def plain(self) -> Registry:
        """A plain HTTP registry with a few images."""
        registry = self.lab.registry("plain", "reg.lab.test")
        for repository in ("shop/web", "shop/api", "shop/cart"):
            registry.push(repository, "1.0", "1.1", "stable")
        registry.push("shop/arm-only", "1.0", platforms=("linux/arm64+",))
        return registry

    def plain_for(self, node: Node) -> Registry:
        """Return the plain registry, which *node* is told to speak HTTP with."""
        node.allow_http(self.plain.place)
        return self.plain

    @cached_property
    def untold(self) -> Registry:
        """A plain HTTP registry that no node is told about."""
        return self._with_web(self.lab.registry("plain", "untold.lab.test"))

    @cached_property
    def private(self) -> Registry:
        """A registry behind a password, with a CA of its own."""
        registry = self.lab.registry("htpasswd", "private.lab.test")
        registry.push("shop/secret", "1.0", "1.1")
        return registry

    @cached_property
    def untrusted(self) -> Registry:
        """A registry whose CA nobody has."""
        return self._with_web(self.lab.registry("tls", "untrusted.lab.test"))

    @cached_property
    def walled(self) -> Registry:
        """A healthy TLS registry, to be blocked on single nodes."""
        return self._with_web(self.lab.registry("tls", "walled.lab.test"))

    @cached_property
    def flawed(self) -> dict[str, Registry]:
        """Registries with a flawed certificate, by flaw."""
        return {
            flaw: self._with_web(self.lab.registry("tls", f"{flaw}.lab.test", flaw=flaw))
            for flaw in ("expired", "wrong-name")
        }

    @cached_property
    def faulty(self) -> FaultRegistry:
        """A registry that does what a good one never does, with a certificate of the lab's CA."""
        return self.lab.fault_registry("faults.lab.test")

    def faulty_for(self, node: Node) -> FaultRegistry:
        """Return the faulty registry, whose CA *node* is given."""
        node.trust(self.faulty.place, self.lab.authority.pem)
        return self.faulty

    @cached_property
    def closed(self) -> Place:
        """A host on which nothing listens."""
        return self.lab.place("closed.lab.test", 443)

    @cached_property
    def unrouted(self) -> Place:
        """A host to which nodes may lose their route."""
        return self.lab.place("unrouted.lab.test", 443)

    def closed_for(self, host: str) -> Place:
        """Return a host of that name on which nothing listens."""
        if host not in self._places:
            self._places[host] = self.lab.place(host, 443)
        return self._places[host]

    def asked(self, node: Node, image: str) -> int:
        """Return how many requests walks of *node* made so far for the repository of *image*, at its registry and blob hosts."""
        host, _, path = image.partition("@")[0].partition("/")
        head, slash, last = path.rpartition("/")
        repository = f"/{head}{slash}{last.partition(':')[0]}/"
        own = {node.addresses.v4, node.addresses.v6}
        return sum(
            one.client in own and repository in one.path and one.user_agent.startswith("pullwhy")
            for one in self.lab.requests(host)
        )

    @staticmethod
    def _with_web(registry: Registry) -> Registry:
        registry.push("shop/web", "1.0")
        return registry
