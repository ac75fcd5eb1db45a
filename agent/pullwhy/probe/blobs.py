"""Looks at content by digest: small blobs as a whole and verified, of a large one a single byte."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.model import Via
from pullwhy.probe import url as urls
from pullwhy.probe.client import Ask, Client, Headers, Reply
from pullwhy.probe.http import Answered
from pullwhy.probe.manifests import UNKNOWN_SIZE, Descriptor, verified
from pullwhy.probe.record import Observation
from pullwhy.secret import Secret
from pullwhy.trace import BlobFacts, BlobResult, HTTPFault

SMALL: Final = 65_536
"""Bytes up to which a layer is read as a whole: as cheap as one byte of it, and it can be verified."""
MAX_CONFIG: Final = 1_048_576
"""Bytes of the largest image config that is read."""
_TOTAL: Final = re.compile(r"bytes \d{1,18}-\d{1,18}/(\d{1,18})\Z")
_OK: Final = 200
_PARTIAL: Final = 206
_REFUSED: Final = frozenset({401, 403})
_GONE: Final = frozenset({404, 410})


async def read_whole(
    client: Client, path: str, content: Descriptor, limit: int, headers: Headers, seen: Observation, accept: str = ""
) -> bytes | None:
    """Read content below the endpoint and verify it; None where it cannot be used, which `seen` then tells."""
    extra = (("Accept", Secret(accept)),) if accept else ()
    reply = await _ask(client, path, limit, headers, extra, seen)
    if reply is None or not _came(reply, content, seen) or reply.answer is None:
        return None
    fault = _fault(reply.answer, content, limit)
    page = reply.facts.html and (fault or not content.digest)
    if page:
        _tell(seen, reply, content, BlobResult.UNREADABLE, "a web page came")
    else:
        _tell(seen, reply, content, BlobResult.CORRUPT if fault else BlobResult.READABLE, fault)
    return None if page or fault else reply.answer.body


def _fault(answer: Answered, content: Descriptor, limit: int) -> str:
    """Return how what came differs from what the digest promises, empty where it does not."""
    size = len(answer.body)
    if answer.cut:
        return f"it ends after {size} bytes"
    if not answer.complete:
        return f"it goes on past {limit} bytes"
    if content.size not in (UNKNOWN_SIZE, size):
        return f"{size} bytes came, and {content.size} were promised"
    if not content.digest or verified(answer.body, content.digest):
        return ""  # a registry that tells no digest is taken at its word, as the runtime does
    return f"the {size} bytes that came have another digest"


async def touch(client: Client, path: str, content: Descriptor, headers: Headers, seen: Observation) -> None:
    """Ask for the first byte of a large blob and compare the size that its host tells."""
    extra = (("Range", Secret("bytes=0-0")),)
    reply = await _ask(client, path, 1, headers, extra, seen)
    if reply is None or not _came(reply, content, seen):
        return
    if reply.facts.html:
        _tell(seen, reply, content, BlobResult.UNREADABLE, "a web page came")
        return
    told = _told_size(reply)
    if told is not None and told != content.size:
        _tell(seen, reply, content, BlobResult.CORRUPT, f"its host says {told} bytes, the manifest {content.size}")
        return
    _tell(seen, reply, content, BlobResult.READABLE, "")


async def _ask(
    client: Client, path: str, limit: int, headers: Headers, extra: Headers, seen: Observation
) -> Reply | None:
    route = client.route
    url = urls.of_endpoint(route.endpoint, path, namespace(client))
    ask = Ask("GET", url, extra, headers, limit, route.tools.plan.timeouts.blob)
    reply = await client.ask(ask)
    if reply is None:
        seen.skipped("the host that serves it could not be asked")
    return reply


def namespace(client: Client) -> str:
    """Return the query that tells a mirror whose content is meant (containerd 2.1: core/remotes/docker/registry.go)."""
    image, endpoint = client.route.tools.plan.image, client.route.endpoint
    return f"ns={image.registry.replace(':', '%3A')}" if endpoint.is_mirror and not endpoint.repository else ""


def _came(reply: Reply, content: Descriptor, seen: Observation) -> bool:
    """Tell whether content came, whatever it is; where not, say why."""
    if reply.answer is not None and reply.status in (_OK, _PARTIAL):
        return True
    result, detail = BlobResult.UNREADABLE, reply.detail or f"{reply.status}"
    if reply.status in _GONE:
        result = BlobResult.MISSING
    elif reply.status in _REFUSED:
        result = BlobResult.REFUSED
    elif reply.facts.fault is HTTPFault.TIMED_OUT:
        result = BlobResult.STALLED
    _tell(seen, reply, content, result, detail)
    return False


def _tell(seen: Observation, reply: Reply, content: Descriptor, result: BlobResult, detail: str) -> None:
    seen.blob = BlobFacts(content.digest, result, reply.host, reply.redirected)
    seen.http = reply.facts
    seen.via = reply.via if reply.via is Via.BLOB_HOST else seen.via
    if result is not BlobResult.READABLE:
        seen.failed(f"{result}: {detail}")


def _told_size(reply: Reply) -> int | None:
    if reply.answer is None:
        return None
    if reply.status == _PARTIAL:
        found = _TOTAL.match(reply.answer.header("content-range").strip())
        return int(found[1]) if found else None
    length = reply.answer.header("content-length")
    return int(length) if length.isdecimal() and len(length) <= 18 else None  # noqa: PLR2004 - beyond any blob
