"""A client of the collector that reaches it through kubectl, and shows it the user's own identity."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from pullwhy.cli.client import Client, Unauthorized, Unreachable
from pullwhy.cli.kubectl.credential import Credential
from pullwhy.cli.kubectl.tunnel import Tunnel
from pullwhy.secret import Secret

HOW_TO_BE_KNOWN: Final = (
    "--token-from serviceaccount/NAME has kubectl make one, --token-file FILE or PULLWHY_TOKEN gives another"
)


ANY_CERTIFICATE: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Where the collector speaks TLS (`http_tls`): its certificate names a Service, and the tunnel ends at 127.0.0.1. Who is at the
other end kubectl knows, which checked the API server's certificate."""
ANY_CERTIFICATE.check_hostname = False
ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE
HANDSHAKE_SECONDS: Final = 5.0


class Identity:
    """Who asks; found when it is first needed."""

    def __init__(self, find: Callable[[], Credential]) -> None:
        self._find = find
        self._found: Credential | None = None

    @property
    def credential(self) -> Credential:
        """The credential; raises CommandError where it cannot be had."""
        if self._found is None:
            self._found = self._find()
        return self._found

    def token(self) -> Secret:
        """Return the token, empty for none; raises CommandError."""
        return self.credential.token

    def renewed(self) -> bool:
        """Look again, and return whether there is another token now: they end while a command watches."""
        before, self._found = self.credential.token, None
        return self.token() != before


class Reaching(Client):
    """Asks through a tunnel; a tunnel that broke is opened once more, a token that ended is got once more."""

    def __init__(self, tunnel: Tunnel, identity: Identity, timeout_seconds: float) -> None:
        # The token first: its plugin may ask the user to sign in, and kubectl then finds what it keeps.
        identity.token()
        self._tunnel, self._identity = tunnel, identity
        self._seen = b""
        super().__init__(tunnel.open(), identity.token, timeout_seconds, ANY_CERTIFICATE, self._check)
        self._name = tunnel.name

    def _open(self, *request: Any) -> Any:
        if not self._tunnel.stands:
            self._enter()
        return super()._open(*request)

    def _enter(self) -> None:
        """Open the tunnel anew: the pod was replaced, or its node is gone; the Service may have another."""
        scheme = self._server.partition("://")[0]
        self._server = self._tunnel.open().replace("http", scheme)
        self._seen = b""

    def _check(self, connection: socket.socket) -> None:
        """Raise OSError where kubectl may not be at the other end: the user's token is not for others.

        It runs after the connection was made, so it was kubectl that took it. But for the moment between its letting go of the port
        and its end: in that, a certificate other than the tunnel's first gives away who took the port.
        """
        if not self._tunnel.stands:
            raise ConnectionAbortedError("kubectl port-forward has ended")
        if isinstance(connection, ssl.SSLSocket):
            shown = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").digest()
            self._seen = self._seen or shown
            if shown != self._seen:
                raise ConnectionAbortedError("it has another certificate than when the tunnel was opened")

    def _ask(self, method: str, *request: Any) -> Any:
        try:
            return super()._ask(method, *request)
        except Unreachable:
            scheme, _, place = self._server.partition("://")
            if scheme == "http" and self._tunnel.stands and _speaks_tls(place):
                self._server = f"https://{place}"
            elif method == "POST":
                # What makes something anew is not sent twice: the first may have arrived.
                raise
            else:
                self._enter()
        except Unauthorized:
            if not self._identity.renewed():
                raise
        return super()._ask(method, *request)

    def _how_to_be_known(self) -> str:
        credential = self._identity.credential
        return f"{credential.source} was shown" if credential.token else f"{credential.source}: {HOW_TO_BE_KNOWN}"

    def _how_to_reach(self) -> str:
        said = self._tunnel.said()
        return f"it is asked through kubectl port-forward{f', which says: {said}' if said else ''}"


def _speaks_tls(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), HANDSHAKE_SECONDS) as connection,
            ANY_CERTIFICATE.wrap_socket(connection),
        ):
            return True
    except OSError:
        return False
