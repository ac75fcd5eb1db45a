"""A stand-in for the Kubernetes API server: real HTTPS and JSON for just the calls that the collector makes.

It is no Kubernetes: it keeps what a test puts in, refuses what the API server would refuse of these few kinds (`accepted`), and misbehaves on
demand.
"""

import http.server
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme
from collector.kubernetes import accepted
from collector.kubernetes.accepted import AccessSpec, Refused, TokenSpec

from pullwhy.collector.settings import KubernetesSettings

OWN_TOKEN: Final = "collector-token-4b1d"
"""The token with which the collector itself is let in."""
SERVER_AUDIENCE: Final = "https://kubernetes.default.svc"
TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True)
class Group:
    """Subject of a right: whoever is in it."""

    name: str


@dataclass(frozen=True)
class Extra:
    """Subject of a right: whoever's token says this; an authorizer behind a webhook goes by such things."""

    key: str
    value: str


@dataclass
class Fault:
    """One answer that is not as it should be."""

    status: int = 0
    """0 with no body: the connection is closed without an answer."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang: float = 0.0


@dataclass
class Seen:
    method: str
    path: str
    body: dict[str, Any] | None


class StandIn:
    """Objects by path, tokens with their users, who may what, and faults that are waiting by a part of the path."""

    def __init__(self, folder: Path, listener: socket.socket | None = None) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {}
        self.allowed: set[tuple[str | Group | Extra, str, str, str]] = set()
        """User or other subject, verb, resource of the group `pullwhy`, namespace ("": all)."""
        self.own_token = OWN_TOKEN
        self.faults: list[tuple[str, Fault]] = []
        self.seen: list[Seen] = []
        self.connections = 0
        self._folder = folder
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "api-ca"))
        (folder / "api-token").write_text(OWN_TOKEN + "\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        listener = listener or socket.create_server(("127.0.0.1", 0))
        self.address, self.port = listener.getsockname()
        authority.issue_cert(self.address).configure_cert(context)
        self._server = Server(self, context, listener)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True)
        self._thread.start()

    @property
    def settings(self) -> KubernetesSettings:
        return KubernetesSettings(
            server=f"https://{self.address}:{self.port}",
            ca=str(self._folder / "api-ca"),
            token_file=str(self._folder / "api-token"),
        )

    def token(self, text: str, user: str, *audiences: str, groups: tuple[str, ...] = (), **extra: str) -> None:
        """Let the token be of `user`; extra names as `pod_name` for authentication.kubernetes.io/pod-name."""
        keys = {f"authentication.kubernetes.io/{name.replace('_', '-')}": [value] for name, value in extra.items()}
        every = [*groups, "system:authenticated"]
        self.tokens[text] = ({"username": user, "uid": f"uid-{user}", "groups": every, "extra": keys}, audiences)

    def pod(self, namespace: str, name: str, node: str, **spec: Any) -> dict[str, Any]:
        metadata = {"namespace": namespace, "name": name, "uid": f"uid-{name}"} | spec.pop("metadata", {})
        pod = {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node, "containers": [{"name": "main"}]} | spec}
        self.objects[f"/api/v1/namespaces/{namespace}/pods/{name}"] = pod
        return pod

    def misbehave(self, part: str, *faults: Fault) -> None:
        """Answer the next requests whose path holds `part` with these faults, in order."""
        self.faults += [(part, fault) for fault in faults]

    def asked(self, part: str, method: str = "") -> list[Seen]:
        return [each for each in self.seen if part in each.path and method in ("", each.method)]

    def events(self) -> list[dict[str, Any]]:
        return [each for path, each in self.objects.items() if "/events/" in path]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def fault(self, path: str) -> Fault | None:
        for place, (part, fault) in enumerate(self.faults):
            if part in path:
                del self.faults[place]
                return fault
        return None

    def admits(self, authorization: str) -> bool:
        """Return whether who asks is let in."""
        return authorization == f"Bearer {self.own_token}"

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        try:
            return self._answer(method, path, body)
        except Refused as refused:
            return refusal(refused.status, refused.reason, str(refused))

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        if (method, path) == ("POST", TOKEN_REVIEWS):
            return 201, {"kind": "TokenReview", "status": self._review(accepted.token_review(body))}
        if (method, path) == ("POST", ACCESS_REVIEWS):
            return 201, {"kind": "SubjectAccessReview", "status": {"allowed": self._may(accepted.access_review(body))}}
        if method == "POST" and path.endswith("/events"):
            return self._create(path, body)
        known = self.objects.get(path)
        if known is None:
            raise Refused(404, "NotFound", f"{path} not found")
        if method == "PATCH":
            changed = accepted.merged(known, body)
            accepted.event(changed, path.split("/")[4], path.rpartition("/")[2])
            self.objects[path] = known = changed
        return 200, known

    def _create(self, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        event: dict[str, Any] = body or {}
        name = event.get("metadata", {}).get("name", "")
        accepted.event(event, path.split("/")[4], name)
        place = f"{path}/{name}"
        if place in self.objects:
            raise Refused(409, "AlreadyExists", f"events {place} already exists")
        self.objects[place] = event
        return 201, event

    def _review(self, asked: TokenSpec) -> dict[str, Any]:
        wanted = asked.audiences or (SERVER_AUDIENCE,)
        user, audiences = self.tokens.get(asked.token, (None, ()))
        both = [each for each in wanted if each in (audiences or (SERVER_AUDIENCE,))]
        if user is None or not both:
            return {"authenticated": False, "user": {}, "error": "[invalid bearer token, Token has been invalidated]"}
        return {"authenticated": True, "user": user, "audiences": both}

    def _may(self, asked: AccessSpec) -> bool:
        """Go by what the request says of somebody, not by what is known of him: the API server does, too."""
        what = asked.resource_attributes
        subjects: list[str | Group | Extra] = [asked.user, *map(Group, asked.groups)]
        subjects += [Extra(key, value) for key, values in asked.extra.items() for value in values]
        return what.group == "pullwhy" and any(
            (subject, what.verb, what.resource, namespace) in self.allowed
            for subject in subjects
            for namespace in (what.namespace, "")
        )


def refusal(status: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": status}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: StandIn, context: ssl.SSLContext, listener: socket.socket) -> None:
        self.api, self.context = api, context
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, *_: object) -> None:
        """A client that went away in the middle is part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: Server

    def setup(self) -> None:
        try:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        except OSError:
            self.request.close()
            raise
        self.server.api.connections += 1
        super().setup()

    def finish(self) -> None:
        with self.request:
            super().finish()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def _take(self) -> None:
        api = self.server.api
        size = int(self.headers.get("content-length", "0"))
        body = json.loads(self.rfile.read(size)) if size else None
        api.seen.append(Seen(self.command, self.path, body))
        fault = api.fault(self.path)
        if fault:
            time.sleep(fault.hang)
            if fault.body is None and not fault.status:
                self.close_connection = True
                return
            self._send(fault.status or 200, fault.body or b"{}", fault.headers)
        elif not api.admits(self.headers.get("authorization", "")):
            self._reply(*refusal(401, "Unauthorized", "Unauthorized"))
        elif refused := self._unspoken():
            self._reply(*refusal(refused.status, refused.reason, str(refused)))
        else:
            self._reply(*api.answer(self.command, self.path, body))

    def _unspoken(self) -> Refused | None:
        try:
            accepted.media(self.command, self.headers.get("content-type", ""), self.headers.get("accept", ""))
        except Refused as refused:
            return refused
        return None

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode(), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            for name, value in {
                "content-type": "application/json",
                "content-length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PATCH = _take  # noqa: N815 - http.server's names
