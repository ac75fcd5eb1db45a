"""Reads containerd's config.toml with its imports into the one table of image settings that is in force.

Source: containerd 1.6 to 2.1, cmd/containerd/server/config and plugins/cri/images/plugin.go (migration), checked against
`containerd config dump` of 1.6.20, 1.7.24 and 2.1.9.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.runtime import toml
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.versions import Version

DEFAULT_FILE: Final = "/etc/containerd/config.toml"
MAX_FILES: Final = 64
"""Of one configuration with its imports."""

CRI: Final = "io.containerd.grpc.v1.cri"
IMAGES: Final = "io.containerd.cri.v1.images"
_MIGRATED: Final = (
    "registry",
    "image_decryption",
    "max_concurrent_downloads",
    "image_pull_progress_timeout",
    "image_pull_with_sync_fs",
)
_MIGRATED_CONTAINERD: Final = ("snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers")
_NEW_NAMES: Final = 2
"""Configuration version from which on plugins have full names."""
_SPLIT_PLUGINS: Final = 3
"""Configuration version from which on the CRI plugin's image settings are a plugin of their own."""


class InvalidRuntimeConfig(Exception):
    """containerd would not start with this file."""

    def __init__(self, path: str, why: str, mend: str, line: int | None = None) -> None:
        super().__init__(f"{path}:{line}: {why}" if line else f"{path}: {why}")
        self.path = path
        self.why = why
        self.mend = mend
        self.line = line


@frozen
class Place:
    """Where a setting stands; the line is None where it is not found."""

    file: str
    line: int | None = None


@dataclass(slots=True)
class Loaded:
    """The merged settings of all files."""

    images: toml.Table = field(default_factory=dict)
    """In the names of configuration version 3, whatever the files' versions."""
    plugins: toml.Table = field(default_factory=dict)
    """The sections of all plugins, under the names that the files give them."""
    number: int = 0
    """The configuration version that was named last, 0 where none was."""
    top: toml.Table = field(default_factory=dict)
    files: tuple[str, ...] = ()
    config_path: Place | None = None
    """Where `config_path` stands."""
    ignored: list[tuple[Place, str, str]] = field(default_factory=list)
    """Registry settings that this containerd overlooks: where, why and the mend."""


@frozen
class _Source:
    """One file that was read."""

    path: str
    text: str
    document: toml.Table


def load(path: str, version: Version, fs: HostFS) -> Loaded:
    """Read a configuration file and its imports as this version of containerd merges them.

    Raises InvalidRuntimeConfig where containerd itself would fail, UnreadableFile where the file cannot be read.
    """
    merged = Loaded()
    sources: list[_Source] = []
    pending = [path]
    while pending and len(merged.files) < MAX_FILES:
        current = pending.pop(0)
        if current in merged.files:
            continue
        try:
            data = fs.read(current)
        except UnreadableFile as error:
            if current == path or error.denied:
                raise
            if version.at_least(2, 0) and error.missing:
                break  # containerd takes the missing import for a missing configuration and stops reading here
            raise InvalidRuntimeConfig(
                current, f"the import cannot be read: {error.why}", f"correct `imports` in {path}"
            ) from None
        document, text = _parse(current, data, version)
        merged.files = (*merged.files, current)
        sources.append(_Source(current, text, document))
        _merge(merged, sources[-1], version)
        pending += _imports(document, current, version, fs)
    _check_version(merged, sources, version)
    _check_names(merged, sources, version)
    _settle(merged, sources, version)
    return merged


def _check_names(merged: Loaded, sources: list[_Source], version: Version) -> None:
    """Refuse short plugin names in a configuration of version 2, as 1.x does (ValidateV2); 2.x overlooks them."""
    short = next((name for name in merged.plugins if "." not in name), "")
    if not short or merged.number < _NEW_NAMES or version.at_least(2, 0):
        return
    source = next(one for one in reversed(sources) if short in _table(one.document, "plugins"))
    line = next((mark.line for mark in toml.headers(source.text) if mark.keys[:2] == ("plugins", short)), None)
    why = f"from version = 2 on plugins have full names, and {short[:40]!r} is none"
    raise InvalidRuntimeConfig(source.path, why, f'write [plugins."{CRI}"] for [plugins.cri]', line)


def _check_version(merged: Loaded, sources: list[_Source], version: Version) -> None:
    """Refuse a configuration version that is newer than the runtime, where that is known to refuse it; 1.6 reads on all the same."""
    newest = _SPLIT_PLUGINS if version.at_least(2, 0) else _NEW_NAMES
    if merged.number <= newest or not version.at_least(1, 7) or version.at_least(2, 2):
        return
    source = next(one for one in reversed(sources) if _number(one.document) == merged.number)
    why = f"this containerd reads configurations up to version {newest}, and the file says {merged.number}"
    mend = f"write version = {newest}, and the settings under the names of that version"
    raise InvalidRuntimeConfig(source.path, why, mend, toml.line_of(source.text, (), "version"))


