"""A ClientHello as large as the runtime's, written by hand, to see whether something on the way loses it.

Since Go 1.24 the hello carries a share for X25519MLKEM768 and takes two segments (crypto/tls, RFC 8446 section 4.1.2,
draft-ietf-tls-ecdhe-mlkem); OpenSSL before 3.5 has no such share, so that its own hello proves nothing about a large one. Only
whether an answer comes is looked at; the handshake is not gone on with. What differs from Go's own hello: the order of
extensions, and that it offers HTTP/1.1 alone.
"""

from __future__ import annotations

import secrets
import ssl
from typing import Final

from pullwhy.plan import GoBuild
from pullwhy.probe.destinations import parse_address
from pullwhy.probe.network import ConnectFailed, Network, NetworkError, Stream, StreamTimedOut
from pullwhy.trace import ConnectAttempt

_ALERT: Final = 21
_HANDSHAKE: Final = 22
_X25519, _P256, _P384, _P521, _X25519MLKEM768 = 0x001D, 0x0017, 0x0018, 0x0019, 0x11EC
_SUITES: Final = (
    0xC02B,
    0xC02F,
    0xC02C,
    0xC030,
    0xCCA9,
    0xCCA8,
    0xC009,
    0xC013,
    0xC00A,
    0xC014,
    0x1301,
    0x1302,
    0x1303,
)
_SIGNATURES: Final = (0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603)
_MLKEM_PRIME: Final = 3329
_MLKEM_COEFFICIENTS: Final = 768
_OPENSSL_WITH_MLKEM: Final = (3, 5)


def is_wanted(go: GoBuild) -> bool:
    """Tell whether the runtime is known to send a larger hello than this OpenSSL does."""
    return go.known and go.since(24, "tlsmlkem=0") and ssl.OPENSSL_VERSION_INFO[:2] < _OPENSSL_WITH_MLKEM


def client_hello(host: str) -> bytes:
    """Return a record with a ClientHello for `host`, about as large as that of Go 1.24 and later."""
    shares = _u16(_X25519MLKEM768) + _vector(2, _mlkem_key() + secrets.token_bytes(32))
    shares += _u16(_X25519) + _vector(2, secrets.token_bytes(32))
    extensions = [
        *([] if _no_name(host) else [(0, _vector(2, b"\0" + _vector(2, host.rstrip(".").encode("ascii", "replace"))))]),
        (5, b"\1\0\0\0\0"),
        (10, _vector(2, b"".join(map(_u16, (_X25519MLKEM768, _X25519, _P256, _P384, _P521))))),
        (11, b"\1\0"),
        (13, _vector(2, b"".join(map(_u16, _SIGNATURES)))),
        (16, _vector(2, _vector(1, b"http/1.1"))),
        (18, b""),
        (23, b""),
        (43, _vector(1, b"\3\4\3\3")),
        (51, _vector(2, shares)),
        (0xFF01, b"\0"),
    ]
    body = b"\3\3" + secrets.token_bytes(32) + _vector(1, secrets.token_bytes(32))
    body += _vector(2, b"".join(map(_u16, _SUITES))) + b"\1\0"
    body += _vector(2, b"".join(_u16(kind) + _vector(2, data) for kind, data in extensions))
    return b"\x16\3\1" + _vector(2, b"\1" + _vector(3, body))


def _no_name(host: str) -> bool:
    """Tell whether a host is not named in a hello: an address (RFC 6066 section 3)."""
    return parse_address(host.strip("[]")) is not None


def _mlkem_key() -> bytes:
    """Return the bytes of a well-formed encapsulation key: coefficients below the prime, 12 bits each, and a seed (FIPS 203)."""
    number = 0
    for place in range(_MLKEM_COEFFICIENTS):
        number |= secrets.randbelow(_MLKEM_PRIME) << (12 * place)
    return number.to_bytes(_MLKEM_COEFFICIENTS * 12 // 8, "little") + secrets.token_bytes(32)


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


class HelloLost(Exception):
    """The large hello was not answered as a smaller one was; `silent` tells silence from a cut."""

    def __init__(self, text: str, *, silent: bool) -> None:
        super().__init__(text)
        self.silent = silent


async def lost(network: Network, used: ConnectAttempt, host: str, within: float) -> HelloLost | None:
    """Send the large hello twice at most to an address that answered a small one; return how it is lost, None where it is answered.

    A connection that does not come about tells nothing of hellos.
    """
    why = None
    for _ in range(2):
        try:
            stream = await network.connect(used.address, used.port, within / 2)
        except ConnectFailed:
            return None
        try:
            await _send(stream, host, within / 2)
        except HelloLost as error:
            why = error
        else:
            return None
        finally:
            stream.close()
    return why


async def _send(stream: Stream, host: str, within: float) -> None:
    """Send the large hello over a fresh `stream` and wait for a record of TLS, of whatever content; raises HelloLost."""
    hello = client_hello(host)
    lead = f"a hello of {len(hello)} bytes, as large as the runtime's"
    try:
        await stream.write(hello, within)
        first = await stream.read(1, within)
    except StreamTimedOut:
        raise HelloLost(f"{lead}, gets no answer within {within:.1f} s", silent=True) from None
    except NetworkError as error:
        raise HelloLost(f"{lead}, is cut: {error}", silent=False) from None
    if not first:
        raise HelloLost(f"{lead}, ends the connection", silent=False)
    if first[0] not in {_ALERT, _HANDSHAKE}:
        raise HelloLost(f"{lead}, is answered by what is no TLS", silent=False)
