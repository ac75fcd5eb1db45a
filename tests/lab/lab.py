"""The lab as a whole: one wire with name servers and registries on it, and the nodes."""

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from lab import cgroups, network, packages
from lab.certificates import Authority, Pair
from lab.containerd import Settings as ContainerdSettings
from lab.dns import NameServers
from lab.errors import LabError
from lab.faultregistry import FaultRegistry, FaultServer
from lab.kubelet.sync import Settings as KubeletSettings
from lab.namespace import CGROUP_PREFIX, Namespace
from lab.node import Node
from lab.registry import Place, Registry, Request, Variant
from lab.services import install_systemctl

NAME_SERVERS = (2, 3)
FIRST_SERVER = 10
"""Numbers of addresses on the wire: 10.90.0.N and fd90::N. From FIRST_SERVER on they are handed out in turn."""


class Lab:
    """A context: entering it starts the servers' namespace; leaving it ends all, nodes too."""

    def __init__(self, components: packages.Components | None = None) -> None:
        self.components = components or packages.ensure()
        self.authority = Authority("lab", dt.datetime.now(dt.UTC))
        """The lab's own certificate authority. No node trusts it until told."""
        self._numbers = itertools.count(FIRST_SERVER)
        self._node_numbers = itertools.count(1)
        self._closing = contextlib.ExitStack()
        self._servers: Namespace | None = None
        self._dns: NameServers | None = None
        self._faults: FaultServer | None = None
        self.nodes: dict[str, Node] = {}
        self._registries: list[Registry] = []

    def __enter__(self) -> Self:
        cgroups.sweep(CGROUP_PREFIX)
        with contextlib.ExitStack() as starting:
            servers = Namespace.start("servers", shared=[self.components.cache])
            starting.callback(servers.close)
            install_systemctl(servers)
            network.make_bridge(servers)
            places = [network.server_addresses(number) for number in NAME_SERVERS]
            for addresses in places:
                network.add_address(servers, addresses)
            self._dns = NameServers(servers, tuple(addresses.v4 for addresses in places))
            self._dns.start()
            servers.write("/etc/resolv.conf", self._dns.resolv_conf())
            self._servers = servers
            self._closing = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def servers(self) -> Namespace:
        """The namespace in which the servers run; raises LabError before the lab is entered."""
        if self._servers is None:
            raise LabError("the lab is not running: use it with the with statement")
        return self._servers

    @property
    def dns(self) -> NameServers:
        """The lab's name servers; raises LabError before the lab is entered."""
        if self._dns is None:
            raise LabError("the lab is not running: use it with the with statement")
        return self._dns

    def place(self, host: str, port: int) -> Place:
        """Give a new server an address of its own on the wire and a name that leads to it."""
        addresses = network.server_addresses(next(self._numbers))
        network.add_address(self.servers, addresses)
        self.dns.add(host, addresses.v4)
        return Place(host, (addresses.v4, addresses.v6), port)

    def registry(
        self,
        variant: Variant = "plain",
        host: str = "reg.lab.test",
        *,
        port: int | None = None,
        flaw: str | None = None,
    ) -> Registry:
        """Start a real registry: plain on port 5000, the others with TLS on 443 and, if wanted, a flawed certificate."""
        place = self.place(host, port or (5000 if variant == "plain" else 443))
        pair = None if variant == "plain" else self.authority.issue(host, flaw=flaw)
        token_pair = self.authority.client("token server") if variant == "token" else None
        registry = Registry(
            self.servers,
            self.components.registry,
            place,
            variant=variant,
            authority=self.authority,
            pair=pair,
            token_pair=token_pair,
        )
        registry.start()
        self._registries.append(registry)
        return registry

    def fault_registry(
        self,
        host: str = "faults.lab.test",
        *,
        tls: bool = True,
        mode: str | None = None,
        port: int | None = None,
        flaw: str | None = None,
        pair: Pair | None = None,
    ) -> FaultRegistry:
        """Start a host of the fault registry: HTTPS on 443, HTTP on 5000, or a *mode* of its own (faultregistry.MODES).

        It shows *pair*, or else a certificate of the lab's authority.
        """
        how = mode or ("https" if tls else "http")
        place = self.place(host, port or (5000 if how == "http" else 443))
        if self._faults is None:
            self._faults = FaultServer(self.servers)
        self._faults.listen(place, how, pair or self.authority.issue(host, flaw=flaw), self.authority.pem)
        return FaultRegistry(self._faults, place, how)

    def requests(self, host: str) -> list[Request]:
        """Return what the registry *host* received so far, and what other hosts were asked on its behalf (tokens, content)."""
        own = [one for registry in self._registries if registry.host == host for one in registry.requests()]
        asked = self._faults.requests() if self._faults is not None else []
        faulty = [one for one in asked if host in {one.host, f"{one.host}:5000"} or not one.path.startswith("/v2/")]
        return own + [Request(one.client, one.method, one.path, 0, one.headers.get("user-agent", "")) for one in faulty]

    def node(
        self,
        name: str,
        *,
        containerd: str | None = None,
        settings: ContainerdSettings | None = None,
        kubelet: KubeletSettings | None = None,
        preload_sandbox: bool = True,
    ) -> Node:
        """Start a node with a generation of containerd, by default the newest there is; raises LabError.

        Without *preload_sandbox* the sandbox image must be pulled, as on a fresh node.
        """
        if name in self.nodes:
            raise LabError(f"there is a node {name} already")
        node = Node(
            name,
            self.components,
            self.servers,
            next(self._node_numbers),
            generation=self.components.generation(containerd),
            resolv_conf=self.dns.resolv_conf(),
            containerd_settings=settings or ContainerdSettings(),
            kubelet_settings=kubelet or KubeletSettings(),
            preload_sandbox=preload_sandbox,
        )
        self._closing.callback(node.close)
        self.nodes[name] = node
        return node


@contextlib.contextmanager
def running(components: packages.Components | None = None) -> Iterator[Lab]:
    """Run a lab: for fixtures, which want a generator."""
    with Lab(components) as lab:
        yield lab


def versions(components: packages.Components) -> Mapping[str, str]:
    """Return the version of each component, by its name."""
    found = {f"containerd {name}": packages.version(binary) for name, binary in components.containerd.items()}
    return found | {"runc": packages.version(components.runc), "docker-registry": packages.version(components.registry)}


def generations(components: packages.Components) -> Sequence[str]:
    """Return the generations of containerd that there are, oldest first."""
    return sorted(components.containerd, key=lambda name: [int(part) for part in name.split(".")])
