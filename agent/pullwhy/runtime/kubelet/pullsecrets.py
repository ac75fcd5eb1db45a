"""The forms in which people hand over pull credentials: what is inside a pull secret, or the Secret itself as kubectl prints it.

Source: kubelet 1.24 to 1.36, pkg/credentialprovider/secrets/secrets.go: which types it reads, and from which key.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pullwhy.runtime.documents import decode

MAX_ITEMS: Final = 100
"""Secrets read of one list."""
_KEYS: Final = {
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
    "kubernetes.io/dockercfg": ".dockercfg",
}
_CONFIG_KEYS: Final = frozenset({"auths", "credHelpers", "credsStore", "HttpHeaders"})


def auth_tables(text: str) -> Iterator[dict[str, Any]]:
    """Yield the tables from keys to credentials in `text`; raises ValueError in a clause that follows "it"."""
    document = decode(text)
    if isinstance(document, dict) and document.get("kind") in ("List", "SecretList"):
        items = document.get("items")
        listed = items[:MAX_ITEMS] if isinstance(items, list) else []
        own = [item for item in listed if isinstance(item, dict) and item.get("type") in tuple(_KEYS)]
        if not own:
            raise ValueError(f"is a list without a Secret of the type {' or '.join(_KEYS)}")
        for item in own:
            yield from tables_of_secret(item)
    elif isinstance(document, dict) and document.get("kind") == "Secret":
        yield from tables_of_secret(document)
    else:
        yield _table(document)


def tables_of_secret(secret: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the table of one Secret; raises ValueError in a clause that follows "it"."""
    kind = secret.get("type")
    key = _KEYS.get(kind) if isinstance(kind, str) else None
    if key is None:
        told = f"the type {kind[:100]!r}" if isinstance(kind, str) else "no type"
        raise ValueError(f"is a Secret of {told}; the kubelet reads only {' and '.join(_KEYS)}")
    for field in ("stringData", "data"):
        holder = secret.get(field)
        value = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(value, str):
            yield _table(_json(value if field == "stringData" else _plain(value, key), key))
            return
    raise ValueError(f"is a Secret without the key {key}")


def _json(text: str, key: str) -> Any:
    """Return what the kubelet's reader of JSON would; it takes no YAML."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"is a Secret whose {key} is no JSON") from None


def _plain(value: str, key: str) -> str:
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        raise ValueError(f"is a Secret whose {key} is no base64") from None


def _table(document: Any) -> dict[str, Any]:
    """Return the table of a dockerconfigjson, or the older dockercfg, which is the table itself."""
    auths = document.get("auths") if isinstance(document, dict) else None
    if isinstance(auths, dict):
        return auths
    older = isinstance(document, dict) and bool(document) and not _CONFIG_KEYS & document.keys()
    if not older or not all(isinstance(value, dict) for value in document.values()):
        raise ValueError("has no `auths` table")
    return dict(document)
