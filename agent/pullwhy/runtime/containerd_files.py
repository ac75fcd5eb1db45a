"""Reads containerd's config.toml with its imports into the one table of image settings that is in force.

Source: containerd 1.6 to 2.1, cmd/containerd/server/config and plugins/cri/images/plugin.go (migration), checked against
`containerd config dump` of 1.6.20, 1.7.24 and 2.1.9.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any, Final

from pullwhy.runtime import toml
from pullwhy.runtime.hostfs import HostFS, UnreadableFile
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting stands; the line is None where it is not found."""

    file: str
    line: int | None = None


@dataclass(slots=True)
class Loaded:
    """The merged settings of all files."""

    images: toml.Table = field(default_factory=dict)
    """In the names of configuration version 3, whatever the files' versions."""
    top: toml.Table = field(default_factory=dict)
    files: tuple[str, ...] = ()
    config_path: Place | None = None
    """Where `config_path` stands."""
    ignored: list[tuple[Place, str, str]] = field(default_factory=list)
    """Registry settings that this containerd overlooks: where, why and the mend."""


def load(path: str, version: Version, fs: HostFS) -> Loaded:
    """Read a configuration file and its imports as this version of containerd merges them.

    Raises InvalidRuntimeConfig where containerd itself would fail, UnreadableFile where the file cannot be read.
    """
    merged = Loaded()
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
        _merge(merged, document, text, current, version)
        pending += _imports(document, current, version, fs)
    return merged


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


def _merge(merged: Loaded, document: toml.Table, text: str, path: str, version: Version) -> None:
    plugins = _table(document, "plugins")
    number = document.get("version", 0)
    number = number if isinstance(number, int) else 0
    name, images = _images(plugins, number, version)
    if images:
        _note_place(merged, (text, path), name)
        # From 2.1 on sections are merged key by key; before, an import replaces a plugin's section as a whole.
        merged.images = _deep(merged.images, images) if version.at_least(2, 1) else images
    _note_ignored(merged, plugins, number, (text, path), version)
    merged.top.update({key: document[key] for key in ("root", "state") if key in document})


def _images(plugins: toml.Table, number: int, version: Version) -> tuple[tuple[str, ...], toml.Table]:
    """Return the plugin's name in this file and its image settings, in the names of version 3."""
    if not version.at_least(2, 0):
        name = CRI if number >= _NEW_NAMES else "cri"
        return (name,), _migrate({}, _table(plugins, name), whole=True)
    images = dict(_table(plugins, IMAGES))
    if number == _NEW_NAMES and CRI in plugins:
        return (CRI, IMAGES), _migrate(images, _table(plugins, CRI), whole=False)
    return (IMAGES,), images


def _migrate(images: toml.Table, cri: toml.Table, *, whole: bool) -> toml.Table:
    """Return a CRI section's image settings. containerd 2's own migration overlooks some where no runtime is named."""
    settings: toml.Table = images | {key: cri[key] for key in _MIGRATED if key in cri}
    containerd = _table(cri, "containerd")
    if whole or "runtimes" in containerd:
        settings |= {key: containerd[key] for key in _MIGRATED_CONTAINERD if key in containerd}
    if "sandbox_image" in cri:
        settings["pinned_images"] = {**_table(images, "pinned_images"), "sandbox": cri["sandbox_image"]}
    return settings


def _note_place(merged: Loaded, source: tuple[str, str], names: tuple[str, ...]) -> None:
    text, path = source
    for name in names:
        line = toml.line_of(text, ("plugins", name, "registry"), "config_path")
        if line is not None:
            merged.config_path = Place(path, line)
            return


def _note_ignored(merged: Loaded, plugins: toml.Table, number: int, source: tuple[str, str], version: Version) -> None:
    text, path = source
    fresh = f'[plugins."{IMAGES}".registry]'
    if version.at_least(2, 0):
        names, mend = (
            (("cri", CRI) if number < _NEW_NAMES else (CRI,)),
            f"write them under {fresh}, with version = 3 at the top",
        )
        overlooked = names if number != _NEW_NAMES else ()
        why = f"this containerd reads registry settings from {fresh} only, unless the file says version = 2"
    else:
        overlooked, mend = (IMAGES,), f'write them under [plugins."{CRI}".registry]'
        why = f'this containerd reads registry settings from [plugins."{CRI}".registry] only'
    for name in overlooked:
        if _table(_table(plugins, name), "registry"):
            line = next((mark.line for mark in toml.headers(text) if mark.keys[1:3] == (name, "registry")), None)
            merged.ignored.append((Place(path, line), why, mend))


def _deep(base: toml.Table, extra: toml.Table) -> toml.Table:
    result = dict(base)
    for key, value in extra.items():
        known = result.get(key)
        result[key] = _deep(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def _table(parent: toml.Table, key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}
