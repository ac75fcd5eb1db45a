"""Which request failed: the last URL or host that an error names, and what was asked for there."""

from __future__ import annotations

import enum
import re
from typing import Final
from urllib.parse import urlsplit

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, InvalidReference, parse
from pullwhy.model import Stage, Via


class Kind(enum.Enum):
    """What a request was for."""

    UNKNOWN = "unknown"
    PING = "ping"
    MANIFEST = "manifest"
    BLOB = "blob"
    TOKEN = "token"  # noqa: S105 - a name, not a secret


STAGES: Final = {
    Kind.UNKNOWN: Stage.MANIFEST,
    Kind.PING: Stage.MANIFEST,
    Kind.MANIFEST: Stage.MANIFEST,
    Kind.BLOB: Stage.BLOB,
    Kind.TOKEN: Stage.AUTH,
}


@frozen
class Request:
    """The request that failed, as far as the text tells."""

    kind: Kind = Kind.UNKNOWN
    scheme: str = ""
    host: str = ""
    path: str = ""
    for_mirror: bool = False
    """It carries `ns`, by which containerd tells a mirror whose image it asks for (core/remotes/docker/resolver.go)."""

    @property
    def stage(self) -> Stage:
        """The stage at which it failed."""
        return STAGES[self.kind]


_URL: Final = re.compile(r"https?://[^\s\"'<>]++")
_HOST: Final = re.compile(
    r"(?:pulling from host|ping(?:ing)? (?:container registry|docker registry|registry endpoint)|auth(?:entication)? server at)"
    r" ([A-Za-z0-9._\-\[\]:]{1,255}?)(?=:?[\s,]|:?\Z)"
)
_PING_PATH: Final = re.compile(r"/v2/?\Z|/v1/_ping\Z")
_MANIFEST_PATH: Final = re.compile(r"/v2/.{1,4096}/manifests/|/v1/(?:repositories|images)/")
_BLOB_PATH: Final = re.compile(r"/v2/(?:.{1,4096}/)?blobs/|/blobs/sha256")
_TOKEN_QUERY: Final = re.compile(r"(?:^|&)(?:scope=repository|service=)")
_TOKEN_PATH: Final = re.compile(r"/(?:token|auth|access_token)/?\Z")
_REPOSITORY: Final = re.compile(r"/v2/(.{1,4096})/(?:manifests|blobs|tags)/")
# The runtime's own words about what it was doing, where the URL does not tell.
_TOKEN_TEXT: Final = re.compile(
    r"failed to (?:authorize|fetch (?:anonymous|oauth) token)|retrieve auth token|[Rr]equesting bearer token"
)
_BLOB_TEXT: Final = re.compile(
    r"failed to copy:|fetching blob|(?:writing|reading|storing|copying|Error writing) blob|pulling image configuration"
    r"|parsing image configuration|[Dd]ownload failed|could not fetch content descriptor|httpReadSee?ker|layer-sha256:|config-sha256:"
)
_MANIFEST_TEXT: Final = re.compile(
    r"failed to resolve|reading manifest|initializing source|manifest-sha256:|index-sha256:|pinging|fetching manifest"
)

_DOCKER_HUB: Final = frozenset({"docker.io", "registry-1.docker.io", "index.docker.io", "registry.hub.docker.com"})
"""The hosts that the one short name stands for (distribution/reference; containerd: docker.DefaultHost)."""


def read_request(error: str) -> Request:
    """Return the request that `error` is about: the last one it names, because errors grow to the left."""
    kind = _kind_told(error)
    urls = list(_URL.finditer(error))
    hosts = list(_HOST.finditer(error))
    if not urls:
        return Request(kind, host=hosts[-1][1] if hosts else "")
    return _from_url(urls[-1][0], kind)


def registry_asked(error: str) -> str:
    """Return the host of the first request on a registry that `error` names; empty where none is."""
    for url in _URL.finditer(error):
        request = _from_url(url[0], Kind.UNKNOWN)
        if request.kind in (Kind.PING, Kind.MANIFEST, Kind.BLOB) and request.path.startswith("/v"):
            return request.host
    host = _HOST.search(error)
    return host[1] if host else ""


def is_on_a_registry(error: str) -> bool:
    """Whether `error` names a request of the distribution API, or one for a token to pull with."""
    return any(_is_registry_request(url[0]) for url in _URL.finditer(error))


def _is_registry_request(url: str) -> bool:
    kind = _from_url(url, Kind.UNKNOWN).kind
    return kind not in (Kind.UNKNOWN, Kind.TOKEN) or "scope=repository" in url


def _kind_told(error: str) -> Kind:
    if _TOKEN_TEXT.search(error):
        return Kind.TOKEN
    if _BLOB_TEXT.search(error):
        return Kind.BLOB
    return Kind.MANIFEST if _MANIFEST_TEXT.search(error) else Kind.UNKNOWN


def _from_url(url: str, told: Kind) -> Request:
    try:
        parts = urlsplit(url.rstrip(":,;.)]"))
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return Request(told)
    query = parts.query
    kind = told
    if _MANIFEST_PATH.search(parts.path):
        kind = Kind.MANIFEST
    elif _BLOB_PATH.search(parts.path):
        # While a reference is resolved, a digest is looked for among the blobs too (containerd: resolver.go).
        kind = Kind.MANIFEST if told is Kind.MANIFEST else Kind.BLOB
    elif _PING_PATH.search(parts.path):
        kind = Kind.PING
    elif _TOKEN_QUERY.search(query) or (told is not Kind.BLOB and _TOKEN_PATH.search(parts.path)):
        kind = Kind.TOKEN
    elif told is Kind.MANIFEST and parts.path not in ("", "/"):
        # An unknown path while a manifest was resolved: the registry sent the client elsewhere.
        kind = Kind.UNKNOWN
    return Request(kind, parts.scheme, host.lower(), parts.path, for_mirror=query.startswith("ns=") or "&ns=" in query)


def reference(image: str) -> ImageReference | None:
    """Return the parsed reference, or None where `image` is empty or none (a placeholder that people pasted)."""
    if not image:
        return None
    try:
        return parse(image)
    except InvalidReference:
        return None


def is_own_host(registry: str, host: str) -> bool:
    """Whether `host` is where the registry's own images are served."""
    registry, host = (name.lower().removesuffix(":443") for name in (registry, host))
    return registry == host or (registry in _DOCKER_HUB and host in _DOCKER_HUB)


def via(request: Request, image: ImageReference | None, registry: str) -> Via | None:
    """Return where on the way the request struck, None where it is the registry itself or the text does not tell."""
    if request.for_mirror and not is_own_host(registry, request.host):
        return Via.MIRROR
    if not request.host or not registry or is_own_host(registry, request.host):
        return None
    if request.kind is Kind.TOKEN:
        return Via.TOKEN_HOST
    if request.kind is Kind.BLOB:
        return Via.BLOB_HOST
    repository = _REPOSITORY.match(request.path)
    if request.kind is Kind.PING or not request.path:
        return Via.MIRROR
    # Another path on another host, without `ns`: a redirect of the registry, not a mirror of the node's.
    return Via.MIRROR if repository and image is not None and repository[1] == image.repository else None
