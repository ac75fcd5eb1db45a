"""The registry protocol as the fault registry speaks it when nothing is wrong, and the answers that its rules ask for."""

import dataclasses
import functools
import re
import urllib.parse
from collections.abc import Mapping
from typing import Protocol, Self

from lab import faultimages, faults
from lab.faults import error_body
from lab.images import Image

API_VERSION = "Docker-Distribution-Api-Version: registry/2.0"
_PATH = re.compile(r"^/v2/([^?]+)/(manifests|blobs|tags)/([^/?]+)$")
_STORAGE = re.compile(r"^/storage/([^?]+)/(sha256:[0-9a-f]{64})$")
_REASONS = {200: "OK", 206: "Partial Content", 307: "Temporary Redirect", 401: "Unauthorized", 403: "Forbidden"}
_MORE_REASONS = {404: "Not Found", 412: "Precondition Failed", 429: "Too Many Requests", 451: "Unavailable"}
_SERVER_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
REASONS = _REASONS | _MORE_REASONS | _SERVER_REASONS


class Shelf(Protocol):
    """What knows the repositories."""

    def repository(self, host: str, name: str) -> faults.Repository: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request and the stage of a pull that it is."""

    method: str
    target: str
    headers: Mapping[str, str]
    repository: str
    stage: str
    image: Image
    reference: str = ""

    def at(self, stage: str) -> bool:
        """Say whether the request is at *stage*, which may name a group of stages."""
        return stage == self.stage or (stage in {"manifest", "blob"} and self.stage in _GROUPS[stage])


_GROUPS = {"manifest": {"manifest-head", "manifest-get"}, "blob": {"config", "layer"}}


def stage_of(shelf: Shelf, host: str, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
    """Return the request with its repository, its stage and the repository's image."""
    parts = urllib.parse.urlsplit(target)
    path = urllib.parse.unquote(parts.path)
    name, stage, reference = "", "other", ""
    match, storage = _PATH.match(path), _STORAGE.match(path)
    if match:
        name, kind, reference = match.groups()
        stage = {"manifests": f"manifest-{method.lower()}", "blobs": "layer", "tags": "tags"}[kind]
    elif storage:
        name, reference = storage.groups()
        stage = "storage"
    elif parts.path == "/token":
        fields = urllib.parse.parse_qs(parts.query) | urllib.parse.parse_qs(body.decode("latin-1"))
        name, stage = fields.get("scope", ["::"])[0].split(" ")[0].split(":")[1], "token"
    elif path == "/v2/":
        stage = "ping"
    image = faultimages.make(shelf.repository(host, name).image, name)
    if stage == "layer" and any(blob.digest == reference and "config" in blob.media_type for blob in image.blobs):
        stage = "config"
    return Request(method, target, headers, name, stage, image, reference)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, headers as lines, body."""

    status: int
    headers: tuple[str, ...]
    body: bytes = b""

    @classmethod
    def json(cls, status: int, text: str) -> Self:
        """Return an answer with a JSON body."""
        return cls(status, ("Content-Type: application/json", API_VERSION), text.encode())

    @classmethod
    def of(cls, rule: faults.Rule, host: str, request: Request) -> Self:
        """Return the answer that a rule spells out; "{path}" and "{self}" in its headers are filled in."""
        fill = {"{path}": f"/storage/{request.repository}/{request.reference}", "{self}": request.target}
        lines = [f"Content-Type: {rule.content_type}", f"X-Lab-Host: {host}"]
        for key, value in rule.headers.items():
            filled = functools.reduce(lambda text, pair: text.replace(*pair), fill.items(), value)
            lines.append(f"{key}: {filled}")
        body = rule.body.encode()
        return cls(rule.status, tuple(lines), body.ljust(rule.size, b"x"))

    @classmethod
    def challenge(cls, realm: str, repository: str) -> Self:
        """Return 401 with a Bearer challenge of *realm*, or with a Basic one where it is empty."""
        scheme = f'Bearer realm="{realm}",service="lab",scope="repository:{repository}:pull"'
        line = f"WWW-Authenticate: {scheme if realm else 'Basic realm=lab'}"
        text = error_body("UNAUTHORIZED", "authentication required")
        return cls(401, ("Content-Type: application/json", API_VERSION, line), text.encode())

    def corrupted(self) -> Self:
        """Return it with its last byte changed."""
        return dataclasses.replace(self, body=self.body[:-1] + bytes([self.body[-1] ^ 1]))

    def shortened(self) -> Self:
        """Return a whole answer with only half of the body."""
        return dataclasses.replace(self, body=self.body[: len(self.body) // 2])

    def head(self) -> bytes:
        """Return status line and headers as they go over the wire."""
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Lab')}", *self.headers]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode()


def good(request: Request) -> Answer:
    """Return what a good registry answers."""
    if request.stage.startswith("manifest"):
        return _manifest(request)
    if request.stage in {"config", "layer", "storage"}:
        return _blob(request)
    if request.stage == "tags":
        return Answer.json(200, f'{{"name":"{request.repository}","tags":["1"]}}')
    if request.stage == "token":
        return Answer.json(200, '{"token":"lab","access_token":"lab","expires_in":300}')
    if request.stage == "ping":
        return Answer.json(200, "{}")
    return Answer.json(404, error_body("NOT_FOUND", "no such path"))


def _manifest(request: Request) -> Answer:
    held = [request.image.top, *request.image.manifests]
    if ":" in request.reference:
        held = [blob for blob in held if blob.digest == request.reference]
    if not held:
        return Answer.json(404, error_body("MANIFEST_UNKNOWN", "manifest unknown"))
    lines = (f"Content-Type: {held[0].media_type}", API_VERSION, f"Docker-Content-Digest: {held[0].digest}")
    return Answer(200, lines, held[0].content)


def _blob(request: Request) -> Answer:
    for blob in request.image.blobs:
        if blob.digest == request.reference:
            lines = ("Content-Type: application/octet-stream", API_VERSION, f"Docker-Content-Digest: {blob.digest}")
            wanted = re.fullmatch(r"bytes=(\d{1,18})-(\d{0,18})", request.headers.get("range", ""))
            if wanted is None:
                return Answer(200, lines, blob.content)
            first, last = int(wanted[1]), int(wanted[2] or len(blob.content) - 1)
            part = blob.content[first : last + 1]
            line = f"Content-Range: bytes {first}-{first + len(part) - 1}/{len(blob.content)}"
            return Answer(206, (*lines, line), part)
    return Answer.json(404, error_body("BLOB_UNKNOWN", "blob unknown to registry"))
