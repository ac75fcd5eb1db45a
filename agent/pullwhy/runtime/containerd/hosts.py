"""The hosts that containerd would try for one registry: what its configuration makes of them, file by file.

Source: containerd 1.6 to 2.3, remotes/docker/config/hosts.go and cri/server/image_pull.go, checked against what 1.6.20,
1.7.24 and 2.1.9 contact.
"""

from __future__ import annotations

from dataclasses import replace

from pullwhy.frozen import frozen
from pullwhy.model import Outcome, Stage
from pullwhy.plan import ClientPair, Endpoint
from pullwhy.runtime import urls
from pullwhy.runtime.containerd.hostsfile import FatalHostsFile, HostEntry, InvalidHostsFile, parse_hosts_file
from pullwhy.runtime.host import pem
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.versions import Version
from pullwhy.secret import Secret
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

HOSTS_FILE = "hosts.toml"
DOCKER_HUB = "docker.io"
DOCKER_HUB_HOST = "registry-1.docker.io"
MAX_HOSTS = 64
"""Of one registry that are looked at; no walk gets that far."""


class PullBlocked(Exception):
    """The configuration fails every pull of this registry before any network is used."""

    def __init__(self, facts: ConfigFacts) -> None:
        super().__init__(f"{facts.file}: {facts.why}")
        self.facts = facts


@frozen
class Hosts:
    """The endpoints in the order in which the runtime tries them, and what was found wrong on the way."""

    endpoints: tuple[Endpoint, ...]
    results: tuple[StageResult, ...] = ()
    directory: str = ""
    """The certs.d directory that decides, empty where there is none."""


def faulty(facts: ConfigFacts) -> StageResult:
    """Return the result that holds a configuration fault."""
    where = f"{facts.file}:{facts.line}" if facts.line else facts.file
    return StageResult(Stage.CONFIG, where, Outcome.FAILED, detail=f"{facts.why}; mend: {facts.mend}", config=facts)


def unseen(error: UnreadableFile, what: str) -> StageResult:
    """Return the result for a file that the runtime can read and this process cannot."""
    return StageResult(Stage.CONFIG, error.path, Outcome.SKIPPED, detail=f"{what} is not known here: {error.why}")


def registry_hosts(registry: str, roots: tuple[str, ...], version: Version, fs: HostFS) -> Hosts:
    """Return what containerd would contact for images of `registry` with these certs.d roots."""
    try:
        directory = find_directory(registry, roots, fs)
        entries, source, results = _load(directory, version, fs) if directory else ((HostEntry(),), "", [])
        entries = (*entries[:-1], complete(entries[-1], registry, version))
        endpoints = []
        for entry in entries:
            fault = _unusable(entry)
            if fault:
                # The files of a host that cannot be asked are read all the same, and fail the pull where they are bad.
                endpoint(replace(entry, scheme="https", authority=registry), registry, source, version, fs)
                facts = ConfigFacts(ConfigFault.INVALID, source, *fault, entry.line, decides=False)
                results.append(faulty(facts))
            else:
                endpoints.append(endpoint(entry, registry, source, version, fs))
    except PullBlocked as blocked:
        return Hosts((), (faulty(blocked.facts),))
    except UnreadableFile as error:
        return Hosts((default_endpoint(registry, version),), (unseen(error, "the configuration of this registry"),))
    return Hosts(tuple(endpoints), tuple(results), directory)


def default_endpoint(registry: str, version: Version) -> Endpoint:
    """Return the registry's own endpoint, as it is without any configuration."""
    return endpoint(complete(HostEntry(), registry, version), registry, "", version, HostFS())


def directory_names(registry: str) -> tuple[str, ...]:
    """Return the names under which containerd looks for a registry's directory, in order; the first that exists wins."""
    host, colon, port = registry.rpartition(":")
    encoded = (f"{host}_{port}_",) if colon and host else ()
    return (*encoded, registry, "_default")


