"""Whether CRI-O has credentials of its own for a place; what they are is never kept.

Source: go.podman.io/image 5.39, pkg/docker/config/config.go (getAuthFilePaths, findCredentialsInFile). They count where the
kubelet sends none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault

DEFAULT_FILES: Final = (
    "/run/containers/0/auth.json",
    "/root/.config/containers/auth.json",
    "/root/.docker/config.json",
    "/root/.dockercfg",
)
"""Of root, in order, where crio.conf names no global_auth_file."""
_HUB: Final = frozenset({"docker.io", "registry-1.docker.io", "index.docker.io"})
_LEGACY: Final = "/root/.dockercfg"


@frozen
class AuthFiles:
    """The keys that CRI-O's own files have, by file."""

    keys: tuple[frozenset[str], ...] = ()
    helped: frozenset[str] = frozenset()
    """Registries that a credential helper serves."""
    unknown: bool = False
    """Whether a file cannot be read here, or a helper is asked for every registry: it may hold anything."""
    problems: tuple[ConfigFacts, ...] = ()

    def may_hold(self, image: ImageReference) -> bool:
        """Whether there are, or may be, credentials for an image as the place that is asked names it."""
        registry = image.registry
        if self.unknown or registry in self.helped:
            return True
        return any(not keys.isdisjoint(_names(image)) or _hosts(keys, registry) for keys in self.keys)


def read_auth_files(fs: HostFS, global_file: str, helpers: tuple[str, ...]) -> AuthFiles:
    """Read the files' keys; nothing is raised."""
    keys: list[frozenset[str]] = []
    helped: set[str] = set()
    problems: list[ConfigFacts] = []
    unknown = bool(helpers)
    for path in (global_file,) if global_file else DEFAULT_FILES:
        try:
            document = json.loads(fs.read(path))
        except UnreadableFile as error:
            unknown = unknown or not error.missing
            continue
        except (ValueError, RecursionError):
            document = None
        auths = document if path == _LEGACY else document.get("auths", {}) if isinstance(document, dict) else None
        if not isinstance(auths, dict):
            problems.append(_invalid(path))
            continue
        keys.append(frozenset(key for key, entry in auths.items() if _filled(entry)))
        named = document.get("credHelpers") if isinstance(document, dict) and path != _LEGACY else None
        helped |= set(named) if isinstance(named, dict) else set()
    return AuthFiles(tuple(keys), frozenset(helped), unknown, tuple(problems))


def _filled(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("auth") or entry.get("identitytoken"))


def _names(image: ImageReference) -> Iterator[str]:
    name = image.name
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _hosts(keys: frozenset[str], registry: str) -> bool:
    """Whether a key is another spelling of the registry: with a scheme or a path, or one of Docker Hub's names."""
    wanted = _HUB if registry in _HUB else {registry}
    return any(
        key.removeprefix("https://").removeprefix("http://").partition("/")[0] in wanted
        for key in keys
        if _is_host(key)
    )


def _is_host(key: str) -> bool:
    """Whether a key names a whole registry; below a host, only API paths such as /v1/ do."""
    bare = key.removeprefix("https://").removeprefix("http://")
    return bare != key or "/" not in bare


def _invalid(path: str) -> ConfigFacts:
    why = "it is no JSON with an `auths` table, and CRI-O fails each pull for which the kubelet sends no credentials"
    return ConfigFacts(ConfigFault.INVALID, path, why, 'correct it: {"auths": {"HOST": {"auth": "…"}}}', decides=False)
