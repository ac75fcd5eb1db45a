"""A name server that answers, or fails to, as a file says; the file is read again when it changes. Runs in the servers' namespace.

File: {"names": {name: [answer, …]}} with answers {"server": address or null, "addresses": […], "fault": word or null,
"delay": seconds}; the answer for the asked server wins over the one for all. Names that are not in the file do not exist.
"""

import asyncio
import functools
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL = 1
FAULTS = {"nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}
QUIET_FAULTS = {"nodata", "silent"}


class Zone:
    """The names of the file, as it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0)
        self._names: dict[str, list[dict[str, Any]]] = {}

    def answer(self, name: str, server: str) -> dict[str, Any] | None:
        """Return the answer for *name* as *server* gives it, None where the name does not exist."""
        status = self._path.stat()
        if (status.st_mtime_ns, status.st_ino) != self._seen:
            self._names = json.loads(self._path.read_text(encoding="utf-8"))["names"]
            self._seen = (status.st_mtime_ns, status.st_ino)
        answers = self._names.get(name, [])
        fitting = [answer for answer in answers if answer["server"] in {server, None}]
        return max(fitting, key=lambda answer: answer["server"] is not None, default=None)


class Responder:
    """Answers queries that came to one address, and notes each in the log."""

    def __init__(self, zone: Zone, log: Path, server: str) -> None:
        self._zone = zone
        self._log = log
        self._server = server

    async def respond(self, wire: bytes, client: str) -> bytes | None:
        """Return the answer to a query, None for silence."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        with self._log.open("a", encoding="utf-8") as log:
            entry = {"server": self._server, "client": client, "name": name, "type": kind, "time": time.time()}
            log.write(json.dumps(entry) + "\n")
        answer = self._zone.answer(name, self._server)
        if answer is not None and answer["delay"]:
            await asyncio.sleep(answer["delay"])
        if answer is not None and answer["fault"] == "silent":
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if answer is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif answer["fault"] in FAULTS:
            response.set_rcode(FAULTS[answer["fault"]])
        elif answer["fault"] is None:
            fitting = [text for text in answer["addresses"] if (":" in text) == (kind == "AAAA")]
            if fitting and kind in {"A", "AAAA"}:
                response.answer.append(dns.rrset.from_text(question.name, TTL, "IN", kind, *fitting))
        return response.to_wire()


class Datagrams(asyncio.DatagramProtocol):
    """The UDP side of a responder."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._running: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._reply(data, addr))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _reply(self, data: bytes, addr: tuple[str, int]) -> None:
        wire = await self._responder.respond(data, addr[0])
        if wire is not None and self._transport is not None:
            self._transport.sendto(wire, addr)


async def serve_stream(responder: Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one TCP connection: messages with a two-byte length (RFC 1035 section 4.2.2)."""
    try:
        while True:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = await responder.respond(await reader.readexactly(length), writer.get_extra_info("peername")[0])
            if wire is not None:
                writer.write(struct.pack("!H", len(wire)) + wire)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(records: Path, log: Path, servers: list[str]) -> None:
    """Serve on port 53 of each address until the process is ended."""
    zone = Zone(records)
    loop = asyncio.get_running_loop()
    listeners = []
    for server in servers:
        responder = Responder(zone, log, server)
        await loop.create_datagram_endpoint(functools.partial(Datagrams, responder), local_addr=(server, 53))
        listeners.append(await asyncio.start_server(functools.partial(serve_stream, responder), server, 53))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
