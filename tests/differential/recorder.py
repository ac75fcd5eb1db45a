"""Servers at every place of a machine that answer as they are told and note each contact, refused ones too."""

import contextlib
import ctypes
import dataclasses
import os
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

from differential.names import ADDRESSES, LOOPBACK, Manner, Place

from lab.certificates import Pair
from lab.images import Blob, Image

CLONE_NEWNET: Final = 0x40000000
OWN_HEADERS: Final = "x-lab-"
"""How the names of the headers begin that configurations under test send."""
_SECONDS: Final = 5.0
_TLS_HELLO: Final = b"\x16"
_GO_TO_PLAIN: Final = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_GO_TO_TLS: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"
_REFUSED_FLAGS: Final = 0x14  # RST and ACK
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, slots=True)
class Contact:
    """One attempt to reach a place. *end* is `refused`, `reset`, `handshake` (which failed), or `request`."""

    place: Place
    end: str
    secure: bool = False
    request: str = ""
    """Method and target."""
    host: str = ""
    """The header Host."""
    headers: tuple[tuple[str, str], ...] = ()
    """Those of the configuration, in order of name."""
    client: str = ""
    """Whom the client certificate names."""

    def __str__(self) -> str:
        scheme = "https" if self.secure else "http"
        if self.end != "request":
            return f"{self.place} {self.end}" + (f" ({scheme})" if self.end == "handshake" else "")
        more = "".join(f" {name}={value}" for name, value in self.headers)
        return f"{self.place} {scheme} {self.request} Host={self.host}{more}" + (
            f" as {self.client}" * bool(self.client)
        )


def on_network(pid: int) -> ThreadPoolExecutor:
    """Return a thread that works on the network of a process."""

    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{pid}/ns/net", "rb") as network:  # noqa: PTH123 - its descriptor is what is wanted
            if libc.setns(network.fileno(), CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))

    return ThreadPoolExecutor(1, initializer=enter)


