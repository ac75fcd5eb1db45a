"""The runtime's own log: containerd's and CRI-O's lines about pulls, as events."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.gotext import pairs, scan_quoted
from pullwhy.redact import redact
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind
from pullwhy.watch.jsontext import decode_object
from pullwhy.watch.lines import LogLine

MAX_REQUESTS: Final = 256
"""CRI-O pulls that are remembered by request id until they end."""

# containerd 1.6 to 2.3: (internal/)cri/instrument(ed_service).go, image_pull.go; core/remotes/docker/resolver.go
_PULL_IMAGE: Final = re.compile(r'PullImage (?=")')
_RETURNS: Final = " returns image reference "
_NO_PROGRESS: Final = re.compile(r"cancel pulling image (\S{1,4096}) because of no progress")
_HOST_MESSAGES: Final = {
    "trying next host": RuntimeEventKind.TRYING_NEXT_HOST,
    "fetch failed": RuntimeEventKind.HOST_FAILED,
}
_AFTER_STATUS: Final = re.compile(
    r"(trying next host|fetch failed)(?: after status: (.{1,200})| - response was http\.StatusNotFound)"
)
_HOSTS_TOML: Final = re.compile(r"failed to decode \S{0,4096}hosts\.toml")
# CRI-O 1.2x to 1.36: server/image_pull.go; every line of one request carries its id.
_CRIO_PULL: Final = "ImageService/PullImage"
_CRIO_START: Final = re.compile(r"Pulling image: (\S{1,4096})")
_CRIO_END: Final = re.compile(r"Pulled image: ")
_CRIO_ERROR: Final = re.compile(r"Response error: (.{1,65536})", re.DOTALL)


class RuntimeLog:
    """Reads runtime lines; remembers CRI-O's requests, whose end does not name the image that was asked for."""

    def __init__(self) -> None:
        self._requests: dict[str, str] = {}

    def read(self, line: LogLine) -> RuntimeEvent | None:
        """Return what `line` says about a pull, or None."""
        found = fields(line.text)
        message = found.get("msg", "")
        if not message:
            return None
        if found.get("component") == "containerd":  # k0s wraps its components' lines
            found = pairs(message)
            message = found.get("msg", "")
        if _CRIO_PULL in found.get("name", ""):
            return self._crio(line, message, found.get("id", ""))
        return _containerd(line, message, found)

    def _crio(self, line: LogLine, message: str, request: str) -> RuntimeEvent | None:
        start = _CRIO_START.match(message)
        if start:
            if len(self._requests) >= MAX_REQUESTS:
                self._requests.pop(next(iter(self._requests)))
            self._requests[request] = start[1]
            return _event(line, RuntimeEventKind.PULL_STARTED, image=start[1])
        error = _CRIO_ERROR.match(message)
        if error or _CRIO_END.match(message):
            image = self._requests.pop(request, "")
            return _event(line, RuntimeEventKind.PULL_ENDED, image=image, error=error[1] if error else "")
        return None


def fields(text: str) -> dict[str, str]:
    """Return the fields of one logrus record, text or JSON; empty where `text` is none."""
    if not text.startswith("{"):
        start = text.find("time=")
        return pairs(text, start) if 0 <= start < 256 else {}  # noqa: PLR2004 - room for a syslog header before it
    decoded = decode_object(text)
    if decoded is None or "level" not in decoded:
        return {}
    return {key: value for key, value in decoded.items() if isinstance(value, str)}


def _containerd(line: LogLine, message: str, found: dict[str, str]) -> RuntimeEvent | None:
    error = found.get("error", "")
    if _PULL_IMAGE.match(message):
        return _pull_image(line, message, error)
    host = found.get("host", "")
    if message in _HOST_MESSAGES:
        return _event(line, _HOST_MESSAGES[message], host=host, error=error)
    status = _AFTER_STATUS.match(message)
    if status:
        return _event(line, _HOST_MESSAGES[status[1]], host=host, error=status[2] or "404 Not Found")
    if _HOSTS_TOML.match(message):
        return _event(line, RuntimeEventKind.HOSTS_TOML_DECODE_ERROR, error=f"{message}: {error}" if error else message)
    stalled = _NO_PROGRESS.match(message)
    if stalled:
        return _event(line, RuntimeEventKind.PULL_CANCELLED, image=stalled[1].strip('"'), error=message)
    return None


def _pull_image(line: LogLine, message: str, error: str) -> RuntimeEvent | None:
    scanned = scan_quoted(message, len("PullImage "))
    if scanned is None:
        return None
    image, end = scanned
    rest = message[end:]
    if not rest:
        return _event(line, RuntimeEventKind.PULL_STARTED, image=image)
    if rest == " failed":
        return _event(line, RuntimeEventKind.PULL_ENDED, image=image, error=error or "failed")
    if rest.startswith(_RETURNS):
        return _event(line, RuntimeEventKind.PULL_ENDED, image=image)
    return None


def _event(line: LogLine, kind: RuntimeEventKind, image: str = "", host: str = "", error: str = "") -> RuntimeEvent:
    image, host, error = redact(image), redact(host), redact(error)
    return RuntimeEvent(line.when, line.unit, kind, image, host, error, line.from_file)
