"""Parses one registries.conf into its tables, or says why CRI-O refuses it.

Source: go.podman.io/image 5.39 and containers/image 5.23, pkg/sysregistriesv2, checked against what skopeo with either contacts.
Every check is the library's own: what it accepts, however odd, is accepted here.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.image import InvalidReference, parse
from pullwhy.runtime import toml, urls
from pullwhy.runtime.crio.registrytables import InvalidRegistriesFile, Location, PullFrom, RegistriesFile, Registry

MAX_DOMAIN: Final = 255
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_V1: Final = ("search", "insecure", "block")
_V2_LISTS: Final = ("unqualified-search-registries", "credential-helpers")
_MODES: Final = ("disabled", "enforcing", "permissive")
_AS_TABLE: Final = "write each registry as [[registry]], and its mirrors as [[registry.mirror]]"
_NO_SCHEME: Final = "write host[:port][/path] without a scheme"


def parse_registries_file(
    data: bytes, path: str, *, drop_in: bool = False, keeps_slash: bool = False
) -> RegistriesFile:
    """Return what a registries.conf says; `drop_in` for one of registries.conf.d, which may not be of the old form.

    `keeps_slash`: whether a slash at the end of a mirror's location stays there, as in containers/image up to 5.34 at least.

    Raises InvalidRegistriesFile where the library refuses the file.
    """
    try:
        document = toml.parse(data)
    except toml.InvalidTOML as error:
        at = f", column {error.column}" if error.column else ""
        raise InvalidRegistriesFile(
            f"it is no TOML: {error.why}{at}", "correct the syntax on that line", error.line
        ) from None
    return _File(document, data.decode(), path, keeps_slash=keeps_slash).read(drop_in=drop_in)


class _File:
    def __init__(self, document: toml.Table, text: str, path: str, *, keeps_slash: bool) -> None:
        self._document = document
        self._keeps_slash = keeps_slash
        self._text = text
        self._path = path
        self._lines = [mark.line for mark in toml.headers(text, arrays=True) if mark.keys == ("registry",)]

    def read(self, *, drop_in: bool) -> RegistriesFile:
        old = self._v1()
        if old is not None:
            return self._converted(old, drop_in=drop_in)
        registries = self._registries()
        search = self._texts(_V2_LISTS[0])
        helpers = self._texts(_V2_LISTS[1])
        aliases = self._aliases()
        _check_conflicts(registries)
        search = None if search is None else tuple(self._search(entry) for entry in search)
        self._check_mode()
        for registry in registries:
            if registry.prefix.startswith("*.") and any(mark in registry.prefix for mark in "/@:"):
                why = f"the prefix {registry.prefix[:80]!r} has more than a domain after the wildcard"
                raise InvalidRegistriesFile(why, 'write it as prefix = "*.example.com"', registry.line)
        self._check_aliases(aliases)
        line = toml.line_of(self._text, (), _V2_LISTS[0])
        return RegistriesFile(self._path, _distinct(registries), search, line, aliases, helpers)

    def _v1(self) -> dict[str, tuple[str, ...]] | None:
        table = toml.get(self._document, "registries")
        if table is None:
            return None
        if not isinstance(table, dict):
            raise self._fault("registries", "`registries` is no table", "write each registry as [[registry]]")
        found: dict[str, tuple[str, ...]] = {}
        for key in _V1:
            part = toml.get(table, key)
            names = toml.get(part, "registries") if isinstance(part, dict) else None
            if part is not None and not isinstance(part, dict):
                raise self._fault(key, f"`registries.{key}` is no table", "write each registry as [[registry]]")
            if names is not None:
                found[key] = self._all_texts(names, f"registries.{key}")
        return found or None

    def _converted(self, old: dict[str, tuple[str, ...]], *, drop_in: bool) -> RegistriesFile:
        if drop_in:
            raise InvalidRegistriesFile(
                "it is of the old form (version 1), which is not accepted in registries.conf.d", _AS_TABLE
            )
        if any(toml.get(self._document, key) is not None for key in ("registry", "aliases", *_V2_LISTS)) or toml.get(
            self._document, "short-name-mode"
        ):
            raise InvalidRegistriesFile("it mixes the old form (version 1) with [[registry]] (version 2)", _AS_TABLE)
        blocked = [self._location(name, None) for name in old.get("block", ())]
        insecure = [self._location(name, None) for name in old.get("insecure", ())]
        registries = [
            Registry(name, Location(name, name in insecure), blocked=name in blocked, file=self._path)
            for name in dict.fromkeys((*blocked, *insecure))
        ]
        for registry in registries:
            if not registry.prefix:
                raise InvalidRegistriesFile("a registry has neither a location nor a prefix", _NO_SCHEME)
        search = tuple(self._search(entry) for entry in old["search"]) if "search" in old else None
        return RegistriesFile(self._path, _distinct(registries), search, v1=True)

    def _registries(self) -> list[Registry]:
        tables = toml.get(self._document, "registry")
        if tables is None:
            return []
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._fault("registry", "`registry` is no list of tables", _AS_TABLE)
        lines = self._lines if len(self._lines) == len(tables) else [None] * len(tables)
        return [self._registry(table, line) for table, line in zip(tables, lines, strict=True)]

    def _registry(self, table: toml.Table, line: int | None) -> Registry:
        place = _Place(table, line)
        mirrors = place.value("mirror")
        if mirrors is not None and not (isinstance(mirrors, list) and all(isinstance(each, dict) for each in mirrors)):
            raise place.fault("`mirror` is no list of tables", _AS_TABLE)
        location, prefix = self._location(place.text("location"), line), place.text("prefix")
        if not prefix:
            if not location:
                raise place.fault("it has neither a location nor a prefix", 'add location = "HOST"')
            prefix = location
        else:
            prefix = self._location(prefix, line)
            if not prefix.startswith("*.") and not location:
                raise place.fault(f"the registry with the prefix {prefix[:80]!r} has no location", "add its location")
        if place.text("pull-from-mirror"):
            raise place.fault("pull-from-mirror is set for a registry", "set it in its [[registry.mirror]] instead")
        digest_only = place.truth("mirror-by-digest-only")
        return Registry(
            prefix,
            Location(location, place.truth("insecure")),
            tuple(self._mirror(each, line, digest_only=digest_only) for each in mirrors or ()),
            place.truth("blocked"),
            digest_only,
            self._path,
            line,
        )

    def _mirror(self, table: toml.Table, line: int | None, *, digest_only: bool) -> Location:
        place = _Place(table, line)
        location = self._location(place.text("location"), line)
        if not location:
            raise place.fault("one of its mirrors has no location", "add the mirror's location")
        wanted = place.text("pull-from-mirror")
        if digest_only and wanted:
            why = f"it sets mirror-by-digest-only, and its mirror {location[:80]!r} sets pull-from-mirror"
            raise place.fault(why, "set one of the two")
        if wanted and wanted not in list(PullFrom):
            why = f"its mirror {location[:80]!r} has the unknown pull-from-mirror {wanted[:40]!r}"
            raise place.fault(why, f"use one of {', '.join(PullFrom)}")
        written = place.text("location") if self._keeps_slash else location
        return Location(written, place.truth("insecure"), PullFrom(wanted or "all"))

    def _location(self, text: str, line: int | None) -> str:
        trimmed = text.rstrip("/")
        if trimmed.startswith(("http://", "https://")):
            shown = urls.without_user_info(text)[:120]
            raise InvalidRegistriesFile(f"{shown!r} has a scheme, and none is accepted here", _NO_SCHEME, line)
        return trimmed

    def _search(self, text: str) -> str:
        name = self._location(text, toml.line_of(self._text, (), _V2_LISTS[0]))
        if len(name) > MAX_DOMAIN or not _DOMAIN.match(name):
            why = f"the search registry {name[:80]!r} is no host[:port]"
            raise self._fault(_V2_LISTS[0], why, "write host[:port] alone")
        return name

    def _texts(self, key: str) -> tuple[str, ...] | None:
        values = toml.get(self._document, key)
        return None if values is None else self._all_texts(values, key)

    def _all_texts(self, values: Any, key: str) -> tuple[str, ...]:
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._fault(key, f"`{key}` is no list of texts", f'write {key} = ["…"]')
        return tuple(values)

    def _check_mode(self) -> None:
        mode = toml.get(self._document, "short-name-mode")
        if mode is not None and not isinstance(mode, str):
            raise self._fault("short-name-mode", "`short-name-mode` is no text", 'write short-name-mode = "enforcing"')
        if mode and mode not in _MODES:
            why = f"the short-name-mode {mode[:40]!r} is unknown"
            raise self._fault("short-name-mode", why, f"use one of {', '.join(_MODES)}")

    def _aliases(self) -> dict[str, str]:
        table = toml.get(self._document, "aliases")
        if table is None:
            return {}
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
            raise self._fault("aliases", "`aliases` is no table of texts", 'write "name" = "registry/repository"')
        return dict(table)

    def _check_aliases(self, aliases: dict[str, str]) -> None:
        for name, value in aliases.items():
            if not is_short(name):
                why = f"the alias {name[:80]!r} is no short name without a tag"
            elif value and not _is_repository(value):
                why = (
                    f"the alias {name[:80]!r} stands for {value[:120]!r}, which is no registry/repository without a tag"
                )
            else:
                continue
            line = toml.line_of(self._text, ("aliases",), name)
            raise InvalidRegistriesFile(why, 'write "name" = "registry/repository"', line)

    def _fault(self, key: str, why: str, mend: str) -> InvalidRegistriesFile:
        return InvalidRegistriesFile(why, mend, toml.line_of(self._text, (), key))


@frozen
class _Place:
    """One table, and the line of the [[registry]] that it belongs to."""

    table: toml.Table
    line: int | None

    def value(self, key: str) -> Any:
        return toml.get(self.table, key)

    def text(self, key: str) -> str:
        value = self.value(key)
        if value is None or isinstance(value, str):
            return value or ""
        raise self.fault(f"`{key}` is no text", f'write {key} = "…"')

    def truth(self, key: str) -> bool:
        value = self.value(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.fault(f"`{key}` is neither true nor false", f"write {key} = false, without quotes")

    def fault(self, why: str, mend: str) -> InvalidRegistriesFile:
        return InvalidRegistriesFile(why, mend, self.line)


def is_short(name: str) -> bool:
    """Whether a name is a short one: no registry, no tag, no digest."""
    return _names_repository(name) and not _has_domain(name)


def _is_repository(name: str) -> bool:
    return _names_repository(name) and _has_domain(name)


def _names_repository(name: str) -> bool:
    try:
        image = parse(name)
    except InvalidReference:
        return False
    return "tag" in image.defaulted


def _has_domain(name: str) -> bool:
    domain, slash, _ = name.partition("/")
    return bool(slash) and (any(mark in domain for mark in ".:") or domain == "localhost")


def _check_conflicts(registries: list[Registry]) -> None:
    """Refuse a location that two tables hold for secure and insecure, or blocked and not."""
    first: dict[str, Registry] = {}
    for registry in registries:
        name = registry.upstream.location or registry.prefix
        other = first.setdefault(name, registry)
        for key, one, two in (
            ("insecure", other.upstream.insecure, registry.upstream.insecure),
            ("blocked", other.blocked, registry.blocked),
        ):
            if one != two:
                why = f"{name[:80]!r} is {key} in one [[registry]] and not in another"
                raise InvalidRegistriesFile(why, f"give all of them the same {key}", registry.line)


def _distinct(registries: list[Registry]) -> tuple[Registry, ...]:
    found: dict[str, Registry] = {}
    for registry in registries:
        found.setdefault(registry.prefix, registry)
    return tuple(found[prefix] for prefix in sorted(found))
