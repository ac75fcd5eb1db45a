"""The node's resolver settings, read from the host's files as Go's resolver reads them.

Source: Go 1.27, net/dnsconfig_unix.go, net/conf.go, net/hosts.go and net/nss.go.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from pullwhy.model import Outcome, Stage
from pullwhy.plan import Resolver
from pullwhy.runtime.hostfs import HostFS, UnreadableFile
from pullwhy.trace import StageResult

RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
NSSWITCH: Final = "/etc/nsswitch.conf"

MAX_NAMESERVERS: Final = 3
MAX_NDOTS: Final = 15
MAX_HOSTS: Final = 4096
"""Lines of the hosts file that are kept."""

_LOOPBACK: Final = ("127.0.0.1", "::1")
_KNOWN_SOURCES: Final = frozenset({"files", "dns", "myhostname"})
_DIGITS: Final = re.compile(r"\d{1,6}")


@dataclass(frozen=True, slots=True)
class ResolverView:
    """The settings, and what about them a person should know."""

    resolver: Resolver
    results: tuple[StageResult, ...] = ()


def read_resolver(
    fs: HostFS, path: str = RESOLV_CONF, hostname: str = "", hosts_fs: HostFS | None = None
) -> ResolverView:
    """Return the settings of `path`, the hosts file and nsswitch; nothing is raised.

    `hostname` is the node's own name: its domain is the search list where none is set. `hosts_fs` holds hosts and nsswitch
    where they are not beside `path`.
    """
    hosts_fs = hosts_fs or fs
    notes: list[StageResult] = []
    try:
        text = fs.text(path)
    except UnreadableFile as error:
        text = ""
        notes.append(_note(path, f"it cannot be read ({error.why}): Go's resolver asks {' and '.join(_LOOPBACK)}"))
    resolver = _resolv_conf(text, path, hostname, notes)
    order = _order(hosts_fs, notes)
    return ResolverView(
        Resolver(
            nameservers=resolver.nameservers,
            search=resolver.search or (),
            ndots=resolver.ndots,
            timeout=resolver.timeout,
            attempts=resolver.attempts,
            use_tcp=resolver.use_tcp,
            hosts=_hosts(hosts_fs),
            files_first=order,
            source=path,
        ),
        tuple(notes),
    )


def _note(path: str, detail: str) -> StageResult:
    return StageResult(Stage.DNS, path, Outcome.SKIPPED, detail=detail)


@dataclass(slots=True)
class _Settings:
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] | None = None
    """None where the file sets none."""
    ndots: int = 1
    timeout: float = 5.0
    attempts: int = 2
    use_tcp: bool = False


def _resolv_conf(text: str, path: str, hostname: str, notes: list[StageResult]) -> _Settings:
    settings = _Settings()
    unknown: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if fields and not line.startswith((";", "#")):
            unknown += _directive(settings, fields, f"{path}:{number}", notes)
    if unknown:
        names = ", ".join(name[:40] for name in unknown[:5])
        notes.append(_note(path, f"Go knows nothing of {names}: a runtime built with cgo asks libc instead"))
    if not settings.nameservers:
        settings.nameservers = _LOOPBACK
        if text:
            notes.append(_note(path, f"it names no nameserver: {' and '.join(_LOOPBACK)} are asked"))
    if settings.search is None:
        settings.search = tuple(part for part in [hostname.partition(".")[2].rstrip(".")] if part)
    return settings


def _directive(settings: _Settings, fields: list[str], where: str, notes: list[StageResult]) -> list[str]:
    """Apply one line; return what Go does not know of it."""
    match fields:
        case ["nameserver", server, *_]:
            _nameserver(settings, server, where, notes)
        case ["domain", domain, *_]:
            settings.search = (domain.rstrip("."),)
        case ["search", *domains]:
            settings.search = tuple(domain.rstrip(".") for domain in domains if domain != ".")
        case ["options", *options]:
            return [option for option in options if not _option(settings, option)]
        case ["nameserver" | "domain"]:
            notes.append(_note(where, f"`{fields[0]}` without a value is passed over"))
        case _:
            return fields[:1]
    return []


def _nameserver(settings: _Settings, server: str, where: str, notes: list[StageResult]) -> None:
    try:
        ipaddress.ip_address(server)
    except ValueError:
        notes.append(_note(where, f"the nameserver {server[:60]!r} is no IP address and is passed over"))
        return
    if len(settings.nameservers) >= MAX_NAMESERVERS:
        notes.append(
            _note(where, f"the nameserver {server} is passed over: only the first {MAX_NAMESERVERS} are asked")
        )
        return
    settings.nameservers = (*settings.nameservers, server)


def _option(settings: _Settings, option: str) -> bool:
    """Apply one option; return whether Go knows it."""
    name, colon, value = option.partition(":")
    digits = _DIGITS.match(value)
    number = int(digits[0]) if digits else 0
    match name:
        case "ndots" if colon:
            settings.ndots = min(number, MAX_NDOTS)
        case "timeout" if colon:
            settings.timeout = float(max(number, 1))
        case "attempts" if colon:
            settings.attempts = max(number, 1)
        case "use-vc" | "usevc" | "tcp":
            settings.use_tcp = True
        case "rotate" | "single-request" | "single-request-reopen" | "trust-ad" | "edns0" | "no-reload":
            pass
        case _:
            return False
    return True


def _hosts(fs: HostFS) -> tuple[tuple[str, tuple[str, ...]], ...]:
    try:
        text = fs.text(HOSTS)
    except UnreadableFile:
        return ()
    found: list[tuple[str, tuple[str, ...]]] = []
    for line in text.split("\n"):
        fields = line.partition("#")[0].split()
        if len(fields) < 2 or len(found) >= MAX_HOSTS:  # noqa: PLR2004 - an address and a name
            continue
        try:
            ipaddress.ip_address(fields[0])
        except ValueError:
            continue
        found.append((fields[0], tuple(name.lower().rstrip(".") for name in fields[1:])))
    return tuple(found)


def _order(fs: HostFS, notes: list[StageResult]) -> bool:
    """Return whether the hosts file comes before DNS."""
    try:
        text = fs.text(NSSWITCH)
    except UnreadableFile:
        return True
    line = next((line for line in text.split("\n") if line.partition("#")[0].split()[:1] == ["hosts:"]), "")
    words = line.partition("#")[0].partition(":")[2].split()
    sources = [word for word in words if not word.startswith("[")]
    strange = [name for name in sources if name not in _KNOWN_SOURCES and not name.startswith("mdns")]
    if strange:
        names = ", ".join(name[:40] for name in strange[:5])
        detail = (
            f"`hosts:` names {names}: a runtime built with cgo asks libc, which may answer otherwise than DNS alone"
        )
        notes.append(_note(NSSWITCH, detail))
    if "files" in sources and "dns" in sources:
        return sources.index("files") < sources.index("dns")
    return "files" in sources or "dns" not in sources
