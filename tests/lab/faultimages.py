"""Images that a registry may hold but no good build makes: other platforms, old or unknown formats, broken layers."""

import functools
import gzip
import hashlib
import json
import os

from lab import images
from lab.errors import LabError
from lab.images import ARCHITECTURE, FOREIGN, NATIVE, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Blob, Image

SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
BIG_LAYER_BYTES = 24 << 20


@functools.cache
def make(kind: str, text: str) -> Image:
    """Return an image of *kind*, "plain" for a good one; *text* makes its content its own. Raises LabError."""
    if kind in _PLATFORMS:
        return images.build(text, _PLATFORMS[kind])
    if kind in _LAYERS:
        return _with_layer(text, kind)
    if kind in _TOPS:
        media_type, body = _TOPS[kind]
        return Image(Blob(media_type, body.replace("TEXT", text).encode()), (), ())
    if kind == "child-missing":
        whole = images.build(text, [f"{NATIVE}+"])
        return Image(whole.top, (), whole.blobs)
    raise LabError(f"no kind of image {kind!r}")


_PLATFORMS = {
    "plain": [NATIVE],
    "foreign": [FOREIGN],
    "foreign-index": [f"{FOREIGN}+"],
    "windows-index": ["windows/amd64+"],
    "many": [NATIVE, FOREIGN],
}
_LAYERS = {"wrong-size", "wrong-diff", "not-gzip", "broken-tar", "encrypted", "unknown-layer", "big-layer"}
_TOPS = {
    "no-json": (OCI_MANIFEST, "<html>TEXT</html>"),
    "unknown-type": ("application/vnd.lab.unknown+json", '{"schemaVersion":2,"about":"TEXT"}'),
    "schema1": (
        SCHEMA1,
        '{"schemaVersion":1,"name":"TEXT","tag":"1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}',
    ),
    "artifact": (
        OCI_MANIFEST,
        '{"schemaVersion":2,"mediaType":"' + OCI_MANIFEST + '","artifactType":"application/vnd.lab.TEXT",'
        '"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:'
        + hashlib.sha256(b"{}").hexdigest()
        + '","size":2},"layers":[]}',
    ),
}


def _with_layer(text: str, kind: str) -> Image:
    good, diff = images.layer({"about": text.encode()})
    raw = gzip.decompress(good.content)
    layer = {
        "not-gzip": Blob(OCI_LAYER, b"this is no gzip, " + text.encode()),
        "broken-tar": Blob(OCI_LAYER, gzip.compress(raw[: 512 + 100] + b"\xff" * 700, mtime=0)),
        "encrypted": Blob("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", good.content),
        "unknown-layer": Blob("application/vnd.lab.layer.unknown", good.content),
    }.get(kind, good)
    if kind == "big-layer":
        layer, diff = images.layer({"random": os.urandom(BIG_LAYER_BYTES)})
    if kind == "wrong-diff":
        diff = f"sha256:{hashlib.sha256(b'another').hexdigest()}"
    body = {"architecture": ARCHITECTURE, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
    config = Blob(OCI_CONFIG, json.dumps(body).encode())
    top = images.manifest(config, [layer])
    if kind == "wrong-size":
        value = json.loads(top.content)
        value["layers"][0]["size"] += 17
        top = Blob(OCI_MANIFEST, json.dumps(value).encode())
    return Image(top, (), (config, layer))
