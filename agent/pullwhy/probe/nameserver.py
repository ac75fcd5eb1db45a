"""Asks one nameserver for one name (A and AAAA), as Go's resolver would, and says what came back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from pullwhy.frozen import frozen
from pullwhy.probe.clock import Clock
from pullwhy.probe.network import ConnectFailed, Network, NetworkError, StreamTimedOut
from pullwhy.text import printable
from pullwhy.trace import ConnectResult, DNSResult, NameserverAnswer

PORT: Final = 53
EDNS_PAYLOAD: Final = 1232
"""Bytes that a query offers to take (Go 1.27: net/dnsclient_unix.go)."""
MAX_ADDRESSES: Final = 32
"""Addresses kept of one answer."""
MAX_TCP_ANSWER: Final = 16_384
"""Bytes of the largest answer over TCP that is read; the protocol allows 65,535."""

_RCODES: Final = {
    dns.rcode.NXDOMAIN: DNSResult.NXDOMAIN,
    dns.rcode.SERVFAIL: DNSResult.SERVFAIL,
    dns.rcode.REFUSED: DNSResult.REFUSED,
}
_CONNECT: Final = {
    ConnectResult.TIMED_OUT: DNSResult.TIMED_OUT,
    ConnectResult.REFUSED: DNSResult.PORT_REFUSED,
    ConnectResult.UNREACHABLE: DNSResult.UNREACHABLE,
    ConnectResult.PROHIBITED: DNSResult.UNREACHABLE,
}
_LENGTH: Final = 2
"""Bytes of a message id, and of the length before a message over TCP."""
_TYPES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)

DECISIVE: Final = frozenset({DNSResult.ANSWERED, DNSResult.NXDOMAIN, DNSResult.NODATA})
"""Results at which Go asks no further nameserver (Go 1.27: net/dnsclient_unix.go, tryOneName)."""
_REPEATABLE: Final = frozenset({DNSResult.TIMED_OUT, DNSResult.SERVFAIL, DNSResult.GARBLED})


@frozen
class Asking:
    """How questions are put."""

    network: Network
    clock: Clock
    timeout: float
    """Seconds per try."""
    attempts: int
    use_tcp: bool
    ids: Callable[[], int]
    """Gives an unpredictable message id, 0 to 65,535."""


@frozen
class _Reply:
    result: DNSResult
    addresses: tuple[str, ...] = ()
    detail: str = ""


async def ask(asking: Asking, server: str, name: str) -> NameserverAnswer:
    """Ask `server` for the A and AAAA records of `name`, both at once; raises nothing of the network's."""
    started = asking.clock.monotonic()
    four, six = await asyncio.gather(*(_ask_type(asking, server, name, kind) for kind in _TYPES))
    reply = _combine(four, six)
    seconds = asking.clock.monotonic() - started
    return NameserverAnswer(server, name, reply.result, reply.addresses, seconds, printable(reply.detail, 200))


def _combine(four: _Reply, six: _Reply) -> _Reply:
    """Take two answers together: addresses win, then a fault (which hides what there may be), then absence."""
    if four.addresses or six.addresses:
        faults = [
            f"{kind}: {reply.result}" for kind, reply in (("A", four), ("AAAA", six)) if reply.result not in DECISIVE
        ]
        return _Reply(DNSResult.ANSWERED, four.addresses + six.addresses, "; ".join(faults))
    for reply in (four, six):
        if reply.result not in DECISIVE:
            return reply
    return next((reply for reply in (four, six) if reply.result is DNSResult.NXDOMAIN), four)


async def _ask_type(asking: Asking, server: str, name: str, kind: dns.rdatatype.RdataType) -> _Reply:
    reply = _Reply(DNSResult.TIMED_OUT)
    for _ in range(max(asking.attempts, 1)):
        reply = await _guarded(lambda: _try_once(asking, server, name, kind))
        if reply.result not in _REPEATABLE:
            break
    return reply


async def _guarded(attempt: Callable[[], Awaitable[_Reply]]) -> _Reply:
    try:
        return await attempt()
    except ConnectFailed as error:
        return _Reply(_CONNECT.get(error.result, DNSResult.OTHER_RCODE), detail=error.detail)
    except StreamTimedOut as error:
        return _Reply(DNSResult.TIMED_OUT, detail=str(error))
    except NetworkError as error:
        return _Reply(DNSResult.GARBLED, detail=str(error))


async def _try_once(asking: Asking, server: str, name: str, kind: dns.rdatatype.RdataType) -> _Reply:
    try:
        query = dns.message.make_query(name, kind, use_edns=0, payload=EDNS_PAYLOAD, id=asking.ids())
        wire = query.to_wire()
    except (dns.exception.DNSException, ValueError):
        return _Reply(DNSResult.NXDOMAIN, detail="no valid DNS name, so nobody was asked")
    if asking.use_tcp:
        return _read(query, await _over_tcp(asking, server, wire))
    answer = await asking.network.udp_exchange(
        server, PORT, wire, asking.timeout, lambda data: data[:_LENGTH] == wire[:_LENGTH]
    )
    if len(answer) > _LENGTH and answer[_LENGTH] & (dns.flags.TC >> 8):
        answer = await _over_tcp(asking, server, wire)
    return _read(query, answer)


async def _over_tcp(asking: Asking, server: str, wire: bytes) -> bytes:
    """Ask over TCP: each message behind its length (RFC 1035 section 4.2.2)."""
    stream = await asking.network.connect(server, PORT, asking.timeout)
    try:
        await stream.write(struct.pack("!H", len(wire)) + wire, asking.timeout)
        deadline = asking.clock.monotonic() + asking.timeout
        data = b""
        while len(data) < _LENGTH or len(data) < _LENGTH + int.from_bytes(data[:_LENGTH], "big"):
            left = deadline - asking.clock.monotonic()
            if left <= 0:
                raise StreamTimedOut("the answer over TCP did not end in time")
            chunk = await stream.read(MAX_TCP_ANSWER, left)
            if not chunk or len(data) > MAX_TCP_ANSWER:
                break
            data += chunk
        return data[_LENGTH:]
    finally:
        stream.close()


def _read(query: dns.message.Message, wire: bytes) -> _Reply:
    """Read an answer as Go does: every address record of the answer section counts, whatever its owner name."""
    try:
        answer = dns.message.from_wire(wire)
        if not query.is_response(answer):
            return _Reply(DNSResult.GARBLED, detail="the answer is to another question")
        rcode = answer.rcode()
    except Exception as error:  # noqa: BLE001 - dnspython meets hostile bytes with more than its own exceptions
        return _Reply(DNSResult.GARBLED, detail=f"no DNS message: {type(error).__name__}")
    if rcode != dns.rcode.NOERROR:
        return _Reply(_RCODES.get(rcode, DNSResult.OTHER_RCODE), detail=dns.rcode.to_text(rcode))
    asked = query.question[0]
    records = (rrset for rrset in answer.answer if (rrset.rdtype, rrset.rdclass) == (asked.rdtype, asked.rdclass))
    found = [item.to_text() for rrset in records for item in rrset][:MAX_ADDRESSES]
    if found:
        return _Reply(DNSResult.ANSWERED, tuple(found))
    if not answer.answer and not answer.flags & (dns.flags.AA | dns.flags.RA):
        return _Reply(DNSResult.OTHER_RCODE, detail="lame referral")
    return _Reply(DNSResult.NODATA)
