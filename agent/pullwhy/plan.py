"""What a walk is told: the runtime's effective configuration for one image, complete, so that the child reads no file."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.secret import Secret


@frozen
class ClientPair:
    """A client certificate and its key, PEM."""

    certificate: str
    key: Secret


@frozen
class Endpoint:
    """One host that the runtime would try, in order."""

    scheme: str
    host: str
    """Name or address, without brackets and port."""
    port: int
    path: str = "/v2"
    """Prefix of every request, without a slash at its end."""
    repository: str = ""
    """As this host names it; empty for the image's own. Set for runtimes that rewrite names and send no `?ns=` (CRI-O, dockerd)."""
    resolve: bool = True
    """May turn a tag into a digest."""
    pull: bool = True
    is_mirror: bool = False
    """Not the namespace's own default host: requests carry `?ns=` (containerd: remotes/docker/registry.go)."""
    ca: tuple[str, ...] = ()
    """Extra trust, PEM, beside the system's."""
    client: tuple[ClientPair, ...] = ()
    skip_verify: bool = False
    http_fallback: bool = False
    """HTTPS first, plain HTTP where the answer to the hello is HTTP (loopback defaults; `http://` with TLS settings).

    Then on port 80 where no port is written out.
    """
    http_port: int = 0
    """Where plain HTTP is tried after whatever failed over HTTPS, its port (go.podman.io/image: detectProperties); 0: as above."""
    headers: tuple[tuple[str, Secret], ...] = ()
    dial_timeout: float | None = None
    """Seconds; None for the runtime's default of 30."""
    source: str = "default"
    """File and line that named it, or `default`."""
    names_port: bool = False
    """Whether the configuration writes the port out though it is the scheme's own: the runtime's requests then name it too."""

    @property
    def authority(self) -> str:
        """What requests name as their Host: host and, unless it is the scheme's own and not written out, port; IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 80 if self.scheme == "http" else 443
        return host if self.port == default and not self.names_port else f"{host}:{self.port}"


@frozen
class GoBuild:
    """How the runtime was built: what its Go accepts and how it resolves names depend on it."""

    minor: int = 0
    """24 for Go 1.24; 0 where it is not known, which counts as a current one."""
    cgo: bool | None = None
    """Whether libc may be asked for names: built with cgo and without the tag netgo; None where it is not known."""
    debug: tuple[tuple[str, str], ...] = ()
    """GODEBUG settings in force, the environment's over the build's own defaults."""

    @property
    def known(self) -> bool:
        """Whether the version is known."""
        return self.minor > 0

    def since(self, minor: int, debug: str = "") -> bool:
        """Tell whether a change of Go 1.`minor` is in force: GODEBUG may bring the old way back, as `debug` spells it (`x=1`)."""
        name, _, old = debug.partition("=")
        return (not self.known or self.minor >= minor) and not (debug and self.setting(name) == old)

    def setting(self, name: str) -> str:
        """Return a GODEBUG setting, empty where it is unset."""
        return next((value for key, value in reversed(self.debug) if key == name), "")


CURRENT: Final = GoBuild()
"""A current Go, of which nothing else is known."""


@frozen
class LookupStep:
    """One source of names in the resolver's order (nsswitch.conf)."""

    source: str
    """`files`, `dns`, `resolve` (systemd-resolved), or another that the walk cannot ask."""
    stops: tuple[str, ...] = ()
    """Outcomes at which the search ends without a name: `notfound`, `unavail`, `tryagain`."""


STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
"""Where systemd-resolved listens on the node (systemd-resolved.service(8))."""
FILES_DNS: Final = (LookupStep("files"), LookupStep("dns"))


@frozen
class Resolver:
    """The node's resolver settings, as the runtime's own resolver reads them (Go 1.27: net/dnsconfig_unix.go, net/conf.go)."""

    nameservers: tuple[str, ...] = ("127.0.0.1", "::1")
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = 5.0
    """Seconds per try."""
    attempts: int = 2
    use_tcp: bool = False
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The hosts file: address and names, in file order."""
    steps: tuple[LookupStep, ...] = FILES_DNS
    """Where names are looked up, in order."""
    libc: bool = False
    """Whether the runtime asks libc for names; else Go asks by itself."""
    mdns: bool = False
    """Whether libc asks for names below `.local` by multicast, which the walk does not."""
    upstreams: tuple[str, ...] = ()
    """The nameservers behind systemd-resolved, where names go through it."""
    source: str = "/etc/resolv.conf"


@frozen
class Proxies:
    """The runtime process's own proxy environment; the values may hold user info."""

    http: Secret
    https: Secret
    no_proxy: str = ""
    source: str = ""
    """Where it was read, such as `/proc/812/environ`."""


@frozen
class Credential:
    """One credential that the kubelet's rules would match for this image."""

    username: str = field(repr=False)
    password: Secret
    source: str
    """File and key, or the Secret, for people."""
    supplied: bool = False
    """Given by the caller of `diagnose`, not the node's own."""
    kind: str = ""
    """What it is, where its user name or form tells: a token of some service."""
    expires: datetime | None = None
    """Its own word on when it ends; None where it says nothing."""
    pull_secret: bool = False
    """Of a Secret that the agent's settings name."""


@frozen
class Timeouts:
    """Seconds. The runtime waits longer (dial 30, handshake 10); a walk need only be long enough to tell silence from slowness."""

    overall: float = 25.0
    dns: float = 3.0
    connect: float = 5.0
    handshake: float = 6.0
    answer: float = 8.0
    blob: float = 8.0


@frozen
class WalkPlan:
    """Everything that one walk may use and must respect."""

    image: ImageReference
    platform: str
    """`os/architecture[/variant]` of the node."""
    endpoints: tuple[Endpoint, ...]
    resolver: Resolver
    proxies: Proxies | None = None
    system_trust: str = ""
    """The system's trust store as the runtime loaded it, PEM."""
    credentials: tuple[Credential, ...] = ()
    user_agent: str = "pullwhy"
    timeouts: Timeouts = Timeouts()
    local_addresses_allowed: bool = False
    """True where the kubelet itself failed here: loopback, node, pod and service addresses may then be dialled for the image's own registry."""
    private_addresses_allowed: bool = False
    """True where somebody elsewhere asks about a registry that this node has to do with: its own host may be at a private address, and
    what it names then too."""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts that the node's own configuration names (mirrors, proxies): their addresses are not held against them."""
    forbidden_addresses: tuple[str, ...] = ()
    """Networks never dialled, beside link-local and metadata addresses: the API server's."""
    probe_blobs: bool = True
    go: GoBuild = CURRENT
    """The runtime's own Go."""
