"""The servers that the faults need, each started when it is first asked for."""

import zlib
from functools import cached_property

from lab import images
from lab.certificates import Pair
from lab.faultregistry import FaultRegistry
from lab.lab import Lab
from lab.node import Node
from lab.registry import Place, Registry


class Servers:
    """Registries and empty places on the lab's wire."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._places: dict[str, Place] = {}
        self._flawed: dict[str, Registry] = {}
        self._spoken: dict[str, FaultRegistry] = {}

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
        return self._stocked(registry)

    @cached_property
    def tokened(self) -> Registry:
        """A registry behind a token service, which lets everybody have shop/open."""
        registry = self._stocked(self.lab.registry("token", "tokened.lab.test"))
        registry.push("shop/open", "1.0")
        registry.set_token_server(open_repositories=["shop/open"])
        return registry

    @staticmethod
    def _stocked(registry: Registry) -> Registry:
        registry.push("shop/secret", *(f"1.{number}" for number in range(9)))
        registry.push("shop/arm-only", "1.0", platforms=("linux/arm64+",))
        gutted = images.build("gutted")
        registry.store("shop/gutted", gutted, "1.0")
        registry.blob_file(gutted.blobs[-1].digest).unlink()
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
    def fenced(self) -> Registry:
        """A healthy TLS registry in whose place a node's firewall answers."""
        return self._with_web(self.lab.registry("tls", "fenced.lab.test"))

    @cached_property
    def secured(self) -> Registry:
        """A healthy TLS registry on a port of its own, so that hosts must name it."""
        return self._with_web(self.lab.registry("tls", "secured.lab.test", port=5000))

    @cached_property
    def pausing(self) -> Registry:
        """A good registry with a certificate of the lab's CA, which holds a sandbox image that runs."""
        registry = self.lab.registry("tls", "pause-ca.lab.test")
        registry.store("pause", images.single({"pause": self.lab.components.pause.read_bytes()}), "3.9")
        return registry

    @cached_property
    def client(self) -> Pair:
        """A client certificate of the lab's CA."""
        return self.lab.authority.client("node")

    def flawed(self, flaw: str) -> Registry:
        """Return a registry with a certificate that is flawed so (lab.certificates.FLAWS)."""
        if flaw not in self._flawed:
            self._flawed[flaw] = self._with_web(self.lab.registry("tls", f"{flaw}.lab.test", flaw=flaw))
        return self._flawed[flaw]

    def listed(self, name: str, port: int = 443) -> FaultRegistry:
        """Return a good registry of its own with a certificate of the lab's CA, for one fault of the node's configuration."""
        return self._good(name, "https", port)

    def told(self, name: str) -> FaultRegistry:
        """Return a good registry of its own without TLS, for one fault of the node's configuration."""
        return self._good(name, "http", 5000)

    def shown(self, host: str, pair: Pair) -> FaultRegistry:
        """Return a good registry of its own that shows this certificate."""
        if host not in self._spoken:
            self._spoken[host] = self.lab.fault_registry(host, pair=pair)
        return self._spoken[host]

    def unknown(self, name: str) -> FaultRegistry:
        """Return a registry of its own with a certificate of a CA that no node has."""
        if name not in self._spoken:
            self._spoken[name] = self.lab.fault_registry(f"{name}.lab.test", flaw="unknown-ca")
        return self._spoken[name]

    def _good(self, name: str, mode: str, port: int) -> FaultRegistry:
        if name not in self._spoken:
            self._spoken[name] = self.lab.fault_registry(f"{name}.lab.test", mode=mode, port=port)
        return self._spoken[name]

    def proxy(self, mode: str) -> FaultRegistry:
        """Return a proxy that answers as *mode* says (lab.faultproxy.MODES)."""
        if mode not in self._spoken:
            self._spoken[mode] = self.lab.fault_registry(
                f"p{zlib.crc32(mode.encode()):08x}.lab.test", mode=mode, port=3128
            )
        return self._spoken[mode]

    def spoken(self, mode: str) -> FaultRegistry:
        """Return a host on port 443 that talks as *mode* says (lab.faultregistry.MODES)."""
        if mode not in self._spoken:
            host = f"h{zlib.crc32(mode.encode()):08x}.lab.test"
            self._spoken[mode] = self.lab.fault_registry(host, mode=mode, port=443)
        return self._spoken[mode]

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
