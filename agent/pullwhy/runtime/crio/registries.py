"""registries.conf with its drop-ins as CRI-O reads them together, and where an image is pulled from by it.

Source: go.podman.io/image 5.39, pkg/sysregistriesv2 (newConfigWrapper, dropInConfigs, FindRegistry, PullSourcesFromReference).
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, InvalidReference, parse
from pullwhy.runtime.crio.registriesconf import parse_registries_file
from pullwhy.runtime.crio.registrytables import InvalidRegistriesFile, Location, PullFrom, Registry
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault

SYSTEM: Final = "/etc/containers/registries.conf"
USER: Final = "/root/.config/containers/registries.conf"
"""Of root, as whom CRI-O runs; where it is there, the system's file and drop-ins are not read."""


class UnusableRegistries(Exception):
    """The files fail every pull before any host is asked."""

    def __init__(self, facts: ConfigFacts) -> None:
        super().__init__(f"{facts.file}: {facts.why}")
        self.facts = facts


@frozen
class Source:
    """One place that CRI-O would pull an image from."""

    image: ImageReference
    """As this place names it."""
    location: Location
    is_mirror: bool
    registry: Registry | None = None
    """The table that says so."""


@frozen
class Registries:
    """What the files say together."""

    registries: tuple[Registry, ...] = ()
    search: tuple[str, ...] = ()
    search_place: str = SYSTEM
    """File, and line where known, that set the search registries."""
    aliases: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Short name to repository, which is empty where it was taken back, and the file."""
    helpers: tuple[str, ...] = ()
    """External credential helpers, for every registry."""
    files: tuple[str, ...] = ()
    """What was read."""

    def find(self, name: str) -> Registry | None:
        """Return the table with the longest prefix that fits a registry/repository."""
        fitting = [registry for registry in self.registries if matched(name, registry.prefix) is not None]
        return max(fitting, key=lambda registry: len(registry.prefix.encode()), default=None)

    def sources(self, image: ImageReference) -> tuple[Source, ...]:
        """Return where an image is pulled from: the mirrors that may be asked, in order, and last the registry itself.

        Raises UnusableRegistries where a place does not make a reference.
        """
        registry = self.find(image.name)
        if registry is None:
            return (Source(image, Location(image.registry), is_mirror=False),)
        mirrors = [mirror for mirror in registry.mirrors if _may_ask(mirror, registry, image)]
        found = [Source(_rewritten(image, mirror, registry), mirror, True, registry) for mirror in mirrors]
        return (
            *found,
            Source(
                _rewritten(image, registry.upstream, registry), registry.upstream, is_mirror=False, registry=registry
            ),
        )


def read_registries(fs: HostFS, *, keeps_slash: bool = False) -> Registries:
    """Read the files that CRI-O reads; raises UnusableRegistries, and UnreadableFile for one that only it may read.

    `keeps_slash`: see parse_registries_file.
    """
    own = bool(fs.kind(USER))
    main, directories = (USER, [f"{USER}.d"]) if own else (SYSTEM, [f"{SYSTEM}.d", f"{USER}.d"])
    found = Registries()
    paths = [(main, False)] if fs.kind(main) else []
    paths += [(path, True) for directory in directories for path in _drop_ins(directory, fs)]
    for path, drop_in in paths:
        found = _merged(found, path, fs, drop_in=drop_in, keeps_slash=keeps_slash)
    return found


def matched(name: str, prefix: str) -> int | None:
    """Return how many characters of a registry/repository a prefix takes up; None where it does not fit.

    A prefix without a port fits a name with one: the library says not to rely on it, and does it (refMatchingPrefix).
    """
    if prefix.startswith("*."):
        begin = name.find(prefix[1:])
        end = begin + len(prefix) - 1
        fits = begin >= 0 and "/" not in name[:begin]
    else:
        end = len(prefix)
        fits = name.startswith(prefix)
    return end if fits and name[end : end + 1] in {"", ":", "/", "@"} else None


def _may_ask(mirror: Location, registry: Registry, image: ImageReference) -> bool:
    if registry.digest_only:
        return bool(image.digest)
    return mirror.pull_from is PullFrom.ALL or (mirror.pull_from is PullFrom.DIGEST_ONLY) == bool(image.digest)


def _rewritten(image: ImageReference, place: Location, registry: Registry) -> ImageReference:
    """Return the image as a place names it: the place's location instead of the prefix."""
    if not place.location:
        return image
    whole = str(image)
    text = place.location + whole[matched(whole, registry.prefix) or 0 :]
    try:
        found = parse(text)
    except InvalidReference as error:
        raise _unusable(registry, place, f"{text[:200]!r} is no image: {error.fault}") from None
    if str(found) != text:
        raise _unusable(registry, place, f"{text[:200]!r} does not begin with a registry's whole name")
    return found


def _unusable(registry: Registry, place: Location, why: str) -> UnusableRegistries:
    why = f"for images of {registry.prefix} the location {place.location[:120]!r} makes no reference: {why}"
    mend = "write it as host[:port][/path], such as docker.io/library for Docker Hub's own images"
    if place.location.endswith("/"):
        mend = "take the slash from its end, which this CRI-O does not do by itself"
    return UnusableRegistries(ConfigFacts(ConfigFault.INVALID, registry.file, why, mend, registry.line))


def _drop_ins(directory: str, fs: HostFS) -> tuple[str, ...]:
    """Return a directory's *.conf files, sorted (Go: filepath.WalkDir); none where there is no such directory."""
    if fs.kind(directory) != "dir":
        return ()
    return tuple(
        f"{directory}/{entry.name}"
        for entry in fs.entries(directory)
        if not entry.is_dir and entry.name.endswith(".conf")
    )


def _merged(found: Registries, path: str, fs: HostFS, *, drop_in: bool, keeps_slash: bool) -> Registries:
    """Return what was found with what a later file says: tables by prefix, aliases by name, lists as a whole."""
    try:
        file = parse_registries_file(fs.read(path), path, drop_in=drop_in, keeps_slash=keeps_slash)
    except InvalidRegistriesFile as error:
        why = f"CRI-O cannot use this file: {error.why}"
        raise UnusableRegistries(ConfigFacts(ConfigFault.INVALID, path, why, error.mend, error.line)) from None
    except UnreadableFile as error:
        if error.denied:
            raise
        if error.missing and drop_in:
            return found
        why = f"CRI-O cannot read this file: {error.why}"
        raise UnusableRegistries(
            ConfigFacts(ConfigFault.INVALID, path, why, "put a file there, or remove it")
        ) from None
    tables = {registry.prefix: registry for registry in (*found.registries, *file.registries)}
    merged = replace(
        found,
        registries=tuple(tables[prefix] for prefix in sorted(tables)),
        aliases=found.aliases | {name: (value, path) for name, value in file.aliases.items()},
        files=(*found.files, path),
    )
    if file.helpers is not None:
        merged = replace(merged, helpers=tuple(name for name in file.helpers if name != "containers-auth.json"))
    if file.search is not None:
        place = f"{path}:{file.search_line}" if file.search_line else path
        merged = replace(merged, search=file.search, search_place=place)
    return merged
