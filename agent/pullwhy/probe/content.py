"""Follows a manifest down to its content: index, platform, config, one layer; each verified against its digest."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from pullwhy.model import Outcome, Stage
from pullwhy.probe import blobs
from pullwhy.probe.client import Client, Headers, Reply
from pullwhy.probe.manifests import (
    ACCEPT,
    MAX_MANIFEST,
    UNKNOWN_SIZE,
    Descriptor,
    Index,
    Manifest,
    UnsupportedManifest,
    config_platform,
    is_digest,
    media_type,
    parse,
)
from pullwhy.probe.platforms import acceptable
from pullwhy.probe.platforms import parse as parse_platform
from pullwhy.probe.record import Observation
from pullwhy.trace import BlobResult, Identity, ManifestFacts, PlatformFacts

MAX_DEPTH: Final = 3
"""Indexes within indexes that are followed."""
_CONTENT_FAULTS: Final = frozenset({BlobResult.MISSING, BlobResult.CORRUPT, BlobResult.STALLED})


class Content:
    """The content of one image at one endpoint, asked for as one identity."""

    def __init__(self, client: Client, identity: Identity, headers: Headers) -> None:
        self._client = client
        self._route = client.route
        self._plan = client.route.tools.plan
        self._identity = identity
        self._headers = headers
        self._node = parse_platform(self._plan.platform)

    async def walk(self, reply: Reply) -> bool:
        """Follow the manifest that a HEAD (or GET) named and tell whether all of it can be had."""
        content = self._top(reply)
        chosen: Descriptor | None = None
        for depth in range(MAX_DEPTH):
            read = await self._read(content, top=depth == 0)
            if isinstance(read, Manifest):
                return await self._blobs(read, chosen)
            if read is None:
                return False
            chosen = content = self._choose(read) or content
            if chosen not in read.entries:
                return False
        with self._stage(Stage.MANIFEST, content.digest) as seen:
            seen.manifest = ManifestFacts(unsupported="indexes within indexes without end")
            seen.failed("indexes within indexes without end")
        return False

    def _top(self, reply: Reply) -> Descriptor:
        answer = reply.answer
        told = answer.header("docker-content-digest").strip() if answer is not None else ""
        length = answer.header("content-length") if answer is not None else ""
        kind = media_type(answer.header("content-type")) if answer is not None else ""
        size = int(length) if length.isdecimal() and len(length) <= 12 else UNKNOWN_SIZE  # noqa: PLR2004
        return Descriptor(self._plan.image.digest or (told if is_digest(told) else ""), size, kind)

    async def _read(self, content: Descriptor, *, top: bool) -> Index | Manifest | None:
        """Read and verify one manifest; None where it cannot be used, which the trace then tells."""
        image = self._plan.image
        path = f"{self._client.repository}/manifests/{content.digest or image.reference}"
        with self._stage(Stage.MANIFEST, content.digest or image.reference) as seen:
            body = await blobs.read_whole(self._client, path, content, MAX_MANIFEST, self._headers, seen, ACCEPT)
            facts, seen.blob = seen.blob, None
            if body is None:
                if facts is not None and (facts.result in _CONTENT_FAULTS or not top):
                    seen.stage, seen.blob = Stage.BLOB, facts
                return None
            try:
                read = parse(body, content.media_type)
            except UnsupportedManifest as error:
                seen.manifest = ManifestFacts(content.media_type, content.digest, len(body), str(error))
                seen.failed(str(error))
                return None
            size = read.size if isinstance(read, Manifest) else 0
            seen.manifest = ManifestFacts(content.media_type, content.digest, len(body), layers_bytes=size)
            return read
        return None

    def _choose(self, index: Index) -> Descriptor | None:
        with self._stage(Stage.PLATFORM, self._plan.platform) as seen:
            chosen = index.choose(self._node)
            seen.platform = PlatformFacts(str(self._node), index.platforms())
            if chosen is None:
                seen.failed(f"the index has {', '.join(index.platforms()) or 'no platform'}, not {self._node}")
            return chosen
        return None

    async def _blobs(self, manifest: Manifest, chosen: Descriptor | None) -> bool:
        if not self._plan.probe_blobs:
            with self._stage(Stage.BLOB, manifest.config.digest) as seen:
                seen.skipped("the plan asks for no blobs")
            return True
        if not await self._config(manifest.config, chosen):
            return False
        layer = manifest.largest_layer()
        return layer is None or await self._layer(layer)

    async def _config(self, config: Descriptor, chosen: Descriptor | None) -> bool:
        with self._stage(Stage.BLOB, config.digest) as seen:
            path = self._blob_path(config)
            if config.size > blobs.MAX_CONFIG:
                await blobs.touch(self._client, path, config, self._headers, seen)
                return seen.outcome is Outcome.PASSED
            body = await blobs.read_whole(self._client, path, config, blobs.MAX_CONFIG, self._headers, seen)
            if body is None:
                return False
            seen.detail = "the config, as a whole"
        if seen.outcome is not Outcome.PASSED or body is None:
            return False
        return True if chosen is not None and chosen.platform is not None else self._platform_of(body, chosen)

    def _platform_of(self, config: bytes, chosen: Descriptor | None) -> bool:
        """Compare an image that no index named a platform for.

        containerd filters what an index lists, by the config where the index is silent; a manifest that the reference itself
        leads to is pulled whatever its platform (containerd 2.1: core/images/image.go, Manifest).
        """
        platform = config_platform(config)
        if platform is None:
            return True
        with self._stage(Stage.PLATFORM, self._plan.platform) as seen:
            seen.platform = PlatformFacts(str(self._node), (str(platform),))
            if platform not in acceptable(self._node):
                if chosen is not None:
                    seen.failed(f"the index has only {platform}, not {self._node}")
                else:
                    seen.detail = (
                        f"the image is for {platform}; runtimes pull it all the same, its programs will not start"
                    )
            return seen.outcome is Outcome.PASSED
        return False

    async def _layer(self, layer: Descriptor) -> bool:
        with self._stage(Stage.BLOB, layer.digest) as seen:
            path = self._blob_path(layer)
            if layer.size <= blobs.SMALL:
                await blobs.read_whole(self._client, path, layer, blobs.SMALL, self._headers, seen)
            else:
                await blobs.touch(self._client, path, layer, self._headers, seen)
            if seen.outcome is Outcome.PASSED:
                seen.detail = (
                    f"the largest layer, {layer.size} bytes{'' if layer.size <= blobs.SMALL else ': its first byte'}"
                )
            return seen.outcome is Outcome.PASSED
        return False

    def _blob_path(self, content: Descriptor) -> str:
        return f"{self._client.repository}/blobs/{content.digest}"

    def _stage(self, stage: Stage, target: str) -> AbstractContextManager[Observation]:
        return self._route.tools.recorder.stage(
            stage, target, endpoint=self._route.index, via=self._client.via, identity=self._identity
        )
