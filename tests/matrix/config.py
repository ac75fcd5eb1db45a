"""Faults of the runtime's configuration of registries on the node."""

import zlib
from collections.abc import Mapping

from matrix.fault import Fault, Fill, Home, PodSpec, nothing
from matrix.servers import Servers
from matrix.tls import authority, client_pair

from lab.containerd import Settings
from lab.faultregistry import FaultRegistry
from lab.node import Node

TWO_ROOTS = "/etc/containerd/certs.d:/etc/docker/certs.d"
UNREAD = Home("unread", settings=Settings(config_path=None), private=True)
ROOTS = Home("two-roots", settings=Settings(config_path=TWO_ROOTS), private=True)


def _host(registry: FaultRegistry, settings: str) -> str:
    """Return a hosts.toml with a table for the registry itself, which 1.6 asks for."""
    return f'server = "https://{registry.host}"\n\n[host."https://{registry.host}"]\n  {settings}\n'


def unreadable_ca(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml that names a CA file which is not there."""
    registry = servers.listed("ca-gone")
    node.hosts_toml(registry.place, _host(registry, 'ca = "missing-ca.crt"'))
    return PodSpec(f"{registry.host}/shop/web:1.0")


def garbled_ca(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml that names a CA file which holds no certificate."""
    registry = servers.listed("ca-garbled")
    node.hosts_toml(registry.place, _host(registry, 'ca = "ca.crt"'))
    node.write(f"/etc/containerd/certs.d/{registry.host}/ca.crt", "<html>not found</html>\n")
    return PodSpec(f"{registry.host}/shop/web:1.0")


def missing_client_key(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml that names a client certificate whose key is not there."""
    registry = servers.listed("key-gone")
    node.trust(registry.place, servers.lab.authority.pem)
    folder = f"/etc/containerd/certs.d/{registry.host}"
    node.write(f"{folder}/client.pem", servers.client.chain)
    node.hosts_toml(
        registry.place,
        _host(registry, 'ca = "ca.crt"\n  client = [["client.pem", "client.key"]]'),
    )
    return PodSpec(f"{registry.host}/shop/web:1.0")


def malformed_hosts(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml with a bracket too few: it is skipped, and HTTPS is spoken to a registry without TLS."""
    registry = servers.told("malformed")
    node.hosts_toml(registry.place, f'[host."http://{registry.host}"\n  capabilities = ["pull", "resolve"]\n')
    return PodSpec(f"{registry.host}/shop/web:1.0")


def unknown_capability(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml with a capability that does not exist: the whole file is skipped."""
    registry = servers.told("capability")
    node.hosts_toml(registry.place, f'[host."http://{registry.host}"]\n  capabilities = ["pull", "resolv"]\n')
    return PodSpec(f"{registry.host}/shop/web:1.0")


def hidden_authority(servers: Servers, node: Node) -> PodSpec:
    """A ca.crt beside a hosts.toml that does not name it."""
    registry = servers.listed("hidden")
    node.trust(registry.place, servers.lab.authority.pem)
    node.hosts_toml(registry.place, _host(registry, 'capabilities = ["pull", "resolve"]'))
    return PodSpec(f"{registry.host}/shop/web:1.0")


def directory_without_port(servers: Servers, node: Node) -> PodSpec:
    """The CA in a directory that lacks the registry's port."""
    registry = servers.listed("portless", port=5000)
    node.write(f"/etc/containerd/certs.d/{registry.place.host}/ca.crt", servers.lab.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def directory_with_port(servers: Servers, node: Node) -> PodSpec:
    """The CA in a directory with a port that the reference does not have."""
    registry = servers.listed("ported")
    node.write(f"/etc/containerd/certs.d/{registry.place.host}:443/ca.crt", servers.lab.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def directory_with_scheme(servers: Servers, node: Node) -> PodSpec:
    """The CA in a directory that is named like a URL."""
    registry = servers.listed("schemed")
    node.write(f"/etc/containerd/certs.d/https___{registry.place.host}/ca.crt", servers.lab.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def docker_directory(servers: Servers, node: Node) -> PodSpec:
    """The CA where Docker would read it."""
    registry = servers.listed("dockered")
    node.write(f"/etc/docker/certs.d/{registry.host}/ca.crt", servers.lab.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def several_roots(servers: Servers, node: Node) -> PodSpec:
    """Two roots, which the transfer service of 2.1 takes for the name of one directory."""
    registry = servers.walled
    node.trust(registry.place, servers.lab.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def no_root(servers: Servers, node: Node) -> PodSpec:
    """A CA in certs.d, and a containerd without config_path."""
    return several_roots(servers, node)


def no_root_for_http(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml in certs.d, and a containerd without config_path."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:1.0")


def good_authority(servers: Servers, node: Node) -> Mapping[str, str]:
    """Hand the administrator the CA's certificate, in place of the file that is at fault."""
    return {"GOOD_FILE": authority(servers, node)["CA.pem"]}


def good_key(servers: Servers, node: Node) -> Mapping[str, str]:
    """Hand the administrator a key, in place of the file that is at fault; the server asks for none."""
    return {"GOOD_FILE": client_pair(servers, node)["CLIENT-KEY.pem"]}


def edited(change: str) -> Fill:
    """Return how the administrator changes the file that the remedy opens: as told, by the sed script *change*."""

    def fill(servers: Servers, node: Node) -> Mapping[str, str]:
        del servers
        path = f"/root/edit-{zlib.crc32(change.encode()):08x}"
        node.write(path, f"#!/bin/sh\nexec sed --in-place '{change}' \"$1\"\n", 0o755)
        return {"EDITOR": path}

    return fill


IGNORED = "RuntimeConfigIgnored"
INVALID = "RuntimeConfigInvalid"
FAULTS = (
    Fault("CA file missing", unreadable_ca, INVALID, "Config", mend=good_authority),
    Fault("CA file garbled", garbled_ca, INVALID, "Config", mend=good_authority),
    Fault("client key missing", missing_client_key, INVALID, "Config", mend=good_key),
    Fault("hosts.toml malformed", malformed_hosts, INVALID, "Config", mend=edited('s/\\("http[^"]*"\\)$/\\1]/')),
    Fault("capability unknown", unknown_capability, INVALID, "Config", mend=edited('s/resolv"/resolve"/')),
    Fault("hosts.toml hides the CA", hidden_authority, IGNORED, "Config", mend=nothing),
    Fault("directory without the port", directory_without_port, IGNORED, "Config", mend=nothing),
    Fault("directory with a port too much", directory_with_port, IGNORED, "Config", mend=nothing),
    Fault("directory named like a URL", directory_with_scheme, IGNORED, "Config", mend=nothing),
    Fault("CA in Docker's directory", docker_directory, IGNORED, "Config", mend=nothing),
    Fault("several roots", several_roots, IGNORED, "Config", home=ROOTS, generations=("2.1",), mend=nothing),
    Fault("no root", no_root, IGNORED, "Config", home=UNREAD, mend=nothing),
    Fault("no root for HTTP", no_root_for_http, IGNORED, "Config", home=UNREAD, mend=nothing),
)
