"""The collector's own certificates, read again when their files change: nothing is restarted for a renewal."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from pullwhy import clientpair
from pullwhy.probe.validity import validity

logger = logging.getLogger(__name__)

MAX_FILE: Final = 256 * 1024
LOOK_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 300.0
"""Files that could not be used are read again after so long, or when they change: it may have been for want of a file descriptor."""

SOON_SECONDS: Final = 30 * 86_400.0
WARN_SECONDS: Final = 86_400.0

Stamp = tuple[tuple[int, int, int], ...]


class UnusableCertificate(Exception):
    """A file cannot be used; the text names it and the mend."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the server's certificate chain, its key and, where clients must have one, their authorities are."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def all(self) -> Sequence[Path]:
        """Return the files that there are."""
        return [path for path in (self.certificate, self.key, self.client_ca) if path is not None]


@dataclass(frozen=True, slots=True)
class Content:
    """What the files hold; the key is shown nowhere."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None

    def __repr__(self) -> str:
        return "Content()"


class Certificates:
    """Reads the files, and tells when they changed. What cannot be used is left, and what was good goes on."""

    def __init__(
        self, files: Files, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        """Read them now; raises UnusableCertificate."""
        self._files, self._clock, self._wall = files, clock, wall
        self._name = f"{files.certificate}, {files.key}"
        self._lock = threading.Lock()
        self._stamp = self._stamps()
        self.content = self._read()
        self._contexts: list[ssl.SSLContext] = []
        self._refused: Stamp | None = None
        self._again_at = self._warn_at = 0.0

    @property
    def valid(self) -> tuple[float, float]:
        """Begin and end of the collector's own certificate, seconds since 1970; without an end where that cannot be read."""
        found = validity(self.content.certificate.decode("ascii"))
        return (found[0].timestamp(), found[1].timestamp()) if found else (0.0, math.inf)

    def changed(self) -> bool:
        """Look whether the files changed, and take what they hold now; cheap enough for every handshake, from any thread."""
        with self._lock:
            stamp: Stamp = ()
            try:
                stamp = self._stamps()
                if stamp == self._stamp or self._was_refused(stamp):
                    return False
                fresh = self._take(stamp)
            except UnusableCertificate as error:
                if not self._was_refused(stamp):
                    logger.warning("%s; the certificate that was read before stays in use", error)
                    self._refused, self._again_at = stamp, self._clock() + AGAIN_SECONDS
                return False
        if fresh:
            logger.info("%s: a new certificate is in use", self._files.certificate)
        return fresh

    def _was_refused(self, stamp: Stamp) -> bool:
        return stamp == self._refused and self._clock() < self._again_at

    def _take(self, stamp: Stamp) -> bool:
        """Read the files, and put what they hold to use where it is new; raises UnusableCertificate, with nothing changed for good."""
        content = self._read()
        fresh = content != self.content
        if fresh:
            # What was read and checked, not the files once more: they may be others by now.
            for context in self._contexts:
                _load(context, content.certificate, content.key, self._name)
            self.content = content
        self._stamp = stamp
        return fresh

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that look for new files with each handshake."""
        given = self.content

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            self.changed()
            if self.content is given:
                return None
            given = self.content
            return self._configuration()

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            fetch,  # type: ignore[arg-type] # None says that nothing changed, which the stubs do not know
            require_client_authentication=self.content.client_ca is not None,
        )

    def server_context(self) -> ssl.SSLContext:
        """Return a context for HTTP; `changed` gives it new certificates. It asks clients for none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with self._lock:
            _load(context, self.content.certificate, self.content.key, self._name)
            self._contexts.append(context)
        return context

    async def watch(self) -> None:
        """Look at the files now and then, for HTTP, which has no say in a handshake; and warn of an end that comes near."""
        while True:
            self.warn()
            await asyncio.sleep(LOOK_SECONDS)
            self.changed()

    def warn(self) -> None:
        """Say once a day in the log that the certificate ends soon: in a month, and within the last quarter of its time."""
        begins, ends = self.valid
        left = ends - self._wall()
        if left < min(SOON_SECONDS, (ends - begins) / 4) and self._wall() >= self._warn_at:
            self._warn_at = self._wall() + WARN_SECONDS
            told = f"ends in {left / 86_400:.1f} days" if left > 0 else "has ended: no agent and no reader can trust it"
            logger.warning("%s: the certificate %s; renew it, the files are read anew", self._files.certificate, told)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        content = self.content
        return grpc.ssl_server_certificate_configuration([(content.key, content.certificate)], content.client_ca)

    def _stamps(self) -> Stamp:
        try:
            found = [path.stat() for path in self._files.all()]
        except OSError as error:
            raise _unreadable(error) from error
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _read(self) -> Content:
        try:
            parts = [path.read_bytes() for path in self._files.all()]
        except OSError as error:
            raise _unreadable(error) from error
        if any(len(part) > MAX_FILE for part in parts):
            raise UnusableCertificate(f"{self._files.certificate}: more than {MAX_FILE} bytes, that is no certificate")
        certificate, key, *authorities = parts
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key, self._name)
        if authorities:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=_pem(authorities[0]))
            except ssl.SSLError as error:
                raise UnusableCertificate(f"{self._files.client_ca}: no authorities in PEM") from error
        return Content(certificate, key, authorities[0] if authorities else None)


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes, what: str) -> None:
    try:
        clientpair.load(context, _pem(certificate), _pem(key))
    except clientpair.UnusableClientPair as error:
        raise UnusableCertificate(f"{what}: no certificate and key in PEM that go together: {error}") from error


def _pem(content: bytes) -> str:
    # PEM is ASCII; people's remarks between its blocks need not be (RFC 7468, section 2).
    return content.decode("ascii", "ignore")


def _unreadable(error: OSError) -> UnusableCertificate:
    return UnusableCertificate(
        f"{error.filename}: {error.strerror}: tls_certificate, tls_key and tls_client_ca name readable files"
    )
