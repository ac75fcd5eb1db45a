"""The one seam to the network: TCP streams and UDP exchanges to literal addresses, with errors of our own."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from pullwhy.trace import ConnectResult

READ_SIZE: Final = 16_384
"""Bytes asked for in one read: one TLS record."""
DATAGRAM_SIZE: Final = 4_096
"""Bytes of the largest DNS datagram taken; EDNS offers 1232 (Go 1.27: net/dnsclient_unix.go)."""
MAX_STRAY_DATAGRAMS: Final = 64
"""Datagrams that `accept` may refuse before an exchange is given up."""

_DISCARD: Final = 9
"""A port for sockets that send nothing (Go 1.27: net/addrselect.go)."""
_RESULTS: Final = {
    errno.ECONNREFUSED: ConnectResult.REFUSED,
    errno.ETIMEDOUT: ConnectResult.TIMED_OUT,
    errno.ENETUNREACH: ConnectResult.UNREACHABLE,
    errno.EHOSTUNREACH: ConnectResult.UNREACHABLE,
    errno.ENETDOWN: ConnectResult.UNREACHABLE,
    errno.EHOSTDOWN: ConnectResult.UNREACHABLE,
    errno.EADDRNOTAVAIL: ConnectResult.UNREACHABLE,
    errno.EAFNOSUPPORT: ConnectResult.UNREACHABLE,
    errno.EACCES: ConnectResult.PROHIBITED,
    errno.EPERM: ConnectResult.PROHIBITED,
}


class NetworkError(Exception):
    """A peer or the way to it failed; the text says how."""


class ConnectFailed(NetworkError):
    """No connection, or no datagram's answer, from one address."""

    def __init__(self, result: ConnectResult, detail: str) -> None:
        super().__init__(detail)
        self.result = result
        self.detail = detail


class StreamReset(NetworkError):
    """The peer, or something on the way, broke an open connection."""


class StreamTimedOut(NetworkError):
    """Nothing came, or nothing was taken, in time."""


class Stream(Protocol):
    """One open byte stream."""

    async def read(self, limit: int, within: float) -> bytes:
        """Return up to `limit` bytes, b"" at the end; raises StreamReset, StreamTimedOut."""

    async def write(self, data: bytes, within: float) -> None:
        """Send all of `data`; raises StreamReset, StreamTimedOut."""

    def close(self) -> None:
        """Let go of the connection; may be called twice."""


class Network(Protocol):
    """What a walk may do on the network."""

    async def connect(self, address: str, port: int, within: float) -> Stream:
        """Open a TCP connection to a literal address; raises ConnectFailed."""

    async def udp_exchange(
        self, address: str, port: int, payload: bytes, within: float, accept: Callable[[bytes], bool]
    ) -> bytes:
        """Send one datagram and return the first answer that `accept` takes; raises ConnectFailed."""

    def source(self, address: str) -> str:
        """Return the local address from which `address` would be reached, empty where no route leads there; nothing is sent."""


class RealNetwork:
    """Sockets of this process's network namespace."""

    async def connect(self, address: str, port: int, within: float) -> Stream:
        """Open a TCP connection to a literal address; raises ConnectFailed."""
        sock = _socket(address, socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(within):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException as error:  # noqa: BLE001 - a cancelled attempt must close its socket too
            sock.close()
            _raise_connect(error, within)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return SocketStream(sock)

    async def udp_exchange(
        self, address: str, port: int, payload: bytes, within: float, accept: Callable[[bytes], bool]
    ) -> bytes:
        """Send one datagram and return the first answer that `accept` takes; raises ConnectFailed."""
        loop = asyncio.get_running_loop()
        with _socket(address, socket.SOCK_DGRAM) as sock:
            try:
                async with asyncio.timeout(within):
                    await loop.sock_connect(sock, (address, port))
                    await loop.sock_sendall(sock, payload)
                    for _ in range(MAX_STRAY_DATAGRAMS):
                        answer = await loop.sock_recv(sock, DATAGRAM_SIZE)
                        if accept(answer):
                            return answer
            except (TimeoutError, OSError) as error:
                _raise_connect(error, within)
        raise ConnectFailed(ConnectResult.OTHER, "only stray datagrams came")

    def source(self, address: str) -> str:
        """Return the local address from which `address` would be reached, empty where no route leads there; nothing is sent."""
        try:
            with _socket(address, socket.SOCK_DGRAM) as sock:
                sock.connect((address, _DISCARD))
                return str(sock.getsockname()[0])
        except (OSError, ConnectFailed):
            return ""


class SocketStream:
    """A connected TCP socket as a Stream."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def read(self, limit: int, within: float) -> bytes:
        """Return up to `limit` bytes, b"" at the end; raises StreamReset, StreamTimedOut."""
        try:
            async with asyncio.timeout(within):
                return await asyncio.get_running_loop().sock_recv(self._socket, limit)
        except TimeoutError as error:
            raise StreamTimedOut(f"nothing came within {within:.1f} s") from error
        except OSError as error:
            raise StreamReset(_describe(error)) from error

    async def write(self, data: bytes, within: float) -> None:
        """Send all of `data`; raises StreamReset, StreamTimedOut."""
        try:
            async with asyncio.timeout(within):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except TimeoutError as error:
            raise StreamTimedOut(f"nothing was taken within {within:.1f} s") from error
        except OSError as error:
            raise StreamReset(_describe(error)) from error

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        self._socket.close()


def _socket(address: str, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise ConnectFailed(_RESULTS.get(error.errno or 0, ConnectResult.OTHER), _describe(error)) from error
    sock.setblocking(False)
    return sock


def _raise_connect(error: BaseException, within: float) -> NoReturn:
    """Raise what `error` means for a connection attempt: ConnectFailed, or itself where it is not the network's."""
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        raise ConnectFailed(ConnectResult.TIMED_OUT, f"no answer within {within:.1f} s") from error
    if isinstance(error, OSError):
        raise ConnectFailed(_RESULTS.get(error.errno or 0, ConnectResult.OTHER), _describe(error)) from error
    raise error


def _describe(error: OSError) -> str:
    if error.errno is None:
        return type(error).__name__
    return f"{os.strerror(error.errno).lower()} ({errno.errorcode.get(error.errno, error.errno)})"
