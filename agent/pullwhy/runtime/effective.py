"""Ties the runtime's files together: what this runtime would contact for one image, and what is wrong on the way there."""

from __future__ import annotations

from dataclasses import replace

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.model import Outcome, Stage
from pullwhy.plan import Endpoint
from pullwhy.runtime.containerd.hosts import Hosts, faulty, registry_hosts
from pullwhy.runtime.containerd.mirrors import inline_hosts
from pullwhy.runtime.containerd.overlooked import overlooked
from pullwhy.runtime.containerd.settings import ContainerdConfig, holds_credentials
from pullwhy.runtime.distributions import Distribution, by_config_file, by_socket
from pullwhy.runtime.dockerd import dockerd_hosts
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.runtime.versions import Version
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

CONTAINERD = "containerd"
DOCKER = "docker"


@frozen
class RuntimeView:
    """The node's runtime as far as it is known."""

    name: str = CONTAINERD
    """As CRI spells it: `containerd`, `cri-o` or `docker`."""
    version: Version = Version()
    config: ContainerdConfig | None = None
    """None for runtimes other than containerd."""
    process: RuntimeProcess | None = None
    fs: HostFS = HostFS()
    socket: str = ""
    results: tuple[StageResult, ...] = ()
    """What could not be learnt about it."""

    @property
    def distribution(self) -> Distribution | None:
        """The distribution that writes this runtime's configuration, None for none."""
        return by_config_file(self.config.file if self.config else "") or by_socket(self.socket, self.fs)

    @property
    def managed_by(self) -> str:
        """The distribution's name (`k3s`, `rke2`, `microk8s`, `k0s`), empty for none."""
        found = self.distribution
        return found.name if found is not None else ""

    @property
    def certs_d(self) -> str:
        """The certs.d directory that this runtime really reads, the first of several; empty for none."""
        if self.config is None:
            return {"cri-o": "/etc/containers/certs.d", "docker": "/etc/docker/certs.d"}.get(self.name, "")
        roots = self.config.roots
        return roots[0] if roots and ":" not in roots[0] else ""


@frozen
class Effective:
    """The effective configuration for one image."""

    endpoints: tuple[Endpoint, ...]
    """In the runtime's order; none where it fails before it contacts anybody."""
    results: tuple[StageResult, ...]
    """Of the stage Config: faults, and what could not be read."""
    directory: str = ""
    """The certs.d directory that decides, empty where there is none."""
    credentials_held: tuple[str, ...] = ()
    """Endpoints for which the runtime itself has credentials: an image pulled with them is open to every pod."""
    image: ImageReference | None = None
    """What the runtime makes of the image's name, where that is not what the name says by itself (short names of CRI-O)."""


def effective(image: ImageReference, view: RuntimeView) -> Effective:
    """Return what the runtime would contact for an image, as its own configuration says."""
    if view.config is None:
        return _docker(image, view) if view.name == DOCKER else _crio(image, view)
    config = view.config
    if config.inline:
        hosts = inline_hosts(image.registry, config, view.fs)
    else:
        hosts = _with_headers(registry_hosts(image.registry, config.roots, view.version, view.fs), config)
    results = (
        *view.results,
        *config.problems,
        *hosts.results,
        *overlooked(image.registry, config, hosts, view.fs),
        *_not_generated(image, view),
        *_nobody(image, hosts),
    )
    held = tuple(
        endpoint.authority for endpoint in hosts.endpoints if holds_credentials(config, endpoint.host, endpoint.port)
    )
    return Effective(hosts.endpoints, results, hosts.directory, held)


def _crio(image: ImageReference, view: RuntimeView) -> Effective:
    from pullwhy.runtime.crio.endpoints import crio_hosts  # noqa: PLC0415 - most nodes have containerd, and keep this out of their memory

    found = crio_hosts(image, view.version, view.process, view.fs)
    return Effective(found.endpoints, (*view.results, *found.results), found.directory, found.held, found.image)


def _docker(image: ImageReference, view: RuntimeView) -> Effective:
    hosts = dockerd_hosts(image, view.fs)
    return Effective(hosts.endpoints, (*view.results, *hosts.results), hosts.directory)


def _with_headers(hosts: Hosts, config: ContainerdConfig) -> Hosts:
    """Add the headers that containerd sends to every registry."""
    if not config.headers:
        return hosts
    endpoints = tuple(replace(host, headers=(*config.headers, *host.headers)) for host in hosts.endpoints)
    return replace(hosts, endpoints=endpoints)


def _nobody(image: ImageReference, hosts: Hosts) -> tuple[StageResult, ...]:
    """Say that no host may serve the image, where their capabilities leave none (containerd: "no resolve hosts")."""
    usable = [host for host in hosts.endpoints if host.pull and (host.resolve or image.digest)]
    if usable or not hosts.endpoints:
        return ()
    need = '"pull"' if image.digest else '"pull" and "resolve"'
    why = f"no host of {image.registry} has the capabilities {need}, so that none is asked for this image"
    file = hosts.endpoints[-1].source
    facts = ConfigFacts(ConfigFault.INVALID, file, why, f"give a host the capabilities {need}, or none at all")
    return (faulty(facts),)


def _not_generated(image: ImageReference, view: RuntimeView) -> tuple[StageResult, ...]:
    """Say that registries.yaml names this registry and is younger than the runtime, which it is applied to at a start only."""
    path = view.distribution.registries if view.distribution is not None else ""
    started = view.process.started if view.process is not None else None
    if not path or started is None:
        return ()
    try:
        text, changed = view.fs.text(path), view.fs.mtime(path)
    except UnreadableFile:
        return ()
    if changed <= started.timestamp() or not any(name in text for name in (image.registry, '"*"', "'*'")):
        return ()
    why = f"it was changed after {view.managed_by} started, which reads it at its start only"
    mend = f"restart the {view.managed_by} service, drained"
    return (faulty(ConfigFacts(ConfigFault.IGNORED, path, why, mend, decides=False)),)


def reference_result(image: ImageReference) -> StageResult:
    """Return the result of the stage Reference for an image that parses."""
    defaulted = f" (defaulted: {', '.join(image.defaulted)})" if image.defaulted else ""
    return StageResult(Stage.REFERENCE, str(image), Outcome.PASSED, detail=f"{image}{defaulted}")
