"""Reads manifests and indexes (image-spec 1.1, Docker schema 2) from bytes that anyone may have written."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.probe.answers import decode_json
from pullwhy.probe.platforms import Platform, acceptable, normalise
from pullwhy.text import printable

MAX_MANIFEST: Final = 4 * 1024 * 1024
"""Bytes of the largest manifest read (distribution-spec 1.1 lets registries stop at 4 MiB)."""
MAX_ENTRIES: Final = 1_000
"""Entries of an index, and layers of a manifest, that are read."""
MAX_PLATFORMS: Final = 64
"""Platforms of an index that are shown."""
MAX_SIZE: Final = 1 << 50
"""Bytes; a larger descriptor's size is nonsense."""
UNKNOWN_SIZE: Final = -1
"""Size of content whose descriptor tells none."""

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPT: Final = f"{DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_MANIFEST}, {OCI_INDEX}, */*"
"""What containerd accepts for a manifest (containerd 2.1: core/remotes/docker/resolver.go)."""

INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_IMAGE_CONFIGS: Final = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",  # Docker before 1.11
        "application/json",
        "",
    }
)
"""Config types that runtimes unpack; others make an artifact, which no container can be made of even where its pull succeeds."""
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1+"
_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})\Z")


class UnsupportedManifest(ValueError):
    """No runtime can use a manifest; the text says why."""


@frozen
class Descriptor:
    """One reference to content."""

    digest: str
    size: int
    media_type: str
    platform: Platform | None = None


@frozen
class Index:
    """The images of an index; attestations are left out."""

    entries: tuple[Descriptor, ...]

    def choose(self, node: Platform) -> Descriptor | None:
        """Return the entry that containerd takes on `node`; one without a platform only where none matches."""
        for wanted in acceptable(node):
            found = next((entry for entry in self.entries if entry.platform == wanted), None)
            if found is not None:
                return found
        return next((entry for entry in self.entries if entry.platform is None), None)

    def platforms(self) -> tuple[str, ...]:
        """Return the platforms that it has, as text."""
        names = {str(entry.platform) for entry in self.entries if entry.platform is not None}
        return tuple(printable(name, 80) for name in sorted(names)[:MAX_PLATFORMS])


@frozen
class Manifest:
    """One image: its config and layers."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """Bytes of config and layers together, compressed."""
        return self.config.size + sum(layer.size for layer in self.layers)

    def largest_layer(self) -> Descriptor | None:
        """Return the largest layer."""
        return max(self.layers, key=lambda layer: layer.size, default=None)


def media_type(header: str) -> str:
    """Return a Content-Type without its parameters."""
    return printable(header.split(";", 1)[0].strip().lower(), 150)


def unsupported_type(kind: str) -> str:
    """Return why no runtime takes a manifest of this media type, empty where runtimes do."""
    if kind in INDEXES or kind in MANIFESTS:
        return ""
    if kind.startswith(_SCHEMA_1):
        return "schema 1 manifest, which runtimes no longer read"
    return f"unknown manifest type {kind or '(none)'}"


def verified(data: bytes, digest: str) -> bool:
    """Tell whether `data` has `digest`."""
    algorithm, _, expected = digest.partition(":")
    if algorithm not in ("sha256", "sha384", "sha512"):
        return False
    return hashlib.new(algorithm, data).hexdigest() == expected


def is_digest(text: str) -> bool:
    """Tell whether `text` is a digest that runtimes take."""
    return bool(_DIGEST.match(text))


def parse(data: bytes, kind: str) -> Index | Manifest:
    """Read a manifest of media type `kind`; raises UnsupportedManifest."""
    why = unsupported_type(kind)
    if why:
        raise UnsupportedManifest(why)
    decoded = decode_json(data)
    if not isinstance(decoded, dict):
        raise UnsupportedManifest("the manifest is not a JSON object")
    return _index(decoded) if kind in INDEXES else _manifest(decoded)


def _index(decoded: dict[str, Any]) -> Index:
    raw = decoded.get("manifests")
    if not isinstance(raw, list):
        raise UnsupportedManifest("the index lists no manifests")
    entries = (_descriptor(entry) for entry in raw[:MAX_ENTRIES])
    return Index(tuple(entry for entry in entries if not (entry.platform and entry.platform.is_none)))


def _manifest(decoded: dict[str, Any]) -> Manifest:
    raw = decoded.get("layers")
    if not isinstance(raw, list) or not isinstance(decoded.get("config"), dict):
        raise UnsupportedManifest("the manifest has no config or no layers")
    layers = tuple(_descriptor(layer) for layer in raw[:MAX_ENTRIES])
    config = _descriptor(decoded["config"])
    if config.media_type not in _IMAGE_CONFIGS:
        raise UnsupportedManifest(f"an artifact that is no image: its config is {config.media_type}")
    if any(layer.media_type.endswith("+encrypted") for layer in layers):
        raise UnsupportedManifest("a layer is encrypted")
    return Manifest(config, layers)


def _descriptor(raw: Any) -> Descriptor:
    if not isinstance(raw, dict):
        raise UnsupportedManifest("a descriptor is not a JSON object")
    digest, size, kind = raw.get("digest"), raw.get("size"), raw.get("mediaType", "")
    if not isinstance(digest, str) or not is_digest(digest):
        raise UnsupportedManifest("a descriptor has no usable digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise UnsupportedManifest("a descriptor has no usable size")
    return Descriptor(digest, size, media_type(kind) if isinstance(kind, str) else "", _platform(raw.get("platform")))


def _platform(raw: Any) -> Platform | None:
    if not isinstance(raw, dict):
        return None
    parts = [value if isinstance(value := raw.get(key), str) else "" for key in ("os", "architecture", "variant")]
    return normalise(*(part[:40] for part in parts))


def config_platform(data: bytes) -> Platform | None:
    """Return the platform that an image config names, None where it names none."""
    decoded = decode_json(data)
    platform = _platform(decoded)
    return platform if platform is not None and platform.os and platform.architecture else None