class Recorder:
    """The servers of one machine: tell them how to behave, let somebody come, and read who came."""

    def __init__(self, pid: int, trusted: Pair, untrusted: Pair, clients: bytes) -> None:
        """Serve on the network of process *pid*; *clients* is the authority of client certificates."""
        self._contexts = {"tls": _context(trusted, clients), "tls-untrusted": _context(untrusted, clients)}
        self._manners: Mapping[Place, Manner] = {}
        self._blobs: dict[str, Blob] = {}
        self._top: Blob | None = None
        self._seen: list[tuple[int, Contact]] = []
        self._busy = 0
        self._quiet = threading.Condition()
        self._listening: dict[Place, list[socket.socket]] = {}
        self._network = on_network(pid)
        self._wires = self._network.submit(_wires).result()

    def close(self) -> None:
        """Let go of every place."""
        for place in list(self._listening):
            self._leave(place)
        for wire in self._wires:
            wire.close()
        self._network.shutdown()

    def on_network(self, work: Callable[[], Result]) -> Result:
        """Do *work* in a thread of the network that is served here."""
        return self._network.submit(work).result()

    def behave(self, manners: Mapping[Place, Manner], image: Image, extra: Image | None = None) -> None:
        """Let each place have *image* as its manner says; where there is none, nobody listens. Forget who came."""
        up = {place for place, manner in manners.items() if manner.transport != "refused"}
        for place in [place for place in self._listening if place not in up]:
            self._leave(place)
        for place in up - set(self._listening):
            self._listening[place] = self._network.submit(self._listen, place).result()
        self._manners = manners
        images = [image] if extra is None else [image, extra]
        self._blobs = {blob.digest: blob for one in images for blob in (one.top, *one.manifests, *one.blobs)}
        self._top = image.top
        self._drain()
        self._seen.clear()

    def contacts(self) -> list[Contact]:
        """Return who came since the last change of behaviour, in order; the same again right after is told once."""
        with self._quiet:
            self._quiet.wait_for(lambda: self._busy == 0, timeout=_SECONDS)
        self._seen += [(when, Contact(place, "refused")) for when, place in self._drain()]
        found: list[Contact] = []
        for _, contact in sorted(self._seen, key=lambda pair: pair[0]):
            if contact not in found[-1:]:
                found.append(contact)
        return found

    def _listen(self, place: Place) -> list[socket.socket]:
        addresses = [ADDRESSES[place.host]] if place.host in ADDRESSES else ["127.0.0.1", "::1"]
        sockets = []
        for address in addresses:
            one = socket.create_server(
                (address, place.port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=16
            )
            threading.Thread(target=self._accept, args=(one, place)).start()
            sockets.append(one)
        return sockets

    def _leave(self, place: Place) -> None:
        for one in self._listening.pop(place):
            one.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts

    def _drain(self) -> list[tuple[int, Place]]:
        """Return the places that refused a connection, with the time, from the packets that came."""
        found = []
        for wire in self._wires:
            while True:
                try:
                    packet, control, _, _ = wire.recvmsg(128, 128)
                except BlockingIOError:
                    break
                source = _refused(packet)
                if source is not None and source not in self._listening:
                    seconds, nanoseconds = struct.unpack("qq", control[0][2])
                    found.append((seconds * 1_000_000_000 + nanoseconds, source))
        return found

    def _accept(self, listener: socket.socket, place: Place) -> None:
        with listener:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with self._quiet:
                    self._busy += 1
                threading.Thread(target=self._serve, args=(connection, place, time.time_ns())).start()

    def _serve(self, connection: socket.socket, place: Place, when: int) -> None:
        connection.settimeout(_SECONDS)
        try:
            with contextlib.suppress(OSError), connection:
                contact = self._meet(connection, place)
                if contact is not None:
                    self._seen.append((when, contact))
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()

    def _meet(self, connection: socket.socket, place: Place) -> Contact | None:
        manner = self._manners.get(place, Manner())
        if manner.transport == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return Contact(place, "reset")
        first = connection.recv(1, socket.MSG_PEEK)
        if not first:
            return None  # one of two addresses that were dialled at once
        if manner.transport == "plain":
            if first == _TLS_HELLO:
                connection.recv(8192)
                connection.sendall(_GO_TO_TLS)
                return Contact(place, "handshake", secure=True)
            return self._answer(connection, place, manner, secure=False)
        if first != _TLS_HELLO:
            contact = _read(connection, place, secure=False)
            connection.sendall(_GO_TO_PLAIN)
            return contact
        try:
            with self._contexts[manner.transport].wrap_socket(connection, server_side=True) as secure:
                return self._answer(secure, place, manner, secure=True)
        except OSError:
            return Contact(place, "handshake", secure=True)

    def _answer(self, connection: socket.socket, place: Place, manner: Manner, *, secure: bool) -> Contact | None:
        contact = _read(connection, place, secure=secure)
        if contact is not None:
            connection.sendall(self._reply(manner, contact.request))
        return contact

    def _reply(self, manner: Manner, request: str) -> bytes:
        method, _, target = request.partition(" ")
        path = target.partition("?")[0]
        status = {"denied": "401 Unauthorized", "broken": "500 Internal Server Error"}.get(manner.answer, "")
        blob = None if status else self._blob(manner, method, path)
        if path == "/v2/" and not status:
            status = "200 OK"
        if blob is None:
            return f"HTTP/1.1 {status or '404 Not Found'}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {blob.media_type}\r\nContent-Length: {len(blob.content)}\r\n"
            f"Docker-Content-Digest: {blob.digest}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == "HEAD" else blob.content)

    def _blob(self, manner: Manner, method: str, path: str) -> Blob | None:
        name = path.rpartition("/")[2]
        kind = "manifests" if "/manifests/" in path else "blobs"
        blob = self._blobs.get(name) if ":" in name else self._top
        if blob is None or (kind == "manifests") != (blob.media_type.endswith(("manifest.v1+json", "index.v1+json"))):
            return None
        has = {"tag": kind == "manifests" and method == "HEAD", "manifest": kind == "manifests", "all": True}
        return blob if has.get(manner.answer, False) else None


def _read(connection: socket.socket, place: Place, *, secure: bool) -> Contact | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(8192)
        if not part:
            return Contact(place, "handshake", secure=secure) if secure else None
        data += part
    first, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    own = tuple(sorted(pair for pair in pairs if pair[0].startswith(OWN_HEADERS)))
    request = first.rpartition(" ")[0]
    return Contact(place, "request", secure, request, dict(pairs).get("host", ""), own, _client(connection))


def _client(connection: socket.socket) -> str:
    if not isinstance(connection, ssl.SSLSocket):
        return ""
    der = connection.getpeercert(binary_form=True)
    if der is None:
        return ""
    names = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value)


def _wires() -> list[socket.socket]:
    """Return sockets that show every packet that arrives, IPv4 and IPv6."""
    wires = []
    for protocol in (0x0800, 0x86DD):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
        wire.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 23)
        wire.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        wire.setblocking(False)
        wires.append(wire)
    return wires


def _refused(packet: bytes) -> Place | None:
    """Return the place that a reset packet comes from, None for other packets."""
    if packet[0] >> 4 == 4:
        source, transport, protocol = socket.inet_ntop(socket.AF_INET, packet[12:16]), (packet[0] & 15) * 4, packet[9]
    else:
        source, transport, protocol = socket.inet_ntop(socket.AF_INET6, packet[8:24]), 40, packet[6]
    if protocol != socket.IPPROTO_TCP or packet[transport + 13] & 0x3F != _REFUSED_FLAGS:
        return None
    host = next((name for name, address in ADDRESSES.items() if address == source), LOOPBACK)
    return Place(host, int.from_bytes(packet[transport : transport + 2], "big"))


def _context(pair: Pair, clients: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain"), Path(folder, "key")
        chain.write_bytes(pair.chain)
        key.write_bytes(pair.key)
        context.load_cert_chain(chain, key)
    context.load_verify_locations(cadata=clients.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    return context


def shown(contacts: list[Contact]) -> str:
    """Return contacts as lines."""
    return "\n".join(f"    {contact}" for contact in contacts) or "    nobody"
