"""Meets a registry's challenge: a token from its realm, or Basic (distribution-spec token authentication, RFC 7617)."""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import quote

from pullwhy.frozen import frozen
from pullwhy.model import Via
from pullwhy.plan import Credential
from pullwhy.probe import url as urls
from pullwhy.probe.answers import decode_json
from pullwhy.probe.challenge import Challenge
from pullwhy.probe.client import Ask, Client, Headers, Reply
from pullwhy.probe.record import Observation
from pullwhy.probe.url import URL, InvalidURL
from pullwhy.secret import Secret
from pullwhy.text import printable
from pullwhy.trace import AuthFacts, AuthResult

MAX_TOKEN_ANSWER: Final = 131_072
"""Bytes read of a realm's answer."""
MAX_SCOPES: Final = 8
_TOKEN: Final = re.compile(r"[!-~]{1,60000}\Z")
"""What may stand in a header (RFC 6750 allows less, registries send more)."""
_REFUSALS: Final = frozenset({401, 403})
_BAD_REQUEST: Final = 400


@frozen
class Meeting:
    """One attempt to meet a challenge as one identity."""

    client: Client
    challenge: Challenge
    repository: str
    credential: Credential | None

    def facts(self, result: AuthResult, error: str = "") -> AuthFacts:
        """Return facts about this attempt."""
        realm = self._realm()
        source = printable(self.credential.source, 300) if self.credential is not None else ""
        host = realm.authority if realm is not None else ""
        kind, expires = (self.credential.kind, self.credential.expires) if self.credential is not None else ("", None)
        scheme = self.challenge.scheme.capitalize()
        return AuthFacts(result, scheme, host, printable(error, 100), source, kind, expires)

    async def headers(self, seen: Observation) -> Headers | None:
        """Return what meets the challenge; None where nothing does, which `seen` then tells."""
        if self.challenge.scheme == "basic":
            return self._basic(seen)
        realm = self._realm()
        if realm is None:
            seen.auth = self.facts(AuthResult.UNUSABLE_CHALLENGE)
            seen.failed("the challenge names no usable realm")
            return None
        private = () if self.credential is None else (("Authorization", basic(self.credential)),)
        ask = Ask("GET", self._token_url(realm), private=private, limit=MAX_TOKEN_ANSWER)
        reply = await self.client.ask(ask, realm=True)
        if reply is None:
            seen.skipped(f"the token host {realm.authority} could not be asked")
            return None
        return self._read(reply, realm, seen)

    def _basic(self, seen: Observation) -> Headers | None:
        if self.credential is None:
            seen.auth = self.facts(AuthResult.NO_CREDENTIALS)
            seen.failed("the registry wants a user name and password (Basic)")
            return None
        return (("Authorization", basic(self.credential)),)

    def _realm(self) -> URL | None:
        try:
            return urls.parse(self.challenge.parameters.get("realm", ""))
        except InvalidURL:
            return None

    def _token_url(self, realm: URL) -> URL:
        """Add service and scopes as containerd does: its own scope first (containerd 2.1: core/remotes/docker/auth/fetch.go)."""
        scopes = [f"repository:{self.repository}:pull", *self.challenge.parameters.get("scope", "").split()]
        parts = [realm.query] if realm.query else []
        service = self.challenge.parameters.get("service", "")
        if service:
            parts.append(f"service={quote(service[:500], safe='')}")
        parts += [f"scope={quote(scope, safe=':/,')}" for scope in list(dict.fromkeys(scopes))[:MAX_SCOPES]]
        return URL(realm.scheme, realm.host, realm.port, realm.path, "&".join(parts))

    def _read(self, reply: Reply, realm: URL, seen: Observation) -> Headers | None:
        seen.http = reply.facts
        refused = reply.status in _REFUSALS or (reply.status == _BAD_REQUEST and self.credential is not None)
        if refused and not reply.facts.html:
            seen.auth = self.facts(AuthResult.REFUSED)
            seen.failed(f"{realm.authority} refuses a token: {reply.status}")
            return None
        token = _token(reply)
        if token is not None:
            return (("Authorization", Secret(f"Bearer {token.reveal()}")),)
        seen.via = Via.TOKEN_HOST
        seen.auth = self.facts(AuthResult.UNUSABLE_CHALLENGE)
        what = reply.detail or (f"{reply.status}, no token" if reply.status else "no answer")
        seen.failed(f"no token from {realm.authority}: {what}")
        return None


def basic(credential: Credential) -> Secret:
    """Return the value of a Basic Authorization header."""
    pair = f"{credential.username}:{credential.password.reveal()}".encode()
    return Secret(f"Basic {base64.b64encode(pair).decode()}")


def _token(reply: Reply) -> Secret | None:
    """Return the token of a realm's answer: `token`, else `access_token`."""
    if reply.answer is None or reply.status != 200:  # noqa: PLR2004 - the one status with a token
        return None
    decoded = decode_json(reply.answer.body)
    if not isinstance(decoded, dict):
        return None
    for key in ("token", "access_token"):
        value = decoded.get(key)
        if isinstance(value, str) and _TOKEN.match(value):
            return Secret(value)
    return None
