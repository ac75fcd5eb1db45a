"""A small registry: images made on the spot, served by the rules of the distribution specification, with faults on order."""

import hashlib
import json
from dataclasses import dataclass, field

from pullwhy.probe.manifests import OCI_INDEX, OCI_MANIFEST
from walking.server import Answer, Got

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
API = {"Docker-Distribution-Api-Version": "registry/2.0"}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(kind: str, data: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


def error(status: int, *codes: str, message: str = "", headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": message} for code in codes]}).encode()
    return Answer(status, {"Content-Type": "application/json", **API, **(headers or {})}, body)


@dataclass
class Shop:
    """`faults` maps `METHOD /path` (or `* /path`), the longest prefix first, to what is answered instead."""

    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Answer] = field(default_factory=dict)
    challenge: str = ""
    authorization: tuple[str, ...] = ()
    """Authorization headers that are let in where there is a challenge."""

    def image(
        self, repository: str, tag: str, platform: str = "linux/amd64", layers: tuple[bytes, ...] = (b"layer",)
    ) -> str:
        """Add an image and return its manifest's digest."""
        os, _, rest = platform.partition("/")
        architecture, _, variant = rest.partition("/")
        config = json.dumps({"os": os, "architecture": architecture, "variant": variant}).encode()
        for blob in (config, *layers):
            self.blobs[digest_of(blob)] = blob
        manifest = {
            "schemaVersion": 2,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, layer) for layer in layers],
        }
        return self.put(repository, tag, OCI_MANIFEST, json.dumps(manifest).encode())

    def index(self, repository: str, tag: str, *platforms: str) -> str:
        """Add an index of images for these platforms, with an attestation."""
        entries: list[dict[str, object]] = []
        for platform in platforms:
            os, _, rest = platform.partition("/")
            architecture, _, variant = rest.partition("/")
            digest = self.image(repository, f"{tag}-{architecture}{variant}", platform)
            data = self.manifests[repository, digest][1]
            named = {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})}
            entries.append(descriptor(OCI_MANIFEST, data, platform=named))
        entries.append(descriptor(OCI_MANIFEST, b"{}", platform={"os": "unknown", "architecture": "unknown"}))
        return self.put(repository, tag, OCI_INDEX, json.dumps({"schemaVersion": 2, "manifests": entries}).encode())

    def put(self, repository: str, tag: str, kind: str, data: bytes) -> str:
        digest = digest_of(data)
        self.manifests[repository, tag] = self.manifests[repository, digest] = (kind, data)
        return digest

    def respond(self, got: Got) -> Answer:
        fault = self._fault(got)
        if fault is not None:
            return fault
        if self.challenge and got.headers.get("authorization") not in self.authorization:
            return error(401, "UNAUTHORIZED", headers={"WWW-Authenticate": self.challenge})
        repository, _, rest = got.path.removeprefix("/v2/").rpartition("/")
        repository, _, kind = repository.rpartition("/")
        if kind == "manifests":
            return self._manifest(repository, rest)
        if kind == "blobs":
            return self._blob(got, rest)
        return self._tags(repository)

    def _fault(self, got: Got) -> Answer | None:
        for key, answer in sorted(self.faults.items(), key=lambda item: -len(item[0])):
            method, _, path = key.partition(" ")
            if method in ("*", got.method) and got.path.startswith(path):
                return answer
        return None

    def _manifest(self, repository: str, reference: str) -> Answer:
        found = self.manifests.get((repository, reference))
        if found is None:
            known = any(name == repository for name, _ in self.manifests)
            return error(404, "MANIFEST_UNKNOWN" if known else "NAME_UNKNOWN")
        kind, data = found
        return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(data), **API}, data)

    def _blob(self, got: Got, digest: str) -> Answer:
        data = self.blobs.get(digest)
        if data is None:
            return error(404, "BLOB_UNKNOWN")
        if got.headers.get("range") == "bytes=0-0":
            return Answer(206, {"Content-Range": f"bytes 0-0/{len(data)}"}, data[:1])
        return Answer(200, {"Content-Type": "application/octet-stream"}, data)

    def _tags(self, repository: str) -> Answer:
        tags = [tag for name, tag in self.manifests if name == repository and not tag.startswith("sha256:")]
        if not tags:
            return error(404, "NAME_UNKNOWN")
        return Answer(
            200, {"Content-Type": "application/json", **API}, json.dumps({"name": repository, "tags": tags}).encode()
        )
