"""Loads client certificates with their keys into TLS contexts, without a file."""

from __future__ import annotations

import os
import ssl
from typing import Final

MAX_PAIR: Final = 32_768
"""Bytes of a client certificate or key: what fits a pipe with room to spare."""
_TOO_WEAK: Final = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})
"""OpenSSL's reasons to refuse what Go takes."""


class UnusableClientPair(Exception):
    """A client certificate or its key cannot be loaded; the text says why, `reason` in OpenSSL's words."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


def load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a pair, PEM, through pipes: OpenSSL reads pairs from files only, and a walk may write none. Raises UnusableClientPair."""
    parts = (certificate.encode(), key.encode())
    if any(len(part) > MAX_PAIR for part in parts):
        raise UnusableClientPair("the client certificate or its key is too large")
    readers: list[int] = []
    try:
        for part in parts:
            reader, writer = os.pipe()
            readers.append(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(part)
        chain, secret = (f"/dev/fd/{reader}" for reader in readers)
        context.load_cert_chain(chain, secret, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        # OpenSSL asks a pipe for its place first, and Python then tells that error in place of the mismatch.
        reason = getattr(error, "reason", None) or "they do not match, or one of them is damaged"
        message = f"the client certificate and its key cannot be used together: {reason}"
        raise UnusableClientPair(message, reason) from error
    finally:
        for reader in readers:
            os.close(reader)


def fault(certificate: str, key: str) -> str:
    """Return why Go's tls.X509KeyPair would refuse a pair, PEM; empty where it would take it, or where that cannot be told."""
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except UnusableClientPair as error:
        return str(error) if error.reason and error.reason not in _TOO_WEAK else ""
    return ""
