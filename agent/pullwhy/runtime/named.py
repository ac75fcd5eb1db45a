"""Which registries the runtime's own configuration names, for whichever image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pullwhy.image import InvalidReference, parse
from pullwhy.runtime.containerd.hosts import DOCKER_HUB
from pullwhy.runtime.crio.certificates import ROOTS
from pullwhy.runtime.dockerd import CERTIFICATES, daemon_settings
from pullwhy.runtime.effective import DOCKER, RuntimeView
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile

MAX_NAMED: Final = 256
"""Registries that are looked at."""
_ENCODED: Final = re.compile(r"(.{1,253})_(\d{1,5})_\Z")
"""How containerd writes `host:port` as a directory's name (containerd: docs/hosts.md)."""


def named_registries(view: RuntimeView) -> tuple[str, ...]:
    """Return the registries (`host[:port]`) that have settings of their own here, sorted; patterns are none.

    A directory `_default`, and what it leads to, is about all registries, and so names none of them.
    """
    found = sorted({name for text in _texts(view) if (name := _registry(text))})
    return tuple(found[:MAX_NAMED])


def _texts(view: RuntimeView) -> Iterator[str]:
    config = view.config
    if config is not None:
        if config.inline:
            yield from (*config.mirrors, *config.tls)
        for root in config.roots:
            yield from map(_decoded, _directories(root, view.fs))
    elif view.name == DOCKER:
        settings = daemon_settings(view.fs)
        yield from settings.insecure
        yield from (DOCKER_HUB,) if settings.mirrors else ()
        yield from (name for root in CERTIFICATES for name in _directories(root, view.fs))
    else:
        yield from (name for root in ROOTS for name in _directories(root, view.fs))
        yield from _of_registries_conf(view.fs)


def _of_registries_conf(fs: HostFS) -> Iterator[str]:
    from pullwhy.runtime.crio.registries import UnusableRegistries, read_registries  # noqa: PLC0415 - as in effective

    try:
        tables = read_registries(fs).registries
    except (UnusableRegistries, UnreadableFile):
        return
    yield from (table.prefix.partition("/")[0] for table in tables)


def _directories(root: str, fs: HostFS) -> tuple[str, ...]:
    try:
        entries = fs.entries(root)
    except UnreadableFile:
        return ()
    return tuple(entry.name for entry in entries if entry.name != "_default")


def _decoded(directory: str) -> str:
    encoded = _ENCODED.match(directory)
    return f"{encoded[1]}:{encoded[2]}" if encoded else directory


def _registry(text: str) -> str:
    """Return a registry as images name it; empty for what no image can name, such as a pattern."""
    try:
        registry = parse(f"{text}/a/a").registry
    except InvalidReference:
        return ""
    return registry if text in {registry, "index.docker.io"} else ""
