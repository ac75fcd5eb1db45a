"""CRI-O's own settings, as far as they bear on images: crio.conf with its drop-ins.

Source: CRI-O 1.24 to 1.36, pkg/config/config.go and internal/criocli: the file, then every file below the directory, each over
what came before. Of 1.35 on insecure_registries has no effect; short_name_mode is known from 1.34 on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, fields, replace
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.runtime import toml
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.versions import Version
from pullwhy.trace import ConfigFacts, ConfigFault

FILE: Final = "/etc/crio/crio.conf"
DIRECTORY: Final = "/etc/crio/crio.conf.d"
MAX_DEPTH: Final = 3
"""Of folders below the drop-in directory."""


@frozen
class CrioSettings:
    """The table [crio.image]; the fields are named as the keys are."""

    global_auth_file: str = ""
    signature_policy: str = ""
    signature_policy_dir: str = "/etc/crio/policies"
    pause_image: str = ""
    """Empty for the one that CRI-O was built with."""
    short_name_mode: str = "enforcing"
    insecure_registries: tuple[str, ...] = ()
    auto_reload_registries: bool = False
    places: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """Key to file and line that set it."""
    problems: tuple[ConfigFacts, ...] = ()
    """Of files that were left out; a CRI-O that is started with them does not come up."""

    def ignored(self, version: Version, registry: str) -> tuple[ConfigFacts, ...]:
        """Return settings for a registry that this CRI-O reads without heeding them."""
        if registry not in self.insecure_registries or not version.at_least(1, 35):
            return ()
        file, line = self.places["insecure_registries"]
        why = f"insecure_registries names {registry}, and has no effect from CRI-O 1.35 on"
        mend = (
            f"give {registry} a certificate whose authority is in /etc/containers/certs.d/{registry}/ca.crt;"
            " if it speaks plain HTTP, say so for this registry in registries.conf"
        )
        return (ConfigFacts(ConfigFault.IGNORED, file, why, mend, line, decides=False),)


_KEYS: Final = tuple(each.name for each in fields(CrioSettings) if each.name not in {"places", "problems"})


def read_settings(fs: HostFS, file: str = "", directory: str = "") -> CrioSettings:
    """Return the settings; raises UnreadableFile for a file that only CRI-O may read."""
    found = CrioSettings()
    for path in _paths(fs, file or FILE, directory or DIRECTORY):
        try:
            found = _merged(found, path, fs.read(path))
        except UnreadableFile as error:
            if error.denied:
                raise
            if not error.missing:
                found = _problem(found, path, error.why)
    return found


def _paths(fs: HostFS, file: str, directory: str) -> Iterator[str]:
    yield file
    yield from _below(fs, directory, MAX_DEPTH)


def _below(fs: HostFS, directory: str, depth: int) -> Iterator[str]:
    if not depth or fs.kind(directory) != "dir":
        return
    for entry in fs.entries(directory):
        path = f"{directory}/{entry.name}"
        if entry.is_dir:
            yield from _below(fs, path, depth - 1)
        else:
            yield path


def _merged(found: CrioSettings, path: str, data: bytes) -> CrioSettings:
    try:
        document = toml.parse(data)
    except toml.InvalidTOML as error:
        return _problem(found, path, f"it is no TOML: {error.why}", error.line)
    table: Any = document
    for name in ("crio", "image"):
        table = toml.get(table, name) if isinstance(table, dict) else None
    for key in _KEYS:
        value = toml.get(table, key) if isinstance(table, dict) else None
        if value is None:
            continue
        line = toml.line_of(data.decode(), ("crio", "image"), key)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = tuple(value)
        if type(value) is not type(getattr(found, key)):
            return _problem(found, path, f"`{key}` is of the wrong kind", line)
        changed: dict[str, Any] = {key: value, "places": found.places | {key: (path, line)}}
        found = replace(found, **changed)
    return found


def _problem(found: CrioSettings, path: str, why: str, line: int | None = None) -> CrioSettings:
    why = f"CRI-O cannot use this file, and does not start again with it: {why}"
    facts = ConfigFacts(ConfigFault.INVALID, path, why, "correct it before the next restart", line, decides=False)
    return replace(found, problems=(*found.problems, facts))
