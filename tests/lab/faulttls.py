"""A TLS server side of our own for clients that must be refused in order: asyncio's drops the connection before the alert."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

CHUNK = 1 << 16
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def terminate(
    context: ssl.SSLContext, serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Do the handshake, the alert of a failed one included, and let *serve* talk in clear through it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with contextlib.suppress(ConnectionError):
        if await _handshake(tls, incoming, outgoing, reader, writer):
            await _relay(tls, (incoming, outgoing), serve, reader, writer)
        # Whatever the client still sends must be read: closing with unread data would reset the alert away.
        writer.write_eof()
        while await reader.read(CHUNK):
            pass
    writer.close()


async def _handshake(
    tls: ssl.SSLObject,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bool:
    while True:
        done, wanted = True, True
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        except ssl.SSLError:
            wanted = False
        writer.write(outgoing.read())
        await writer.drain()
        if done or not wanted:
            return wanted
        data = await reader.read(CHUNK)
        if not data:
            return False
        incoming.write(data)


async def _relay(
    tls: ssl.SSLObject,
    ways: tuple[ssl.MemoryBIO, ssl.MemoryBIO],
    serve: Serve,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    near, far = socket.socketpair()
    near_reader, near_writer = await asyncio.open_connection(sock=near)
    served = asyncio.create_task(_serve_clear(serve, far))
    inward = asyncio.create_task(_inward(tls, ways[0], reader, near_writer))
    while data := await near_reader.read(CHUNK):
        tls.write(data)
        writer.write(ways[1].read())
        await writer.drain()
    inward.cancel()
    await served
    near_writer.close()


async def _serve_clear(serve: Serve, far: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=far)
    await serve(reader, writer)


async def _inward(
    tls: ssl.SSLObject, incoming: ssl.MemoryBIO, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        try:
            clear = tls.read(CHUNK)
            if not clear:  # the client said goodbye
                break
            writer.write(clear)
            continue
        except ssl.SSLWantReadError:
            await writer.drain()
        except ssl.SSLError:
            break
        data = await reader.read(CHUNK)
        if not data:
            break
        incoming.write(data)
    writer.write_eof()
