"""Faults of mirrors that the runtime asks before the registry, or in its place."""

from matrix.fault import Fault, PodSpec, repository_of
from matrix.servers import Servers

from lab.node import Node


def mirrored(servers: Servers, node: Node, name: str, preset: str) -> PodSpec:
    """Return the pod of an image whose mirror behaves as *preset* says, and whose registry is away."""
    registry = servers.closed_for(f"upstream-{name}.lab.test")
    mirror = servers.listed("mirror")
    repository = repository_of(name)
    mirror.set(repository, preset)
    node.write("/etc/containerd/mirror-ca.crt", servers.lab.authority.pem)
    node.hosts_toml(
        registry,
        f'server = "https://{registry.authority}"\n\n[host."https://{mirror.host}"]\n'
        '  capabilities = ["pull", "resolve"]\n  ca = "/etc/containerd/mirror-ca.crt"\n',
    )
    return PodSpec(f"{registry.authority}/{repository}:1")


def forbidding_mirror(servers: Servers, node: Node) -> PodSpec:
    """A mirror that forbids, before a registry that is away."""
    return mirrored(servers, node, "forbidding", "manifest-403")


def failing_mirror(servers: Servers, node: Node) -> PodSpec:
    """A mirror that fails, before a registry that is away."""
    return mirrored(servers, node, "failing", "manifest-500")


def lacking_mirror(servers: Servers, node: Node) -> PodSpec:
    """A mirror that lacks the image, before a registry that is away: there the image would be."""
    return mirrored(servers, node, "lacking", "manifest-404")


def passed_over_mirror(servers: Servers, node: Node) -> PodSpec:
    """A mirror that is away, before a registry that answers and lacks the tag: what the mirror did decides nothing."""
    registry, mirror = servers.listed("behind"), servers.closed_for("mirror-passed.lab.test")
    repository = repository_of("passed over")
    registry.set(repository, "manifest-404")
    node.write("/etc/containerd/registry-ca.crt", servers.lab.authority.pem)
    node.hosts_toml(
        registry.place,
        f'server = "https://{registry.host}"\nca = "/etc/containerd/registry-ca.crt"\n\n[host."https://{mirror.authority}"]\n',
    )
    return PodSpec(f"{registry.host}/{repository}:1")


def dead_hosts(servers: Servers, node: Node) -> PodSpec:
    """A mirror and a registry that are both away."""
    registry, mirror = servers.closed_for("upstream-dead.lab.test"), servers.closed_for("mirror-dead.lab.test")
    node.hosts_toml(registry, f'server = "https://{registry.authority}"\n\n[host."https://{mirror.authority}"]\n')
    return PodSpec(f"{registry.authority}/shop/web:1.0")


def mirror_only(servers: Servers, node: Node) -> PodSpec:
    """A mirror in place of the registry, and it is away: no answer of it hides the registry's, it cannot be reached."""
    registry, mirror = servers.listed("replaced"), servers.closed_for("mirror-only.lab.test")
    node.hosts_toml(
        registry.place,
        f'server = "https://{mirror.authority}"\n\n[host."https://{mirror.authority}"]\n  capabilities = ["pull", "resolve"]\n',
    )
    return PodSpec(f"{registry.host}/shop/web:1.0")


FAULTS = (
    Fault("mirror forbids", forbidding_mirror, "MirrorFailed", "Config", via="Mirror"),
    Fault("mirror fails", failing_mirror, "MirrorFailed", "Config", via="Mirror"),
    Fault("mirror lacks the image", lacking_mirror, "ConnectionRefused", "Connect"),
    Fault(
        "tag missing behind a mirror that is away",
        passed_over_mirror,
        "TagNotFound",
        "Manifest",
        factors=("MirrorSkipped",),
    ),
    Fault("mirror and registry away", dead_hosts, "ConnectionRefused", "Connect"),
    Fault("mirror in place of the registry away", mirror_only, "ConnectionRefused", "Connect", via="Mirror"),
)
