"""What may be kept of a registry's answer: status, error codes, allow-listed headers, never a body."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from pullwhy.probe.http import MAX_ERROR_BODY, Answered
from pullwhy.pulltext import says_expired
from pullwhy.text import printable
from pullwhy.trace import HTTPFacts, HTTPFault

MAX_CODES: Final = 8
"""Error codes kept of one answer."""
MAX_HEADER_VALUE: Final = 200
"""Characters kept of one header."""
MAX_TEXT: Final = 4_096
"""Characters of an error's text that are searched for a client's address or an expired token."""

_ALLOWED: Final = frozenset(
    {
        "retry-after",
        "x-retry-after",
        "docker-ratelimit-source",
        "date",
        "server",
        "content-type",
        "docker-distribution-api-version",
    }
)
_ALLOWED_PREFIXES: Final = ("ratelimit-", "x-ratelimit-")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_XML_CODE: Final = re.compile(r"<Code>([A-Za-z0-9_.-]{1,64})</Code>")
"""Object stores answer in XML (S3, GCS, Azure)."""
_ADDRESS: Final = re.compile(
    r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|(?<![\w:])[0-9a-fA-F]{1,4}(?::{1,2}[0-9a-fA-F]{1,4}){3,7}(?![\w:])"
)
_CLIENT_WORD: Final = re.compile(r"\b(?:client|source|caller|ip|ips|address|firewall|network)\b", re.IGNORECASE)
_HTML_START: Final = re.compile(rb"\s{0,64}(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_PLAIN_TO_TLS: Final = (b"HTTP request to an HTTPS server", b"plain HTTP request was sent to HTTPS port")
"""What Go's net/http and nginx answer to plain HTTP on a TLS port."""


def facts(method: str, url: str, answer: Answered, fault: HTTPFault | None = None) -> HTTPFacts:
    """Return what is kept of `answer`; `url` comes without user info, query and fragment."""
    codes, text = registry_errors(answer.body) if answer.status >= 400 else ((), "")  # noqa: PLR2004 - HTTP errors
    if any(phrase in answer.body[:MAX_TEXT] for phrase in _PLAIN_TO_TLS):
        fault = HTTPFault.TLS_EXPECTED
    return HTTPFacts(
        method=method,
        url=printable(url, 500),
        status=answer.status,
        codes=codes,
        names_client_address=bool(_ADDRESS.search(text) and _CLIENT_WORD.search(text)),
        headers=allowed_headers(answer),
        html=is_html(answer),
        registry_api=bool(answer.header("docker-distribution-api-version") or (codes and text)),
        received=len(answer.body),
        fault=fault,
        says_expired=says_expired(text),
    )


def allowed_headers(answer: Answered) -> dict[str, str]:
    """Return the headers that may leave the node, bounded and printable."""
    kept: dict[str, str] = {}
    for name, value in answer.headers:
        if name in _ALLOWED or (name.startswith(_ALLOWED_PREFIXES) and len(name) <= MAX_HEADER_VALUE):
            kept.setdefault(printable(name), printable(value, MAX_HEADER_VALUE))
    return kept


def is_html(answer: Answered) -> bool:
    """Tell whether a web page answered."""
    kind = answer.header("content-type").split(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or bool(_HTML_START.match(answer.body[:MAX_TEXT]))


def registry_errors(body: bytes) -> tuple[tuple[str, ...], str]:
    """Return the error codes of a body as spelled, and the text beside them for inspection only.

    Reads distribution-spec 1.1 (section Error Codes) and the XML of object stores; for the latter the text is empty.
    """
    head = body[:MAX_ERROR_BODY]
    decoded = decode_json(head)
    errors = decoded.get("errors") if isinstance(decoded, dict) else None
    if not isinstance(errors, list):
        found = _XML_CODE.search(head[:MAX_TEXT].decode("utf-8", "replace"))
        return ((found[1],), "") if found else ((), "")
    entries = [entry for entry in errors[:MAX_CODES] if isinstance(entry, dict)]
    codes = [code for entry in entries if isinstance(code := entry.get("code"), str) and _CODE.match(code)]
    texts = [str(entry.get(key, ""))[:MAX_TEXT] for entry in entries for key in ("message", "detail")]
    return tuple(codes), " ".join(texts)[:MAX_TEXT] or " "


def decode_json(body: bytes) -> Any:
    """Return a JSON body's value, None where it is none; nesting and size are the decoder's and the caller's bounds."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def date_of(answer: Answered) -> datetime | None:
    """Return the server's Date header, None where it has none that can be read."""
    text = answer.header("date")
    if not text or len(text) > 64:  # noqa: PLR2004 - an IMF date has 29 characters
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date
