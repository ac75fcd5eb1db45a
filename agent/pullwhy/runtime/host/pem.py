"""PEM blocks as Go's readers accept them, without a cryptography library (the agent's resting memory holds none)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator

from pullwhy.frozen import frozen

_BEGIN = "-----BEGIN "
_END = "-----END "
_DASHES = "-----"
_LONG_FORM = 0x80


@frozen
class Block:
    """One PEM block: its label, and its text from BEGIN to END."""

    label: str
    text: str
    body: str
    """The base64 text without line breaks: equal for equal contents."""


def blocks(text: str) -> Iterator[Block]:
    """Yield the complete blocks of a text; everything around them is skipped (Go: encoding/pem). Takes linear time."""
    label = ""
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.rstrip()
        if line.startswith(_BEGIN) and line.endswith(_DASHES):
            label, lines = line[len(_BEGIN) : -len(_DASHES)], []
        elif label and line == f"{_END}{label}{_DASHES}":
            body = "".join(lines)
            yield Block(label, "\n".join([f"{_BEGIN}{label}{_DASHES}", *lines, line, ""]), body)
            label = ""
        elif label:
            lines.append(line.strip())


def certificates(text: str) -> tuple[Block, ...]:
    """Return the certificate blocks whose contents are DER in form; others do not count (Go: CertPool.AppendCertsFromPEM)."""
    return tuple(block for block in blocks(text) if block.label == "CERTIFICATE" and _is_der(block.body))


def digests(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a SHA-256 of each certificate block's base64 text, which is equal for equal contents, and hold none of it."""
    digest = None
    for raw in lines:
        line = raw.strip()
        if line == b"-----BEGIN CERTIFICATE-----":
            digest = hashlib.sha256()
        elif line == b"-----END CERTIFICATE-----" and digest is not None:
            yield digest.digest()
            digest = None
        elif digest is not None:
            digest.update(line)


def private_key(text: str) -> str:
    """Return the first private key block's text, empty where there is none (Go: tls.X509KeyPair)."""
    for block in blocks(text):
        if block.label == "PRIVATE KEY" or block.label.endswith(" PRIVATE KEY"):
            return block.text
    return ""


def _is_der(body: str) -> bool:
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(data) < 2 or data[0] != 0x30:  # noqa: PLR2004 - a SEQUENCE with a length
        return False
    if not data[1] & _LONG_FORM:
        return len(data) == 2 + data[1]
    size = data[1] & ~_LONG_FORM
    return 0 < size <= 4 and len(data) == 2 + size + int.from_bytes(data[2 : 2 + size], "big")  # noqa: PLR2004
