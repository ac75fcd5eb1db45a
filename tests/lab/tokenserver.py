"""The token server of a registry of the lab: signs what the registry trusts, or refuses, as its settings file says."""

import base64
import http.server
import json
import secrets
import socketserver
import ssl
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HANG_SECONDS = 3600
MAX_BODY = 1 << 16


class Signer:
    """Makes the JSON web tokens (ES256, with the certificate in the header) that the registry accepts."""

    def __init__(self, folder: Path) -> None:
        key = serialization.load_pem_private_key((folder / "token.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        certificates = x509.load_pem_x509_certificates((folder / "token.crt").read_bytes())
        ders = [certificate.public_bytes(serialization.Encoding.DER) for certificate in certificates]
        self._chain = [base64.b64encode(der).decode() for der in ders]

    def token(self, claims: dict[str, Any]) -> str:
        """Return the signed token of *claims*."""
        header = {"typ": "JWT", "alg": "ES256", "x5c": self._chain}
        text = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        first, second = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encode(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"


class Server(http.server.ThreadingHTTPServer):
    """A threading server that does not look its own name up: the lab's names may be meant to fail."""

    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET with Basic credentials or none, and the OAuth2 POST with a password."""

    folder: Path
    signer: Signer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(text).decode().partition(":") if kind == "Basic" else ("", "", "")
        self._issue(query.get("scope", []), user, password)

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", "0")), MAX_BODY)
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        scopes = [scope for text in form.get("scope", []) for scope in text.split(" ")]
        self._issue(scopes, form.get("username", [""])[0], form.get("password", [""])[0])

    def _issue(self, scopes: list[str], user: str, password: str) -> None:
        settings = json.loads((self.folder / "token.json").read_text(encoding="utf-8"))
        if settings["fault"] == "hang":
            time.sleep(HANG_SECONDS)
        if settings["fault"]:
            self._reply(int(settings["fault"]), {"errors": [{"code": "DENIED", "message": "refused by the lab"}]})
            return
        known = user and secrets.compare_digest(settings["users"].get(user, ""), password)
        if user and not known:
            self._reply(401, {"details": "incorrect username or password"})
            return
        now = int(time.time())
        claims = {
            "iss": settings["issuer"],
            "aud": settings["service"],
            "sub": user,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            "access": self._access(scopes, set(settings["open_repositories"]), bool(known)),
        }
        token = self.signer.token(claims)
        self._reply(200, {"token": token, "access_token": token, "expires_in": 300})

    def _access(self, scopes: list[str], open_to_all: set[str], known: bool) -> list[dict[str, Any]]:
        granted = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            if known or name in open_to_all:
                granted.append({"type": kind, "name": name, "actions": actions.split(",")})
        return granted

    def _reply(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main(folder: Path, address: str, port: int) -> None:
    """Serve until the process is ended, with TLS where the registry has it."""
    Handler.folder, Handler.signer = folder, Signer(folder)
    with Server((address, port), Handler) as server:
        if (folder / "tls.crt").exists():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
