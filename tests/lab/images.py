"""Images of a few hundred bytes, made by hand: blobs, a manifest for each platform, and an index where there are several."""

import dataclasses
import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
NATIVE = f"linux/{ARCHITECTURE}"
FOREIGN = "linux/arm64" if ARCHITECTURE == "amd64" else "linux/amd64"
"""A platform that this machine is not of."""


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with a media type, named by their digest."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 digest as registries write it."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def descriptor(self, **more: Any) -> dict[str, Any]:
        """Return the OCI descriptor of these bytes."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image: the manifest or index that a tag names, the manifests below it, and the blobs they name."""

    top: Blob
    manifests: tuple[Blob, ...]
    blobs: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        """The digest of what the tag names."""
        return self.top.digest

    def tar(self, reference: str) -> bytes:
        """Return an OCI layout as a tar file that names the image *reference*."""
        index = {"schemaVersion": 2, "manifests": [self.top.descriptor(annotations=_names(reference))]}
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": _json(index)}
        for blob in (self.top, *self.manifests, *self.blobs):
            files[f"blobs/{blob.digest.replace(':', '/')}"] = blob.content
        return _tar(files)


def layer(files: Mapping[str, bytes], mode: int = 0o755) -> tuple[Blob, str]:
    """Return a layer with *files* and the digest of its uncompressed form."""
    raw = _tar(files, mode)
    return Blob(OCI_LAYER, gzip.compress(raw, mtime=0)), f"sha256:{hashlib.sha256(raw).hexdigest()}"


def single(files: Mapping[str, bytes], target: str = NATIVE, entrypoint: Sequence[str] = ("/pause",)) -> Image:
    """Return an image for one platform ("os/architecture")."""
    system, _, architecture = target.partition("/")
    content, diff = layer(files)
    config = Blob(
        OCI_CONFIG,
        _json(
            {
                "architecture": architecture,
                "os": system,
                "config": {"Entrypoint": list(entrypoint)},
                "rootfs": {"type": "layers", "diff_ids": [diff]},
            }
        ),
    )
    return Image(manifest(config, [content]), (), (config, content))


def manifest(config: Blob, layers: Sequence[Blob]) -> Blob:
    """Return the OCI manifest of a config and its layers."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in layers],
    }
    return Blob(OCI_MANIFEST, _json(body))


def build(text: str, platforms: Sequence[str] = (NATIVE,)) -> Image:
    """Return an image whose only file holds *text*: a plain manifest for one platform, an index for several.

    One platform with a trailing "+" ("linux/arm64+") also gives an index, with that platform only.
    """
    made = {target.rstrip("+"): single({"about": text.encode()}, target.rstrip("+")) for target in platforms}
    if len(made) == 1 and not platforms[0].endswith("+"):
        return next(iter(made.values()))
    return index(made)


def index(images: Mapping[str, Image]) -> Image:
    """Return an index of images by platform."""
    entries = []
    for target, image in images.items():
        system, _, architecture = target.partition("/")
        entries.append(image.top.descriptor(platform={"os": system, "architecture": architecture}))
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    blobs = tuple(blob for image in images.values() for blob in image.blobs)
    return Image(Blob(OCI_INDEX, _json(body)), tuple(image.top for image in images.values()), blobs)


def _names(reference: str) -> dict[str, str]:
    # containerd's import goes by the first, other tools by the second.
    tag = reference.rpartition(":")[2]
    return {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _tar(files: Mapping[str, bytes], mode: int = 0o755) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
