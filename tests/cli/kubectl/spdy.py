"""The server's half of SPDY/3.1 as far as `kubectl port-forward` and `exec` use it (draft-mbelshe-httpbis-spdy-00; moby/spdystream)."""

import asyncio
import contextlib
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

_WORDS: Final = (
    "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,accept-ranges,age,allow,"
    "authorization,cache-control,connection,content-base,content-encoding,content-language,content-length,content-location,"
    "content-md5,content-range,content-type,date,etag,expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,"
    "if-unmodified-since,last-modified,location,max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,"
    "retry-after,server,te,trailer,transfer-encoding,upgrade,user-agent,vary,via,warning,www-authenticate,method,get,status,"
    "200 OK,version,HTTP/1.1,url,public,set-cookie,keep-alive,origin"
)
_TAIL: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY: Final = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS.split(",")) + _TAIL.encode()
)
"""Section 2.6.10.1: what headers are compressed with."""

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN: Final = 1
_VERSION: Final = 0x8003
_ID: Final = 0x7FFFFFFF


@dataclass
class Stream:
    """One stream that the client opened; `b""` in `data` is its end."""

    number: int
    headers: dict[str, str]
    data: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)


class Connection:
    """One connection after its upgrade; `opened` is told of each new stream."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        opened: Callable[["Connection", Stream], Awaitable[None]],
    ) -> None:
        self._reader, self._writer, self._opened = reader, writer, opened
        self._streams: dict[int, Stream] = {}
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read frames until the client goes."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while await self._frame():
                pass
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def send(self, stream: Stream, data: bytes, *, last: bool = False) -> None:
        flags = FIN if last else 0
        self._writer.write(struct.pack(">II", stream.number, flags << 24 | len(data)) + data)
        await self._writer.drain()

    async def _frame(self) -> bool:
        first, second = struct.unpack(">II", await self._reader.readexactly(8))
        flags, body = second >> 24, await self._reader.readexactly(second & 0xFFFFFF)
        if not first >> 31:
            stream = self._streams.get(first)
            if stream:
                for part in [body] * bool(body) + [b""] * (flags & FIN):
                    stream.data.put_nowait(part)
            return True
        kind = first & 0xFFFF
        if kind == SYN_STREAM:
            await self._open(body, flags)
        elif kind == PING:
            self._control(PING, body)
        elif kind == RST_STREAM:
            stream = self._streams.pop(struct.unpack(">I", body[:4])[0] & _ID, None)
            if stream:
                stream.data.put_nowait(b"")
        return bool(kind != GOAWAY)

    async def _open(self, body: bytes, flags: int) -> None:
        stream = Stream(struct.unpack(">I", body[:4])[0] & _ID, self._headers(body[10:]))
        self._streams[stream.number] = stream
        if flags & FIN:
            stream.data.put_nowait(b"")
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._control(SYN_REPLY, struct.pack(">I", stream.number) + block)
        await self._opened(self, stream)

    def _control(self, kind: int, body: bytes) -> None:
        self._writer.write(struct.pack(">HHI", _VERSION, kind, len(body)) + body)

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block)
        texts, place = [], 4
        while place < len(plain):
            size = struct.unpack_from(">I", plain, place)[0]
            texts.append(plain[place + 4 : place + 4 + size].decode())
            place += 4 + size
        return dict(zip(texts[::2], texts[1::2], strict=True))