def _parse(path: str, data: bytes, version: Version) -> tuple[toml.Table, str]:
    try:
        return toml.parse(data, go_toml_1=not version.at_least(2, 0)), data.decode()
    except toml.InvalidTOML as error:
        at = f", column {error.column}" if error.column else ""
        raise InvalidRuntimeConfig(path, f"it is no TOML: {error.why}{at}", "correct that line", error.line) from None


def _imports(document: toml.Table, path: str, version: Version, fs: HostFS) -> list[str]:
    found: list[str] = []
    imports = document.get("imports")
    for name in imports if isinstance(imports, list) else ():
        if not isinstance(name, str):
            continue
        # Up to 1.7 a pattern is relative to the working directory (`/` under systemd), a plain name to its file.
        relative = version.at_least(2, 0) or "*" not in name
        full = posixpath.normpath(posixpath.join(posixpath.dirname(path) if relative else "/", name))
        found += fs.glob(full) if "*" in full else [full]
    return found


def _merge(merged: Loaded, source: _Source, version: Version) -> None:
    """Put one more file over those before (containerd: cmd/containerd/server/config, LoadConfig and mergeConfig)."""
    number = _number(source.document)
    plugins = dict(_table(source.document, "plugins"))
    if version.at_least(2, 0) and number < _NEW_NAMES and "cri" in plugins:
        plugins.setdefault(CRI, plugins.pop("cri"))
    # From 2.1 on sections are merged key by key; before, an import replaces a plugin's section as a whole.
    merged.plugins = _deep(merged.plugins, plugins) if version.at_least(2, 1) else merged.plugins | plugins
    if number >= (_NEW_NAMES if version.at_least(2, 0) else 1):
        merged.number = number
    merged.top.update({key: source.document[key] for key in ("root", "state") if key in source.document})


def _number(document: toml.Table) -> int:
    number = document.get("version", 0)
    return number if isinstance(number, int) else 0


def _settle(merged: Loaded, sources: list[_Source], version: Version) -> None:
    """Read the merged sections under the names of the configuration version that was named last, which counts for all files."""
    if not version.at_least(2, 0):
        names: tuple[str, ...] = (CRI if merged.number >= _NEW_NAMES else "cri",)
        merged.images = _migrate({}, _table(merged.plugins, names[0]), whole=True)
    else:
        names = (CRI, IMAGES) if merged.number == _NEW_NAMES and CRI in merged.plugins else (IMAGES,)
        merged.images = dict(_table(merged.plugins, IMAGES))
        if CRI in names:
            merged.images = _migrate(merged.images, _table(merged.plugins, CRI), whole=False)
    for source in sources:
        _note_place(merged, source, names)
        _note_ignored(merged, source, version)


def _migrate(images: toml.Table, cri: toml.Table, *, whole: bool) -> toml.Table:
    """Return a CRI section's image settings. containerd 2's own migration overlooks some where no runtime is named."""
    settings: toml.Table = images | {key: cri[key] for key in _MIGRATED if key in cri}
    containerd = _table(cri, "containerd")
    if whole or "runtimes" in containerd:
        settings |= {key: containerd[key] for key in _MIGRATED_CONTAINERD if key in containerd}
    if "sandbox_image" in cri:
        settings["pinned_images"] = {**_table(images, "pinned_images"), "sandbox": cri["sandbox_image"]}
    return settings


def _note_place(merged: Loaded, source: _Source, names: tuple[str, ...]) -> None:
    for name in names:
        line = toml.line_of(source.text, ("plugins", name, "registry"), "config_path")
        if line is not None:
            merged.config_path = Place(source.path, line)
            return


def _note_ignored(merged: Loaded, source: _Source, version: Version) -> None:
    fresh = f'[plugins."{IMAGES}".registry]'
    overlooked: tuple[str, ...]
    if version.at_least(2, 0):
        renamed = _number(source.document) < _NEW_NAMES and merged.number == _NEW_NAMES
        overlooked = (*(() if renamed else ("cri",)), *((CRI,) if merged.number != _NEW_NAMES else ()))
        mend = f"write them under {fresh}, with version = 3 at the top"
        why = f"this containerd reads registry settings from {fresh} only, unless the file says version = 2"
    else:
        overlooked, mend = (IMAGES,), f'write them under [plugins."{CRI}".registry]'
        why = f'this containerd reads registry settings from [plugins."{CRI}".registry] only'
    for name in overlooked:
        if _table(_table(_table(source.document, "plugins"), name), "registry"):
            marks = toml.headers(source.text)
            line = next((mark.line for mark in marks if mark.keys[1:3] == (name, "registry")), None)
            merged.ignored.append((Place(source.path, line), why, mend))


def _deep(base: toml.Table, extra: toml.Table) -> toml.Table:
    result = dict(base)
    for key, value in extra.items():
        known = result.get(key)
        result[key] = _deep(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def _table(parent: toml.Table, key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}
