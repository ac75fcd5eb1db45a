"""Which resolver a Go program with cgo takes, and in which order names are looked up (Go 1.27: net/conf.go, net/nss.go).

Go resolves by itself where it understands the node's configuration, and leaves the rest to libc (glibc: nsswitch.conf(5)).
"""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen
from pullwhy.plan import FILES_DNS, LookupStep

MAX_SOURCES: Final = 16

_DEFAULTS: Final = {"success": "return", "notfound": "continue", "unavail": "continue", "tryagain": "continue"}


@frozen
class Source:
    """One source of the line `hosts:` with its criteria: status, action, and whether all other statuses are meant."""

    name: str
    criteria: tuple[tuple[str, str, bool], ...] = ()

    @property
    def usual(self) -> bool:
        """Whether the criteria change nothing, so that Go need not look at them (nssSource.standardCriteria)."""
        last = len(self.criteria) - 1
        for place, (status, action, negated) in enumerate(self.criteria):
            if negated or status not in _DEFAULTS:
                return False
            if action != _DEFAULTS[status] and not (place == last and action == "return"):
                return False
        return True

    @property
    def stops(self) -> tuple[str, ...]:
        """The outcomes, but success, at which libc ends the search."""
        actions = dict(_DEFAULTS)
        for status, action, negated in self.criteria:
            meant = [each for each in _DEFAULTS if (each != status if negated else each == status)]
            actions |= dict.fromkeys(meant, action)
        return tuple(each for each, action in actions.items() if action == "return" and each != "success")


def hosts_sources(text: str) -> tuple[Source, ...]:
    """Return the sources of the line `hosts:` of an nsswitch.conf, none where there is no such line."""
    for line in text.split("\n"):
        name, colon, rest = line.partition("#")[0].partition(":")
        if colon and name.strip() == "hosts":
            return _sources(rest)[:MAX_SOURCES]
    return ()


def _sources(text: str) -> tuple[Source, ...]:
    found: list[Source] = []
    for part in text.replace("[", " [").replace("]", "] ").split("["):
        criteria, bracket, names = part.partition("]")
        if not bracket:
            criteria, names = "", part
        elif found:
            found[-1] = Source(found[-1].name, tuple(_criterion(word) for word in criteria.lower().split()))
        found += [Source(name) for name in names.split()]
    return tuple(found)


def _criterion(word: str) -> tuple[str, str, bool]:
    status, _, action = word.removeprefix("!").partition("=")
    return status, action, word.startswith("!")


def why_libc(sources: tuple[Source, ...]) -> str:
    """Return why a Go with cgo leaves all names to libc, empty where it does not: `mdns` and `myhostname` take only their own."""
    for source in sources:
        if source.name in {"files", "dns"}:
            if not source.usual:
                return f"`{source.name}` has criteria of its own"
        elif source.name != "myhostname" and not source.name.startswith("mdns"):
            return f"it names `{source.name}`"
    return ""


def libc_steps(sources: tuple[Source, ...]) -> tuple[LookupStep, ...]:
    """Return libc's order: of the sources that may know a registry, each with where it ends the search."""
    steps = [LookupStep(one.name, one.stops) for one in sources if one.name != "myhostname" and not _is_mdns(one)]
    return tuple(steps) or FILES_DNS


def go_steps(sources: tuple[Source, ...], *, cgo: bool) -> tuple[LookupStep, ...]:
    """Return the order in which Go itself looks names up: a source that it does not know stands for DNS where DNS is not named."""
    names = [one.name for one in sources if not (cgo and (one.name == "myhostname" or _is_mdns(one)))]
    known = [name if name in {"files", "dns"} else ("" if "dns" in names else "dns") for name in names]
    return tuple(LookupStep(name) for name in dict.fromkeys(filter(None, known))) or FILES_DNS


def has_mdns(sources: tuple[Source, ...]) -> bool:
    """Tell whether names below `.local` are asked for by multicast."""
    return any(_is_mdns(one) for one in sources)


def _is_mdns(source: Source) -> bool:
    return source.name.startswith("mdns")
