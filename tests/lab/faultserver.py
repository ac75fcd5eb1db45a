"""The fault registry's process: many listeners, each with its own way of answering, told by a file that may change.

File: {"listeners": [{"host", "address", "port", "mode", "chain", "key", "client_ca"}], "repositories": {host: {name:
repository}}}. Every request is noted in the log as a line of JSON; of an Authorization header only the scheme.
"""

import asyncio
import contextlib
import functools
import json
import socket
import ssl
import struct
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from lab import faultproxy, faults
from lab.faultanswers import Answer, Request, good, stage_of
from lab.faulttls import terminate

POLL_SECONDS = 0.03
IDLE_SECONDS = 3600.0
MAX_HEAD = 1 << 16
TLS_HANDSHAKE = b"\x16"
GARBAGE = b"\x00\x01\x02 this is no TLS record \xff\xfe" * 4
RAW_MODES = {"tls-garbage", "tls-reset", "tls-hang", "tls-close", "silent"}


class Registry:
    """The repositories, as the file has them now, and how often each rule was used."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._used: dict[tuple[str, str, int], int] = {}
        self.repositories: dict[str, dict[str, faults.Repository]] = {}

    def repository(self, host: str, name: str) -> faults.Repository:
        """Return the repository *name* of *host*; one that was not set is a good one."""
        return self.repositories.get(host, {}).get(name, faults.PRESETS["ok"])

    def rule(self, host: str, request: Request) -> faults.Rule | None:
        """Return the rule for a request, None where the answer is the good one."""
        for number, rule in enumerate(self.repository(host, request.repository).rules):
            if not request.at(rule.stage) or (rule.action == "challenge" and "authorization" in request.headers):
                continue
            key = (host, request.repository, number)
            used = self._used.get(key, 0)
            if rule.times and used >= rule.times:
                continue
            self._used[key] = used + 1
            return rule
        return None

    def note(self, host: str, client: str, request: Request) -> None:
        """Write the request to the log, without secrets."""
        headers = dict(request.headers)
        if "authorization" in headers:
            headers["authorization"] = headers["authorization"].partition(" ")[0]
        entry = {"host": host, "client": client, "method": request.method, "path": request.target}
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({**entry, "headers": headers, "time": time.time()}) + "\n")


class Connection:
    """One client's connection to a listener that speaks HTTP, with or without TLS."""

    def __init__(
        self, registry: Registry, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._registry, self._host, self._reader, self._writer = registry, host, reader, writer

    async def serve(self) -> None:
        """Answer requests until either side closes."""
        try:
            while await self._one():
                pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._writer.close()

    async def _one(self) -> bool:
        first = await self._reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            self._writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return False
        head = first + await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        pairs = [line.partition(":") for line in lines[1:] if ":" in line]
        headers = {key.strip().lower(): value.strip() for key, _, value in pairs}
        body = await self._reader.readexactly(min(int(headers.get("content-length", "0")), MAX_HEAD))
        request = stage_of(self._registry, self._host, method, target, headers, body)
        peer = self._writer.get_extra_info("peername")
        self._registry.note(self._host, peer[0] if peer else "", request)
        rule = self._registry.rule(self._host, request)
        answer = good(request)
        if rule is None:
            await self._send(request, answer)
            return True
        return await self._act(rule, request, answer)

    async def _act(self, rule: faults.Rule, request: Request, answer: Answer) -> bool:
        """Do what the rule says; return whether the connection goes on."""
        if rule.action == "hang":
            await asyncio.sleep(IDLE_SECONDS)
            return False
        if rule.action in {"reset", "stall", "truncate", "slow"}:
            return await self._part(rule.action, answer)
        if rule.action == "corrupt":
            answer = answer.corrupted()
        elif rule.action == "shorten":
            answer = answer.shortened()
        elif rule.action == "challenge":
            answer = Answer.challenge(rule.headers["realm"], request.repository)
        else:
            answer = Answer.of(rule, self._host, request)
        await self._send(request, answer)
        return True

    async def _send(self, request: Request, answer: Answer) -> None:
        self._writer.write(answer.head())
        if request.method != "HEAD":
            self._writer.write(answer.body)
        await self._writer.drain()

    async def _part(self, action: str, answer: Answer) -> bool:
        half = len(answer.body) // 2
        self._writer.write(answer.head())
        if action == "slow":
            for position in range(len(answer.body)):
                self._writer.write(answer.body[position : position + 1])
                await self._writer.drain()
                await asyncio.sleep(0.02)
            return True
        self._writer.write(answer.body[:half])
        await self._writer.drain()
        if action == "stall":
            await asyncio.sleep(IDLE_SECONDS)
        elif action == "reset":
            await asyncio.sleep(0.05)
            abort(self._writer)
        return False


def abort(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset."""
    peer = writer.get_extra_info("socket")
    if peer is not None:  # the client may be gone already
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve_raw(mode: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a TLS hello as *mode* says."""
    with contextlib.suppress(ConnectionError):
        await reader.read(MAX_HEAD)
        if mode in {"tls-hang", "silent"}:
            await asyncio.sleep(IDLE_SECONDS)
        if mode == "tls-reset":
            abort(writer)
            return
        if mode == "tls-garbage":
            writer.write(GARBAGE)
            await writer.drain()
    writer.close()


async def serve_http(registry: Registry, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection that speaks HTTP."""
    await Connection(registry, host, reader, writer).serve()


def context_for(listener: dict[str, Any]) -> ssl.SSLContext:
    """Return the TLS settings of a listener of the modes https, mtls and tls-old."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # weak certificates are shown as well
    context.load_cert_chain(listener["chain"], listener["key"])
    if listener["mode"] == "mtls":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(listener["client_ca"])
    if listener["mode"] == "tls-old":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def listen(registry: Registry, listener: dict[str, Any]) -> None:
    """Begin to listen as *listener* says."""
    mode = listener["mode"]
    clear: Any = functools.partial(serve_http, registry, listener["host"])
    context = context_for(listener) if mode in {"https", "mtls", "tls-old"} else None
    serve = clear
    if mode in RAW_MODES:
        serve = functools.partial(serve_raw, mode)
    elif mode in faultproxy.MODES:
        serve = functools.partial(faultproxy.serve_proxy, mode)
    elif mode != "https" and context is not None:
        serve, context = functools.partial(terminate, context, clear), None
    await asyncio.start_server(serve, listener["address"], listener["port"], ssl=context, limit=MAX_HEAD)
    print(f"listening {listener['host']}:{listener['port']}", flush=True)


class Settings:
    """The settings file: read again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0

    def changed(self) -> dict[str, Any] | None:
        """Return the settings when they are new, None when they are as before."""
        inode = self._path.stat().st_ino
        if inode == self._seen:
            return None
        self._seen = inode
        value: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return value


async def main(settings: Settings, registry: Registry) -> None:
    """Follow the settings until the process is ended."""
    known: set[tuple[str, int]] = set()
    while True:
        value = settings.changed()
        if value is not None:
            registry.repositories = {
                host: {name: faults.decode(item) for name, item in items.items()}
                for host, items in value["repositories"].items()
            }
            for listener in value["listeners"]:
                if (listener["address"], listener["port"]) not in known:
                    known.add((listener["address"], listener["port"]))
                    await listen(registry, listener)
            print(f"revision {value['revision']}", flush=True)
        await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(Settings(Path(sys.argv[1])), Registry(Path(sys.argv[2]))))
