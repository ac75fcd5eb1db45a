"""HTTP proxies of the lab: one that works, and ones that refuse in the usual ways."""

import asyncio
import contextlib
import urllib.parse

MAX_HEAD = 1 << 16
CHUNK = 1 << 16
REFUSALS = {
    "proxy-403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "proxy-407": (
        b"HTTP/1.1 407 Proxy Authentication Required\r\n"
        b'Proxy-Authenticate: Basic realm="lab proxy"\r\nContent-Length: 0\r\n\r\n'
    ),
    "proxy-503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
}
MODES = frozenset({"proxy", *REFUSALS})


async def serve_proxy(mode: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one client: CONNECT, and requests for http:// addresses, or the refusal that *mode* names."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, OSError):
        head = await reader.readuntil(b"\r\n\r\n")
        if mode in REFUSALS:
            writer.write(REFUSALS[mode])
            await writer.drain()
        else:
            await _forward(head, reader, writer)
    writer.close()


async def _forward(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    method, target, rest = head.split(b" ", 2)
    if method == b"CONNECT":
        host, _, port = target.decode().rpartition(":")
        first = b""
    else:
        parts = urllib.parse.urlsplit(target.decode())
        host, port = parts.hostname or "", str(parts.port or 80)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        first = b" ".join([method, path.encode(), rest])
    try:
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return
    if first:
        far_writer.write(first)
    else:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()
