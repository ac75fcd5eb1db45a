"""Where the Kubernetes API is and how to be let in: a pod's own service account, or what settings name."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from pullwhy.frozen import frozen
from pullwhy.secret import Secret
from pullwhy.text import printable

logger = logging.getLogger(__name__)

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's token and the cluster's CA (client-go 0.34: rest/config.go, InClusterConfig)."""
MAX_TOKEN: Final = 16_384
"""Bytes of a token file; a projected token has about 1,200."""


_MOUNTED: Final = "the pod's service account is mounted there where automountServiceAccountToken is true"


class NoAccess(Exception):
    """The API cannot be asked; the text names the setting or the file and the mend."""


class Settings(Protocol):
    """What settings may name; empty texts: the cluster in which this process is a pod, and the pod's own files."""

    @property
    def server(self) -> str:
        """`https://HOST:PORT`."""

    @property
    def ca(self) -> str:
        """File of the cluster's CA."""

    @property
    def token_file(self) -> str:
        """File of the token."""


@frozen
class Access:
    """One API server and the files that open it."""

    host: str
    port: int
    ca: Path
    token_file: Path
    ca_mend: str = "`kubernetes.ca` names the cluster's CA"
    """What to do where that file does not serve."""
    entry_mend: str = "`kubernetes.token_file` names a file with one token on one line"

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the cluster's CA alone; raises NoAccess."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(self.ca)
        except OSError as error:
            told = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise NoAccess(f"{self.ca}: {told}: {self.ca_mend}") from error
        return context

    def stamp(self) -> tuple[int, int, int]:
        """Return what changes when the CA's file does; raises NoAccess."""
        try:
            found = self.ca.stat()
        except OSError as error:
            raise NoAccess(f"{self.ca}: {error.strerror}: {self.ca_mend}") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def token(self) -> Secret:
        """Return the token as the file holds it now: the kubelet renews it; raises NoAccess."""
        return read_token(self.token_file, self.entry_mend)


class Trust:
    """The TLS context of the API, made anew when the cluster's CA changes. What cannot be used is left, and what was good goes on."""

    def __init__(self, access: Access) -> None:
        """Read the CA now; raises NoAccess."""
        self._access = access
        self._stamp, self._context = access.stamp(), access.context()
        self._told = ""

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is made with."""
        try:
            stamp = self._access.stamp()
            if stamp != self._stamp:
                self._context = self._access.context()
                self._stamp = stamp
                self._told = ""
        except NoAccess as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("%s; the CA that was read before stays in use", error)
        return self._context


def in_cluster(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Access:
    """Return the API of the cluster in which this process is a pod; raises NoAccess."""
    host, port = _service(environment)
    return Access(host, port, folder / "ca.crt", folder / "token", _MOUNTED, _MOUNTED)


def find(settings: Settings, environment: Mapping[str, str]) -> Access:
    """Return the API that the settings name, or that of the cluster in which this process is a pod; raises NoAccess."""
    ca = Path(settings.ca) if settings.ca else SERVICE_ACCOUNT / "ca.crt"
    token_file = Path(settings.token_file) if settings.token_file else SERVICE_ACCOUNT / "token"
    if settings.server:
        host, port = _parts(settings.server)
        return Access(host, port, ca, token_file)
    try:
        host, port = _service(environment)
    except NoAccess as error:
        raise NoAccess(f"{error}; name one in `kubernetes.server`") from None
    return Access(host, port, ca, token_file)


def read_token(path: Path, mend: str) -> Secret:
    """Return the token in a file; raises NoAccess, whose text never holds what was read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN + 1)
    except OSError as error:
        raise NoAccess(f"{path}: {error.strerror}: {mend}") from error
    text = content.decode("ascii", "replace").strip()
    if not text or len(content) > MAX_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise NoAccess(f"{path}: holds no token: {mend}")
    return Secret(text)


def _service(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return where pods are told that the API is."""
    host, number = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not number.isascii() or not number.isdigit():
        raise NoAccess("no Kubernetes API is known: this is no pod (KUBERNETES_SERVICE_HOST is not set)")
    return host, int(number)


def _parts(server: str) -> tuple[str, int]:
    try:
        url = urlsplit(server)
        port = url.port or 443
    except ValueError:
        url, port = urlsplit(""), 0
    if url.scheme != "https" or not url.hostname or url.path.strip("/") or url.query or url.username:
        raise NoAccess(f"kubernetes.server {printable(server, 200)!r}: write https://HOST:PORT")
    return url.hostname, port
