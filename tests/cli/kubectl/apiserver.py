"""A stand-in for a cluster's API server, for a real kubectl: discovery, a few objects, tokens, and pods whose port and exec are real.

It is no Kubernetes: the objects are what a test puts in. A pod's port leads to a port of this machine, exec runs a program here.
"""

import asyncio
import contextlib
import json
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trustme
from cli.kubectl.spdy import Connection, Stream

_CORE: Final = (
    ("services", "Service", ["get", "list"]),
    ("pods", "Pod", ["get", "list"]),
    ("pods/portforward", "PodPortForwardOptions", ["create", "get"]),
    ("pods/exec", "PodExecOptions", ["create", "get"]),
    ("serviceaccounts", "ServiceAccount", ["get"]),
)
_APPS: Final = (("daemonsets", "DaemonSet", ["get", "list"]),)


class APIServer:
    """Objects by path; answers who has the token."""

    def __init__(self, folder: Path, token: str, port: int, program: list[str]) -> None:
        """`port` is that of all pods, `program` is what exec runs, with the arguments after the first."""
        self.token, self.port, self._program = token, port, program
        self.objects: dict[str, Any] = {}
        self.forbidden: set[str] = set()
        self.seen: list[str] = []
        authority = trustme.CA()
        self.ca = folder / "api-ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def kubeconfig(self, user: Mapping[str, Any]) -> dict[str, Any]:
        cluster = {"server": self.url, "certificate-authority": self.ca.name}
        return {
            "kind": "Config",
            "apiVersion": "v1",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "jane", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "jane", "namespace": "shop"}}],
            "current-context": "lab",
        }

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self._context) as server:
            self.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._end.wait()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._request(reader, writer):
                pass
        writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        method, target, _ = line.split()
        # Of a header that is there several times, the first counts: the protocol that kubectl likes best.
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in reversed(rest))}
        await reader.readexactly(int(headers.get("content-length", "0")))
        url = urllib.parse.urlsplit(target)
        self.seen.append(f"{method} {url.path}")
        status, body = self._answer(method, url.path, headers)
        if status == 200 and url.path.endswith(("/portforward", "/exec")):
            if headers.get("upgrade", "").upper() == "SPDY/3.1":
                await self._upgrade(reader, writer, headers, url)
                return False
            # kubectl tries WebSockets first, and goes back to SPDY where a server does not know them.
            status, body = refusal(400, "BadRequest", "unable to upgrade: only SPDY/3.1 is spoken here")
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        return True

    def _answer(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        if headers.get("authorization") != f"Bearer {self.token}":
            return refusal(401, "Unauthorized", "Unauthorized")
        if any(part in path for part in self.forbidden):
            what = path.split("/")
            message = (
                f'{what[-2]} "{what[-1]}" is forbidden: User "jane" cannot get resource "{what[-2]}" in API group ""'
            )
            return refusal(403, "Forbidden", message)
        known = DISCOVERY.get(path) or self.objects.get(path)
        if known is not None or path.endswith(("/portforward", "/exec")):
            return (201 if method == "POST" and known else 200), known or {}
        kind, name = path.split("/")[-2:]
        return refusal(404, "NotFound", f'{kind} "{name}" not found')

    async def _upgrade(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        headers: Mapping[str, str],
        url: urllib.parse.SplitResult,
    ) -> None:
        protocol = headers["x-stream-protocol-version"].split(",")[0].strip()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n"
            f"x-stream-protocol-version: {protocol}\r\n\r\n".encode()
        )
        query = urllib.parse.parse_qs(url.query)
        waiting: dict[str, dict[str, Stream]] = {}

        async def opened(connection: Connection, stream: Stream) -> None:
            streams = waiting.setdefault(stream.headers.get("requestid", ""), {})
            streams[stream.headers["streamtype"]] = stream
            if "data" in streams and "error" in streams:
                work = self._forward(connection, streams)
            elif url.path.endswith("/exec") and len(streams) == 3:
                work = self._exec(connection, streams, query["command"])
            else:
                return
            connection.tasks.add(asyncio.create_task(work))

        await Connection(reader, writer, opened).run()

    async def _forward(self, connection: Connection, streams: Mapping[str, Stream]) -> None:
        data, error = streams["data"], streams["error"]
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError as failed:
            await connection.send(error, f"error forwarding port: {failed.strerror}".encode(), last=True)
            await connection.send(data, b"", last=True)
            return
        inward = asyncio.create_task(_drain(data, outer))
        try:
            with contextlib.suppress(OSError):
                while part := await inner.read(32_768):
                    await connection.send(data, part)
            await connection.send(data, b"", last=True)
            await connection.send(error, b"", last=True)
        finally:
            inward.cancel()
            outer.close()

    async def _exec(self, connection: Connection, streams: Mapping[str, Stream], command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._program, *command[1:], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await process.communicate()
        for name, told in (("stdout", out), ("stderr", errors)):
            for start in range(0, len(told), 32_768):
                await connection.send(streams[name], told[start : start + 32_768])
            await connection.send(streams[name], b"", last=True)
        await connection.send(streams["error"], json.dumps({"metadata": {}, "status": "Success"}).encode(), last=True)


async def _drain(stream: Stream, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while part := await stream.data.get():
            writer.write(part)
            await writer.drain()
        writer.write_eof()


def refusal(status: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    kind = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    return status, kind | {"status": "Failure", "message": message, "reason": reason, "code": status}


def _resources(version: str, listed: tuple[tuple[str, str, list[str]], ...]) -> dict[str, Any]:
    found = [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
        for name, kind, verbs in listed
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": found}


_GROUP_VERSION: Final = {"groupVersion": "apps/v1", "version": "v1"}
DISCOVERY: Final[dict[str, dict[str, Any]]] = {
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [{"name": "apps", "versions": [_GROUP_VERSION], "preferredVersion": _GROUP_VERSION}],
    },
    "/api/v1": _resources("v1", _CORE),
    "/apis/apps/v1": _resources("apps/v1", _APPS),
}
