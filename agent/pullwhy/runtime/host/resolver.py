"""The node's resolver settings, read from the host's files as Go's resolver reads them.

Source: Go 1.27, net/dnsconfig_unix.go, net/conf.go, net/hosts.go and net/nss.go.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import Outcome, Stage
from pullwhy.plan import CURRENT, STUBS, GoBuild, LookupStep, Resolver
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.host.nsswitch import Source, go_steps, has_mdns, hosts_sources, libc_steps, why_libc
from pullwhy.trace import StageResult

RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
NSSWITCH: Final = "/etc/nsswitch.conf"
RESOLVED: Final = "/run/systemd/resolve/io.systemd.Resolve"
"""The socket at which systemd-resolved serves nss-resolve."""
UPSTREAMS: Final = "/run/systemd/resolve/resolv.conf"
"""Where it lists the nameservers that it asks itself."""

MAX_NAMESERVERS: Final = 3
MAX_NDOTS: Final = 15
MAX_HOSTS: Final = 4096
"""Lines of the hosts file that are kept."""

_LOOPBACK: Final = ("127.0.0.1", "::1")
_DIGITS: Final = re.compile(r"\d{1,6}")


@frozen
class ResolverView:
    """The settings, and what about them a person should know."""

    resolver: Resolver
    results: tuple[StageResult, ...] = ()


def read_resolver(
    fs: HostFS,
    path: str = RESOLV_CONF,
    hostname: str = "",
    hosts_fs: HostFS | None = None,
    *,
    go: GoBuild = CURRENT,
    prefers_libc: bool = False,
) -> ResolverView:
    """Return the settings of `path`, the hosts file and nsswitch; nothing is raised.

    `hostname` is the node's own name: its domain is the search list where none is set. `hosts_fs` holds hosts and nsswitch
    where they are not beside `path`. `go` is how the runtime was built; `prefers_libc` that its environment sets RES_OPTIONS,
    LOCALDOMAIN or HOSTALIASES, which only libc knows.
    """
    hosts_fs = hosts_fs or fs
    notes: list[StageResult] = []
    unreadable = ""
    try:
        text = fs.text(path)
    except UnreadableFile as error:
        text = ""
        unreadable = "" if error.missing or error.denied else f"{path} cannot be read"
        notes.append(_note(path, f"it cannot be read ({error.why}): Go's resolver asks {' and '.join(_LOOPBACK)}"))
    settings = _resolv_conf(text, path, hostname, notes)
    sources = _sources(hosts_fs)
    why = (
        unreadable
        or settings.unknown
        or why_libc(sources)
        or ("its environment sets up libc's" if prefers_libc else "")
    )
    libc = asks_libc(go, why)
    steps = libc_steps(sources) if libc else go_steps(sources, cgo=go.cgo is not False)
    if why:
        notes.append(_note(NSSWITCH, _told(why, libc=libc, steps=steps)))
    through = set(settings.nameservers) & STUBS or any(step.source == "resolve" for step in steps)
    return ResolverView(
        Resolver(
            nameservers=settings.nameservers,
            search=settings.search or (),
            ndots=settings.ndots,
            timeout=settings.timeout,
            attempts=settings.attempts,
            use_tcp=settings.use_tcp,
            hosts=_hosts(hosts_fs),
            steps=_running(steps, hosts_fs),
            libc=libc,
            mdns=has_mdns(sources) and go.cgo is not False,
            upstreams=_upstreams(hosts_fs) if through else (),
            source=path,
        ),
        tuple(notes),
    )


def asks_libc(go: GoBuild, why: str) -> bool:
    """Tell whether the runtime's Go takes libc: only where it has cgo, and for a reason or by GODEBUG (net/conf.go, initConfVal)."""
    wanted = go.setting("netdns").partition("+")[0]
    return go.cgo is not False and wanted != "go" and (bool(why) or wanted == "cgo")


def _told(why: str, *, libc: bool, steps: tuple[LookupStep, ...]) -> str:
    order = ", ".join(step.source[:40] for step in steps)
    if libc:
        return f"{why}: the runtime, built with cgo, leaves names to libc, which asks {order}"
    return f"{why}, which the runtime does not look at: it was built without cgo and asks {order} by itself"


def _sources(fs: HostFS) -> tuple[Source, ...]:
    try:
        return hosts_sources(fs.text(NSSWITCH))
    except UnreadableFile:
        return ()


def _running(steps: tuple[LookupStep, ...], fs: HostFS) -> tuple[LookupStep, ...]:
    """Leave `resolve` out where systemd-resolved does not run: libc then goes on to the next source (nss-resolve(8))."""
    try:
        runs = fs.kind(RESOLVED) != ""
    except UnreadableFile:
        runs = True  # not ours to see, as for another user than root
    return steps if runs else tuple(step for step in steps if step.source != "resolve")


def _upstreams(fs: HostFS) -> tuple[str, ...]:
    try:
        text = fs.text(UPSTREAMS)
    except UnreadableFile:
        return ()
    servers = _resolv_conf(text, UPSTREAMS, "", []).nameservers
    return tuple(server for server in servers if server not in {*STUBS, *_LOOPBACK})


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
    rotates: bool = False
    unknown: str = ""
    """What Go does not know of the file, empty where it knows all."""


def _resolv_conf(text: str, path: str, hostname: str, notes: list[StageResult]) -> _Settings:
    settings = _Settings()
    unknown: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if fields and not line.startswith((";", "#")):
            unknown += _directive(settings, fields, f"{path}:{number}", notes)
    if unknown:
        settings.unknown = f"{path} has {', '.join(name[:40] for name in unknown[:5])}, of which Go knows nothing"
    if settings.rotates and len(settings.nameservers) > 1:
        notes.append(
            _note(path, "`rotate`: each nameserver is the first to be asked in its turn, so that faults come and go")
        )
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
        case "rotate":
            settings.rotates = True
        case "single-request" | "single-request-reopen" | "trust-ad" | "edns0" | "no-reload":
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