def find_directory(registry: str, roots: tuple[str, ...], fs: HostFS) -> str:
    """Return the directory that containerd picks, empty where there is none.

    Raises PullBlocked where containerd's own look fails, UnreadableFile where only ours does.
    """
    return first_directory(roots, directory_names(registry), fs)


def first_directory(roots: tuple[str, ...], names: tuple[str, ...], fs: HostFS) -> str:
    """Return the first of these names that is below a root, root by root; empty where none is. Raises as `find_directory`."""
    for root in roots:
        for name in names:
            path = f"{root.rstrip('/')}/{name}"
            try:
                if fs.kind(path):
                    return path
            except UnreadableFile as error:
                if error.denied:
                    raise
                raise blocked(path, error.why, f"make {root} a directory") from None
    return ""


def complete(entry: HostEntry, registry: str, version: Version) -> HostEntry:
    """Fill in the registry's own host where an entry names none, with containerd's rules for Docker Hub and loopback."""
    if entry.authority:
        return entry
    scheme, authority, skip_verify = "https", registry, entry.skip_verify
    if registry == DOCKER_HUB:
        authority = DOCKER_HUB_HOST
    elif urls.is_loopback(registry):
        port = urls.split_port(registry)[1]
        if not version.at_least(1, 7):
            scheme = "http"
        else:
            scheme = "https" if port in {"", "443"} else "http"
            skip_verify = True if port != "80" else skip_verify
    return replace(
        entry, scheme=scheme, authority=authority, path="/v2", resolve=True, pull=True, skip_verify=skip_verify
    )


def endpoint(entry: HostEntry, registry: str, source: str, version: Version, fs: HostFS) -> Endpoint:
    """Return the endpoint of a complete entry with its files read.

    Raises PullBlocked where a file makes containerd fail, UnreadableFile where only this process may not read it.
    """
    scheme, port = entry.scheme, urls.split_port(entry.authority)[1]
    # TLS settings on an http:// host make containerd (from 1.7 on) try HTTPS first, but for port 80.
    fallback = scheme == "http" and entry.sets_tls and port != "80" and version.at_least(1, 7)
    if fallback:
        scheme = "https"
    own = entry.authority == registry or (registry, entry.authority) == (DOCKER_HUB, DOCKER_HUB_HOST)
    return Endpoint(
        scheme=scheme,
        host=urls.split_port(entry.authority)[0],
        port=urls.port_number(port, scheme),
        names_port=bool(port),
        path=entry.path,
        resolve=entry.resolve,
        pull=entry.pull,
        is_mirror=not own,
        ca=tuple(_ca(path, fs) for path in entry.ca or ()),
        client=tuple(read_client(certificate, key, fs) for certificate, key in entry.client or ()),
        skip_verify=bool(entry.skip_verify),
        http_fallback=fallback,
        headers=entry.headers,
        dial_timeout=entry.dial_timeout or None,
        source=(f"{source}:{entry.line}" if entry.line else source) or "default",
    )


def certificate_files(directory: str, fs: HostFS) -> HostEntry:
    """Read a directory as Docker lays it out: `*.crt` are authorities, `*.cert` with `*.key` client certificates.

    Raises UnreadableFile.
    """
    names = [entry.name for entry in fs.entries(directory) if not entry.is_dir]
    ca = tuple(f"{directory}/{name}" for name in names if name.endswith(".crt"))
    client = []
    for name in names:
        if name.endswith(".cert"):
            key = f"{directory}/{name.removesuffix('.cert')}.key"
            client.append((f"{directory}/{name}", key if fs.kind(key) else ""))
    return HostEntry(ca=ca or None, client=tuple(client) or None)


