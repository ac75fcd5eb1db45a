"""Who is behind a token, and may they: TokenReview and SubjectAccessReview."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from pullwhy.kubernetes.access import MAX_TOKEN
from pullwhy.kubernetes.client import APIError, Client
from pullwhy.secret import Secret

TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

POD_NAME: Final = "authentication.kubernetes.io/pod-name"
"""Keys of a service account token's extra (apiserver 1.34: pkg/authentication/serviceaccount/util.go)."""
POD_UID: Final = "authentication.kubernetes.io/pod-uid"
NODE_NAME: Final = "authentication.kubernetes.io/node-name"
"""Since Kubernetes 1.30 (KEP-4193, ServiceAccountTokenPodNodeInfo)."""

_ACCOUNT: Final = "system:serviceaccount:"


_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")


def is_token(text: str) -> bool:
    """Return whether a text has the form of a bearer token (RFC 6750, section 2.1); what has not needs no review."""
    return len(text) <= MAX_TOKEN and bool(_TOKEN.match(text))


@dataclass(frozen=True, slots=True)
class User:
    """Who a token belongs to, as the API server says."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def service_account(self) -> tuple[str, str]:
        """Namespace and name of the service account; empty texts where it is none."""
        namespace, _, name = self.name.removeprefix(_ACCOUNT).partition(":")
        return (namespace, name) if self.name.startswith(_ACCOUNT) and name else ("", "")

    def first(self, key: str) -> str:
        """Return the first value of an extra key, empty where there is none."""
        return next(iter(self.extra.get(key, ())), "")


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody wants to do; a namespace of "" means all of them, or something that is in none."""

    verb: str
    group: str
    resource: str
    namespace: str = ""


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] | None = None
    extra: dict[str, tuple[str, ...]] | None = None


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    audiences: tuple[str, ...] | None = None
    user: _User = msgspec.field(default_factory=_User)


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class _AccessStatus(msgspec.Struct):
    allowed: bool = False
    denied: bool = False


class _AccessReview(msgspec.Struct):
    status: _AccessStatus


async def who(client: Client, token: Secret, audience: str) -> User | None:
    """Return whose token it is; None where the API server does not accept it for `audience` ("": the server's own).

    Raises APIError where the server cannot say.
    """
    spec: dict[str, object] = {"token": token.reveal()} | ({"audiences": [audience]} if audience else {})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
    status = (await client.post(TOKEN_REVIEWS, body, _TokenReview)).status
    if not status.authenticated or not status.user.username:
        return None
    # An authenticator that knows no audiences answers without any: it accepts tokens of every audience.
    if audience and audience not in (status.audiences or ()):
        return None
    return User(status.user.username, status.user.uid, status.user.groups or (), status.user.extra or {})


async def may(client: Client, user: User, action: Action) -> bool:
    """Return whether the cluster's authorizers allow it; raises APIError where they cannot say."""
    attributes = {
        "verb": action.verb,
        "group": action.group,
        "resource": action.resource,
        "namespace": action.namespace,
    }
    spec = {
        "user": user.name,
        "uid": user.uid,
        "groups": user.groups,
        "extra": user.extra,
        "resourceAttributes": attributes,
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    status = (await client.post(ACCESS_REVIEWS, body, _AccessReview)).status
    return status.allowed and not status.denied


__all__ = ["APIError", "Action", "User", "may", "who"]
