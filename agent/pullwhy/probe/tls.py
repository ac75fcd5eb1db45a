"""Makes the TLS handshake over a Stream: verdict and chain from one handshake, also from one that fails."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NoReturn

from pullwhy.plan import CURRENT, GoBuild
from pullwhy.probe.chain import trust_fault
from pullwhy.probe.clock import Clock
from pullwhy.probe.gochain import refusal
from pullwhy.probe.network import READ_SIZE, Stream, StreamReset, StreamTimedOut
from pullwhy.probe.trust import Context
from pullwhy.probe.x509 import read, read_chain
from pullwhy.text import printable
from pullwhy.trace import TLSFacts, TLSFault

MAX_HANDSHAKE: Final = 262_144
"""Bytes taken from the peer before the handshake must be over."""

_DER: Final = 2
"""_ssl.ENCODING_DER."""
_HANDSHAKE: Final = 22
_CERTIFICATE_REQUEST: Final = 13
_HEADER: Final = 5
_CLIENT_REASONS: Final = ("CERTIFICATE_REQUIRED", "NO_CERTIFICATE")
_AFTER_REQUEST_REASONS: Final = ("HANDSHAKE_FAILURE", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "UNKNOWN_CA")


class HandshakeFailed(Exception):
    """A handshake failed, at once or (TLS 1.3) when the first answer was read."""

    def __init__(self, facts: TLSFacts) -> None:
        super().__init__(facts.error)
        self.facts = facts


class OnlyOpenSSLRefuses(Exception):
    """OpenSSL refused a chain that Go takes; the text says why. The handshake must be made again without OpenSSL's verdict."""


async def handshake(
    stream: Stream, host: str, context: Context, within: float, clock: Clock, go: GoBuild = CURRENT
) -> TLSStream:
    """Make the handshake for `host` over `stream` and judge the chain as a runtime built as `go` does.

    Raises HandshakeFailed, OnlyOpenSSLRefuses.
    """
    session = _Session(stream, host, context)
    deadline = clock.monotonic() + within
    try:
        while not await _advance(session, deadline - clock.monotonic(), within):
            pass
    except ssl.SSLCertVerificationError as error:
        refused = _refused(session, clock.now(), go)
        if refused is None:
            raise OnlyOpenSSLRefuses(f"OpenSSL says: {printable(error.verify_message, 200)}") from error
        raise HandshakeFailed(refused) from error
    except (ssl.SSLError, OSError) as error:
        raise HandshakeFailed(_broken(session, error)) from error
    except StreamReset as error:
        raise HandshakeFailed(session.facts(TLSFault.RESET, f"{error} in the handshake")) from error
    except StreamTimedOut as error:
        raise HandshakeFailed(session.facts(TLSFault.TIMED_OUT, str(error))) from error
    refused = _refused(session, clock.now(), go)
    if refused is not None:
        raise HandshakeFailed(refused)
    return TLSStream(session, clock)


async def _advance(session: _Session, left: float, within: float) -> bool:
    """Go one step on with the handshake and tell whether it is over."""
    try:
        session.object.do_handshake()
    except ssl.SSLWantReadError:
        await session.turn(left, within)
        return False
    await session.flush(left)
    return True


class _Session:
    """One TLS session over a stream: the engine, its two buffers, and the first bytes that came."""

    def __init__(self, stream: Stream, host: str, context: Context) -> None:
        self.stream = stream
        self.host = host
        self.context = context
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.object = context.ssl.wrap_bio(self.incoming, self.outgoing, server_hostname=host.rstrip(".").strip("[]"))
        self.received = b""
        """Bytes of the handshake as they came."""

    async def flush(self, within: float) -> None:
        """Send what the engine has to say."""
        data = self.outgoing.read()
        if data:
            await self.stream.write(data, max(within, 0.001))

    async def turn(self, left: float, within: float) -> None:
        """Send what there is and take what comes; raises StreamReset, StreamTimedOut."""
        if left <= 0:
            raise StreamTimedOut(f"the hello was not answered within {within:.1f} s")
        await self.flush(left)
        data = await self.stream.read(READ_SIZE, left)
        if len(self.received) > MAX_HANDSHAKE:
            raise StreamReset("the handshake does not end")
        self.received += data
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def facts(self, fault: TLSFault | None, error: str) -> TLSFacts:
        """Return facts without a chain."""
        return TLSFacts(self.host, fault, self.object.version() or "", error=printable(error, 300))


