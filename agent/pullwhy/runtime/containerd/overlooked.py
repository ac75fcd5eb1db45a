"""Finds registry configuration that someone wrote for a host and that this runtime does not read, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from pullwhy.runtime import urls
from pullwhy.runtime.containerd.hosts import DOCKER_HUB, HOSTS_FILE, Hosts, directory_names, faulty
from pullwhy.runtime.containerd.settings import ContainerdConfig
from pullwhy.runtime.distributions import by_config_file
from pullwhy.runtime.host import pem
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

CONTAINERD_CERTS = "/etc/containerd/certs.d"
DOCKER_CERTS = "/etc/docker/certs.d"

HTTPS_PORT = "443"
"""A reference without a port means it too."""

_HUB_ALIASES = frozenset({"registry-1.docker.io", "index.docker.io", "hub.docker.com", "registry.hub.docker.com"})


def overlooked(registry: str, config: ContainerdConfig, hosts: Hosts, fs: HostFS) -> tuple[StageResult, ...]:
    """Return what is configured for a registry and ignored; the runtime pulls all the same, without it."""
    facts = [
        *_hidden_certificates(hosts, fs),
        *_misnamed(registry, config, hosts, fs),
        *_unread(registry, config, fs),
    ]
    return tuple(faulty(fact) for fact in facts)


def _ignored(file: str, why: str, mend: str, line: int | None = None) -> ConfigFacts:
    return ConfigFacts(ConfigFault.IGNORED, file, why, mend, line, decides=False)


def _hidden_certificates(hosts: Hosts, fs: HostFS) -> Iterator[ConfigFacts]:
    """Yield authorities beside a hosts.toml that no host of it trusts."""
    file = f"{hosts.directory}/{HOSTS_FILE}"
    if not hosts.directory or not any(endpoint.source.startswith(file) for endpoint in hosts.endpoints):
        return
    trusted = {block.body for endpoint in hosts.endpoints for text in endpoint.ca for block in pem.blocks(text)}
    for name in _names(hosts.directory, fs):
        if not name.endswith(".crt"):
            continue
        path = f"{hosts.directory}/{name}"
        found = _certificates(path, fs)
        if found and not found <= trusted:
            why = f"{name} is not read, because {HOSTS_FILE} stands beside it and no host in it names it"
            yield _ignored(path, why, f'add ca = "{name}" to the host in {file}')


def _misnamed(registry: str, config: ContainerdConfig, hosts: Hosts, fs: HostFS) -> Iterator[ConfigFacts]:
    """Yield directories meant for this registry under a name that is never looked up."""
    right = directory_names(registry)
    if hosts.directory and not hosts.directory.endswith("/_default"):
        return
    for root in config.roots:
        for name in _names(root, fs):
            if name in right or not _meant_for(name, registry):
                continue
            found = _settings_file(f"{root.rstrip('/')}/{name}", fs)
            if found and not _names_itself(found, name, fs):
                why = f"images of {registry} are configured by a directory named {right[0]}, not {name}"
                mend = f"if it is meant for {registry}, rename it to {root.rstrip('/')}/{right[0]}"
                yield _ignored(found, why, mend)


def _unread(registry: str, config: ContainerdConfig, fs: HostFS) -> Iterator[ConfigFacts]:
    """Yield directories for this registry below roots that are not looked into."""
    split = tuple(part for part in config.config_path.split(":") if part)
    several = config.transfer_service and len(split) > 1
    candidates = dict.fromkeys((*(split if several else ()), CONTAINERD_CERTS, DOCKER_CERTS))
    for root in candidates:
        if root in {read.rstrip("/") for read in config.roots}:
            continue
        files = (_settings_file(f"{root}/{name}", fs) for name in directory_names(registry))
        found = next(filter(None, files), "")
        if found:
            yield _ignored(found, *_reason(root, config, several=several and root in split))


def _reason(root: str, config: ContainerdConfig, *, several: bool) -> tuple[str, str]:
    place = config.config_path_place
    file = (
        (f"{place.file}:{place.line}" if place.line else place.file)
        if place
        else config.file or "the built-in configuration"
    )
    if several:
        why = (
            f"config_path is {config.config_path!r} ({file}), and containerd {config.version} takes the whole list for the"
            " name of one directory when the transfer service pulls"
        )
        return why, f"set config_path to one directory, such as {root}, then restart containerd, drained"
    if not config.config_path:
        return (
            f"containerd {config.version} looks into no certs.d directory, because config_path is not set ({file})",
            f'set config_path = "{root}" for the CRI registry in containerd\'s config.toml, then restart containerd, drained',
        )
    distribution = by_config_file(config.file)
    mend = f"move the files to {config.roots[0]}"
    if distribution is not None and distribution.registries:
        mend = f"put the settings into {distribution.registries}, then restart the {distribution.name} service, drained"
    return f"containerd looks into {config.config_path} ({file}), not into {root}", mend


def _meant_for(name: str, registry: str) -> bool:
    """Whether a directory's name holds the registry's host, with whatever port or spelling."""
    text = name.lower().removeprefix("https___").removeprefix("http___")
    host, port = urls.split_port(text)
    if not port and "_" in text:
        head, _, tail = text.rstrip("_").rpartition("_")
        host = head if tail.isdigit() else text
    if registry == DOCKER_HUB:
        return host in _HUB_ALIASES or host == DOCKER_HUB
    return host == urls.split_port(registry.lower())[0]


def _names_itself(file: str, directory: str, fs: HostFS) -> bool:
    """Whether a hosts.toml names the host and port of its own directory: then it is meant for that port, and not misnamed."""
    if urls.split_port(directory)[1] in {"", HTTPS_PORT} or not file.endswith(f"/{HOSTS_FILE}"):
        return False
    try:
        return f"://{directory}" in fs.text(file)
    except UnreadableFile:
        return False


def _settings_file(directory: str, fs: HostFS) -> str:
    """Return the file of a directory that says most, empty where it holds no settings."""
    names = _names(directory, fs)
    name = HOSTS_FILE if HOSTS_FILE in names else next((name for name in names if name.endswith((".crt", ".cert"))), "")
    return f"{directory}/{name}" if name else ""


def _certificates(path: str, fs: HostFS) -> set[str]:
    try:
        return {block.body for block in pem.certificates(fs.text(path))}
    except UnreadableFile:
        return set()


def _names(directory: str, fs: HostFS) -> tuple[str, ...]:
    try:
        return tuple(entry.name for entry in fs.entries(directory))
    except UnreadableFile:
        return ()
