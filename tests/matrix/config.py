"""Faults of the runtime's configuration of registries on the node."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.node import Node


def unreadable_ca(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml that names a CA file which is not there."""
    place = servers.closed_for("config.lab.test")
    node.hosts_toml(place, f'server = "https://{place.authority}"\nca = "missing-ca.crt"\n')
    return PodSpec(f"{place.authority}/shop/web:1.0")


FAULTS = (Fault("CA file missing", unreadable_ca, "RuntimeConfigInvalid", "Config"),)
