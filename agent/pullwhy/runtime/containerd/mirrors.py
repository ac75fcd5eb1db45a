"""The deprecated `mirrors` and `configs` of containerd's config.toml as endpoints.

Source: containerd 1.6 to 2.1, cri/server image_pull.go (registryHosts, registryEndpoints), checked against what 1.6.20,
1.7.24 and 2.1.9 contact.
"""

from __future__ import annotations

from dataclasses import replace

from pullwhy.plan import Endpoint
from pullwhy.runtime import urls
from pullwhy.runtime.containerd.hosts import (
    DOCKER_HUB,
    DOCKER_HUB_HOST,
    Hosts,
    PullBlocked,
    default_endpoint,
    endpoint,
    faulty,
    unseen,
)
from pullwhy.runtime.containerd.hostsfile import HostEntry
from pullwhy.runtime.containerd.settings import ContainerdConfig
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult


def inline_hosts(registry: str, config: ContainerdConfig, fs: HostFS) -> Hosts:
    """Return what containerd contacts for a registry where `mirrors` decide: its endpoints, then the registry's own."""
    named = config.mirrors.get(registry, config.mirrors.get("*", ()))
    try:
        addresses = [_address(text, config) for text in named]
        if not any(address.authority == registry for address in addresses):
            addresses.append(_own(registry))
        usable = [address for address in addresses if not _unusable(address)]
        endpoints = tuple(_endpoint(address, registry, config, fs) for address in usable)
    except PullBlocked as blocked:
        return Hosts((), (faulty(blocked.facts),))
    except UnreadableFile as error:
        return Hosts((default_endpoint(registry, config.version),), (unseen(error, "TLS of this registry"),))
    return Hosts(endpoints, tuple(_skipped(address, config) for address in addresses if address not in usable))


def _address(text: str, config: ContainerdConfig) -> urls.Address:
    try:
        if "://" not in text:
            authority = urls.parse_url(f"dummy://{text}").authority
            text = f"{_scheme(authority)}://{text}"
        return urls.parse_url(text)
    except ValueError as error:
        why = f"the mirror endpoint {text[:200]!r} is no address: {error}"
        raise PullBlocked(ConfigFacts(ConfigFault.INVALID, config.file, why, "write it as https://name")) from None


def _unusable(address: urls.Address) -> str:
    """Return why containerd goes past a mirror without a word to it; empty where it asks it."""
    if address.scheme not in {"http", "https"}:
        return f"containerd cannot speak {address.scheme[:40]!r}"
    try:
        urls.port_number(address.port, address.scheme)
    except ValueError as error:
        return f"no dial succeeds, for {error}"
    return ""


def _skipped(address: urls.Address, config: ContainerdConfig) -> StageResult:
    why = f"containerd skips the mirror {address.authority[:200]!r}: {_unusable(address)}"
    return faulty(ConfigFacts(ConfigFault.INVALID, config.file, why, "write it as https://name", decides=False))


def _own(registry: str) -> urls.Address:
    authority = DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
    return urls.Address(_scheme(authority), authority, "")


def _scheme(authority: str) -> str:
    return "http" if urls.is_loopback(authority) else "https"


def _endpoint(address: urls.Address, registry: str, config: ContainerdConfig, fs: HostFS) -> Endpoint:
    # A path stands as it is written: a lone slash takes the place of /v2.
    path = urls.clean_path(address.path) if address.path else "/v2"
    tls = config.tls.get(address.authority)
    entry = HostEntry(scheme=address.scheme, authority=address.authority, path=path, headers=config.headers)
    if tls is not None and address.scheme == "https":
        if bool(tls.cert_file) != bool(tls.key_file):
            why = f"registry.configs.{address.authority[:200]!r}.tls names one of `cert_file` and `key_file` without the other"
            raise PullBlocked(ConfigFacts(ConfigFault.INVALID, config.file, why, "name both, or neither"))
        pair = ((tls.cert_file, tls.key_file),) if tls.cert_file and tls.key_file else None
        entry = replace(entry, ca=(tls.ca_file,) if tls.ca_file else None, client=pair, skip_verify=tls.skip_verify)
    return endpoint(entry, registry, config.file, config.version, fs)
