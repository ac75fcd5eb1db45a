"""Open a text: take the wrappers of loggers, kubelet and CLIs off an error, down to the words that explain it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from pullwhy import pulltext
from pullwhy.frozen import frozen
from pullwhy.gotext import pairs, scan_quoted, unescape
from pullwhy.model import Reason
from pullwhy.syncerror import SyncFailure, sync_failures, without_back_off

MAX_MESSAGE: Final = 65_536
"""Characters of a text that are read; an error that needs more explains nothing better."""
MAX_LAYERS: Final = 8
"""Wrappers taken off one text: syslog, logrus, klog, the kubelet's sync error and a quoted aggregate make five."""

PULL_REASONS: Final[frozenset[str]] = frozenset(Reason) - {Reason.CREATE_POD_SANDBOX_ERROR, Reason.PULL_HANGS}
"""The kubelet's reasons that are always about a pull; a sandbox fails for other reasons too."""

_ANSI: Final = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]|\[\d{1,3}(?:;\d{1,3}){0,3}m")
"""Terminal colours, also where a page has lost the escape character before them."""
_TYPOGRAPHIC_QUOTES: Final = str.maketrans({"“": '"', "”": '"'})
_JSON_START: Final = re.compile(r'\{\s{0,4}"(?:ts|msg|err|error|message|level|time|log)"\s{0,4}:')
_PAIR: Final = re.compile(r"(?<![\w.\-/])(?:err|error|msg|message)=(?=[\"<])")
_PAIR_REST: Final = re.compile(r'[ \t]*+(?:[A-Za-z_][\w.\-/]{0,127}=|\Z|["\')\]])|\s*+\Z')
_SHREDDED: Final = re.compile(r"=<\r?\n")
_DESCRIPTION: Final = re.compile(r"rpc error: code = ?(\w{1,32}) desc = ?")
_SEVERAL: Final = re.compile(r", (?=(?:rpc error: code = |failed to pull and unpack image ))")
_ARTIFACT: Final = re.compile(r"; artifact err: ")
_MIRRORS: Final = "(Mirrors also failed: ["
_MIRRORS_END: Final = "]): "
# What the registry itself said, as far as runtimes set it apart: containerd 1.6 to 2.0, then 2.1 and later.
_SERVER_MESSAGE: Final = re.compile(r" - Server message: |(?<=[a-z)])\n(?=\S)")
# `kubectl describe` and `kubectl get events` print one event a line.
_EVENT: Final = re.compile(r"^[^\n]{0,200}?\b(?:Normal|Warning) {1,12}\w", re.MULTILINE)
_EVENT_OF_A_PULL: Final = re.compile(
    r"ailed to pull image|is not present with pull policy|Failed to apply default image tag|Failed to inspect image"
)
_JSON: Final = msgspec.json.Decoder()


@frozen
class Opened:
    """A text without its wrappers."""

    error: str
    """The runtime's or the kubelet's own words: the innermost error."""
    detail: str
    """What the registry answered, where the runtime sets it apart."""
    whole: str
    """Everything that was said, unescaped: says what kind of text it is, and which image it is about."""
    reason: str = ""
    """The kubelet's reason, where it is one of a pull."""
    other_reason: str = ""
    """The kubelet's reason, where it is none of a pull (`CreateContainerError`)."""
    code: str = ""
    """The gRPC code in Go's spelling, `NotFound`."""
    pod_image: str = ""
    runtime_image: str = ""
    sandbox: bool = False
    mirrors_failed: bool = False
    """CRI-O tried mirrors before the endpoint that the error is about, and they failed too."""


def open_text(message: str) -> Opened:
    """Take `message` apart; never raises."""
    text = _ANSI.sub("", message[:MAX_MESSAGE]).translate(_TYPOGRAPHIC_QUOTES).strip()
    text = _event_of_a_pull(text)
    failure: SyncFailure | None = None
    head, field_image = "", ""
    for _ in range(MAX_LAYERS):
        failures = sync_failures(text)
        if failures:
            failure = _chosen(failures)
            head, text = f"{head} {failure.reason}", failure.message
            continue
        peeled = _peel_json(text) or _peel_pairs(text)
        if peeled is None:
            break
        text, image = peeled
        field_image = image or field_image
    text = _unescaped(text)
    whole = f"{head} {text}".strip()
    error, mirrors_failed = _without_mirrors(_innermost(without_back_off(text)))
    parts = _SERVER_MESSAGE.split(error, maxsplit=1)
    reason = failure.reason if failure else ""
    codes = _DESCRIPTION.findall(whole)
    sandbox_image = pulltext.sandbox_image(whole)
    return Opened(
        error=parts[0],
        detail=parts[1] if len(parts) > 1 else "",
        whole=whole,
        reason=reason if reason in PULL_REASONS else "",
        other_reason="" if reason in PULL_REASONS else reason,
        code=codes[-1] if codes else "",
        pod_image=sandbox_image or pulltext.pod_image(whole) or field_image,
        runtime_image=pulltext.runtime_image(whole),
        sandbox=bool(sandbox_image),
        mirrors_failed=mirrors_failed,
    )


def _event_of_a_pull(text: str) -> str:
    """Of a page of events, return the last one that tells why a pull failed; any other text as it is."""
    starts = [match.start() for match in _EVENT.finditer(text)] if "\n" in text else []
    if len(starts) < 2:  # noqa: PLR2004 - one event is no page
        return text
    events = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return next((event.strip() for event in reversed(events) if _EVENT_OF_A_PULL.search(event)), text)


def _chosen(failures: list[SyncFailure]) -> SyncFailure:
    """Return the failure to explain: one of a pull before others, and one with a cause before a bare back-off."""
    pulls = [failure for failure in failures if failure.reason in PULL_REASONS]
    told = [
        failure for failure in pulls if without_back_off(failure.message) != failure.message or _is_no_back_off(failure)
    ]
    return (told or pulls or failures)[0]


def _is_no_back_off(failure: SyncFailure) -> bool:
    return failure.reason != "ImagePullBackOff"


def _peel_json(text: str) -> tuple[str, str] | None:
    start = _JSON_START.search(text)
    if start is None:
        return None
    found = _decoded(text[start.start() :])
    if found is None:
        return None
    said = [found[key] for key in ("log", "msg", "message", "err", "error") if isinstance(found.get(key), str)]
    if not any(said):
        return None
    image = found.get("image")
    return text[: start.start()] + ": ".join(part for part in said if part), image if isinstance(image, str) else ""


def _decoded(text: str) -> dict[str, Any] | None:
    """Decode the object that `text` begins with, whatever follows it."""
    for end in (len(text), text.rfind("}") + 1):
        try:
            decoded = _JSON.decode(text[:end])
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            continue
        if isinstance(decoded, dict):
            return decoded
    return None


def _peel_pairs(text: str) -> tuple[str, str] | None:
    """Take a logfmt or klog record apart: what stands before the pairs, then message and error."""
    start = _PAIR.search(text)
    if start is None:
        return None
    if _SHREDDED.match(text, start.end() - 1):
        text = text.replace("\r\n", "\n")
    elif not _is_intact(text, start.end()):
        return None
    found = pairs(text, start.start())
    said = [found[key] for key in ("msg", "message", "err", "error") if found.get(key)]
    if not said or said == ["<"]:
        return None
    return f"{text[: start.start()].rstrip()} {': '.join(said)}", found.get("image", "")


def _is_intact(text: str, start: int) -> bool:
    """Whether the quoted value at `start` ends where a value must; a text that people edited often does not."""
    scanned = scan_quoted(text, start)
    return scanned is not None and _PAIR_REST.match(text, scanned[1]) is not None


def _unescaped(text: str) -> str:
    for _ in range(MAX_LAYERS):
        if '\\"' not in text and "\\n" not in text:
            break
        text = unescape(text)
    return text


def _innermost(text: str) -> str:
    """Take off what is said twice: the attempts with other credentials, and CRI-O's attempt as an artifact."""
    text = _ARTIFACT.split(text, maxsplit=1)[0]
    if text.startswith("[") and text.endswith("]"):
        text = _SEVERAL.split(text[1:-1])[-1]
    return text.strip()


def _without_mirrors(text: str) -> tuple[str, bool]:
    start = text.find(_MIRRORS)
    if start < 0:
        return text, False
    end = text.rfind(_MIRRORS_END, start)
    return (text[:start] + text[end + len(_MIRRORS_END) :] if end >= 0 else text), True
