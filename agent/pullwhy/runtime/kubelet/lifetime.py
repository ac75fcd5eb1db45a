"""How long a credential lasts, as far as it says so itself: tokens carry their end, some user names tell their kind.

Nothing is verified, and of the credential itself nothing is returned.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.secret import Secret

MAX_TOKEN: Final = 65_536
"""Characters of a token that is looked into."""
_LATEST: Final = 1e11
"""Seconds since 1970; a later end is none (it would be in milliseconds)."""
_JWT_PARTS: Final = 3

_KINDS: Final = {
    "AWS": "an authorization token of Amazon ECR, which lasts 12 hours",
    "oauth2accesstoken": "an access token of Google Cloud, which lasts about an hour",
    "gitlab-ci-token": "the token of a GitLab CI job, which ends with the job",
    "_json_key": "a service account key of Google Cloud, which lasts until it is revoked",
    "_json_key_base64": "a service account key of Google Cloud, which lasts until it is revoked",
    "00000000-0000-0000-0000-000000000000": "a token of Azure Container Registry, which lasts some hours",
}
"""By user name: docs of Amazon ECR (registry authentication), Artifact Registry (authentication), GitLab (CI/CD job token), ACR."""


@frozen
class Lifetime:
    """What is known of a credential's end."""

    kind: str = ""
    """What it is, in our words; empty for what may be a plain password."""
    expires: datetime | None = None


def lifetime(username: str, password: Secret) -> Lifetime:
    """Return how long a credential lasts; raises nothing, whatever it holds."""
    kind, text = _KINDS.get(username, ""), password.reveal()
    if len(text) > MAX_TOKEN:
        return Lifetime(kind)
    parts = text.split(".")
    if len(parts) == _JWT_PARTS:
        expires = _moment(_decoded(parts[1]), "exp")  # RFC 7519 section 4.1.4
        return Lifetime(kind or ("a JSON web token" if expires else ""), expires)
    if username == "AWS":
        return Lifetime(kind, _moment(_decoded(text), "expiration"))
    return Lifetime(kind)


def _decoded(part: str) -> Any:
    try:
        # Tokens are in the alphabet for URLs (RFC 7515), ECR's in the usual one: the alternatives are read beside it.
        return json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_"))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _moment(document: Any, key: str) -> datetime | None:
    value = document.get(key) if isinstance(document, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LATEST:
        return None
    return datetime.fromtimestamp(value, UTC)