def _load(directory: str, version: Version, fs: HostFS) -> tuple[tuple[HostEntry, ...], str, list[StageResult]]:
    path = f"{directory}/{HOSTS_FILE}"
    try:
        data = fs.read(path)
    except UnreadableFile as error:
        if error.denied:
            raise
        if not error.missing:
            raise blocked(path, error.why, f"make {directory} a directory with a file {HOSTS_FILE} in it") from None
        data = b""
    if not data:
        return (certificate_files(directory, fs),), directory, []
    try:
        entries = parse_hosts_file(data, directory, version)
    except FatalHostsFile as error:
        why = f"containerd {version} crashes as often as it reads this file, which every pull makes it do: {error.why}"
        raise PullBlocked(ConfigFacts(ConfigFault.INVALID, path, why, error.mend, error.line, decides=True)) from None
    except InvalidHostsFile as error:
        why = f"containerd cannot use this file and goes on without it: {error.why}"
        facts = ConfigFacts(ConfigFault.INVALID, path, why, error.mend, error.line, decides=False)
        return (certificate_files(directory, fs),), directory, [faulty(facts)]
    if len(entries) <= MAX_HOSTS:
        return entries, path, []
    detail = f"only the first {MAX_HOSTS} of {len(entries)} hosts are looked at"
    cut = StageResult(Stage.CONFIG, path, Outcome.SKIPPED, detail=detail)
    return (*entries[: MAX_HOSTS - 1], entries[-1]), path, [cut]


def _unusable(entry: HostEntry) -> tuple[str, str] | tuple[()]:
    """Return why containerd can never reach a host, and the mend; nothing where it can."""
    mend = "write it as https://name"
    if not entry.authority:
        return "this host has no name: a text that begins with http needs http:// or https:// before the name", mend
    if entry.scheme not in {"http", "https"}:
        return f"containerd cannot speak {entry.scheme[:40]!r} and skips this host", mend
    if entry.dial_timeout is not None and entry.dial_timeout < 0:
        return "its dial_timeout is negative, so that every dial fails at once", 'write dial_timeout = "10s"'
    try:
        urls.port_number(urls.split_port(entry.authority)[1], entry.scheme)
    except ValueError as error:
        return str(error), mend
    return ()


def _ca(path: str, fs: HostFS) -> str:
    found = pem.certificates(_text(path, "CA file", fs))
    if not found:
        raise blocked(path, "the CA file holds no certificate in PEM form", "put the CA's certificate there as PEM")
    return "".join(block.text for block in found)


def read_client(certificate: str, key: str, fs: HostFS) -> ClientPair:
    """Return a client certificate and its key, which may be in one file (`key` empty).

    Raises PullBlocked where a runtime fails on them, UnreadableFile where only this process may not read.
    """
    text = _text(certificate, "client certificate", fs)
    found = pem.certificates(text)
    if not found:
        raise blocked(
            certificate, "the file holds no certificate in PEM form", "put the client certificate there as PEM"
        )
    secret = pem.private_key(_text(key, "client key", fs) if key else text)
    if not secret:
        where = key or certificate
        raise blocked(where, "the file holds no private key in PEM form", f"put the private key of {certificate} there")
    from pullwhy import clientpair  # noqa: PLC0415 - OpenSSL, for the few who use client certificates

    chain = "".join(block.text for block in found)
    why = clientpair.fault(chain, secret)
    if why:
        mend = f"put the private key of {certificate} there"
        raise blocked(key or certificate, f"{why} (certificate {certificate})", mend)
    return ClientPair(chain, Secret(secret))


def _text(path: str, what: str, fs: HostFS) -> str:
    try:
        return fs.text(path)
    except UnreadableFile as error:
        if error.denied:
            raise
        raise blocked(
            path, f"the {what} cannot be read: {error.why}", f"put the file at {path}, or correct its name"
        ) from None


def blocked(path: str, why: str, mend: str) -> PullBlocked:
    """Return what to raise where a file fails every pull."""
    return PullBlocked(ConfigFacts(ConfigFault.INVALID, path, why, mend))