def _refused(session: _Session, now: datetime, go: GoBuild) -> TLSFacts | None:
    """Return why Go refuses the chain that was sent, None where it takes it."""
    sent = sent_chain(session.object)
    context = session.context
    found = refusal(sent, session.host, context.roots(), now, go, verify=context.verify)
    if found is None:
        return None
    chain, fault, at = read_chain(sent), found.fault, found.at
    if fault is TLSFault.UNTRUSTED and at is None:
        untrusted = trust_fault(chain, context.authorities())
        fault, at = untrusted.fault, untrusted.faulty
    facts = tuple(certificate.facts for certificate in chain)
    if found.authority:
        facts, at = (*facts, replace(read(found.authority).facts, sent=False)), len(facts)
    return TLSFacts(session.host, fault, session.object.version() or "", facts, at, printable(found.text, 300))


def sent_chain(session: ssl.SSLObject) -> list[bytes]:
    """Return what the server sent, leaf first, as DER, whatever the verdict."""
    public = getattr(session, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return list(public())
    inner: Any = session._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - 3.11 and 3.12 have no public way
    return [certificate.public_bytes(_DER) for certificate in inner.get_unverified_chain() or ()]


def _broken(session: _Session, error: ssl.SSLError | OSError) -> TLSFacts:
    """Tell from the bytes on the wire and OpenSSL's reason what broke a handshake."""
    reason = getattr(error, "reason", None) or type(error).__name__
    start = session.received[:9]
    if start[:5] == b"HTTP/" or start[:9].lower() == b"<!doctype"[:9]:
        return session.facts(TLSFault.PLAIN_HTTP, "the server answered the hello in plain HTTP")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return session.facts(TLSFault.RESET, f"EOF after {len(session.received)} bytes of the handshake")
    if _wants_client_certificate(reason, session.received):
        return session.facts(TLSFault.CLIENT_CERTIFICATE_REQUIRED, f"OpenSSL says: {reason}")
    return session.facts(TLSFault.HANDSHAKE_FAILED, f"OpenSSL says: {reason}")


def _wants_client_certificate(reason: str, received: bytes) -> bool:
    if any(word in reason for word in _CLIENT_REASONS):
        return True
    asked = _asked_for_certificate(received)
    return asked and "ALERT" in reason and any(word in reason for word in _AFTER_REQUEST_REASONS)


def _asked_for_certificate(received: bytes) -> bool:
    """Tell whether a TLS 1.2 server asked for a client certificate: its handshake is readable (RFC 5246 section 7.4)."""
    messages = b""
    while len(received) >= _HEADER:
        length = int.from_bytes(received[3:5], "big")
        if received[0] == _HANDSHAKE:
            messages += received[_HEADER : _HEADER + length]
        received = received[_HEADER + length :]
    while len(messages) >= 4:  # noqa: PLR2004 - type and length
        if messages[0] == _CERTIFICATE_REQUEST:
            return True
        messages = messages[4 + int.from_bytes(messages[1:4], "big") :]
    return False


class TLSStream:
    """An encrypted Stream; a read may still raise HandshakeFailed until the first byte came."""

    def __init__(self, session: _Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._answered = False

    @property
    def facts(self) -> TLSFacts:
        """Return the facts of the handshake that was made."""
        return self._session.facts(None, "")

    async def read(self, limit: int, within: float) -> bytes:
        """Return up to `limit` bytes, b"" at the end; raises StreamReset, StreamTimedOut, HandshakeFailed."""
        deadline = self._clock.monotonic() + within
        while True:
            try:
                data = self._session.object.read(limit)
            except ssl.SSLWantReadError:
                data = None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except (ssl.SSLError, OSError) as error:
                self._raise(error)
            if data is not None:
                self._answered = self._answered or bool(data)
                return data
            await self._receive(deadline - self._clock.monotonic(), within)

    async def _receive(self, left: float, within: float) -> None:
        if left <= 0:
            raise StreamTimedOut(f"nothing came within {within:.1f} s")
        await self._session.flush(left)
        data = await self._session.stream.read(READ_SIZE, left)
        if data:
            self._session.incoming.write(data)
        else:
            self._session.incoming.write_eof()

    def _raise(self, error: ssl.SSLError | OSError) -> NoReturn:
        if self._answered:
            raise StreamReset(f"TLS broke: {getattr(error, 'reason', None) or type(error).__name__}") from error
        raise HandshakeFailed(_broken(self._session, error)) from error

    async def write(self, data: bytes, within: float) -> None:
        """Send all of `data`; raises StreamReset, StreamTimedOut."""
        try:
            self._session.object.write(data)
        except (ssl.SSLError, OSError) as error:
            raise StreamReset(f"TLS broke: {getattr(error, 'reason', None) or type(error).__name__}") from error
        await self._session.flush(within)

    def close(self) -> None:
        """Let go of the connection without a goodbye; may be called twice."""
        self._session.stream.close()
