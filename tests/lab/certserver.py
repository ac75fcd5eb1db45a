"""A TLS server with another certificate for each name, that finds nothing whatever it is asked. Runs in the servers' namespace.

A file NAME.pem of its folder has the chain and the key that are shown to clients which ask for NAME.
"""

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path

ANSWER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def context_of(path: Path | None) -> ssl.SSLContext:
    """Return a context that shows whatever a file holds, however weak; TLS 1.2, because 1.3 has no use for small keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    if path is not None:
        context.load_cert_chain(path)
    return context


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
    writer.close()


async def main(contexts: dict[str, ssl.SSLContext], address: str, port: int) -> None:
    """Serve until the process is ended."""
    base = next(iter(contexts.values()))

    def choose(session: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        session.context = contexts.get(name or "", base)

    base.sni_callback = choose
    await asyncio.start_server(answer, address, port, ssl=base)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    pairs = sorted(Path(sys.argv[1]).glob("*.pem"))
    asyncio.run(main({path.stem: context_of(path) for path in pairs}, sys.argv[2], int(sys.argv[3])))
