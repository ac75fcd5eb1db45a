"""Which credentials the kubelet's rules match for an image: the node's own config.json, or a file given by the caller.

Source: kubelet 1.24 to 1.36, pkg/credentialprovider/{config,keyring}.go. Only `auths` counts; helpers and stores do not.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pullwhy.image import ImageReference
from pullwhy.model import Outcome, Stage
from pullwhy.plan import Credential
from pullwhy.runtime import urls
from pullwhy.runtime.hostfs import HostFS, UnreadableFile
from pullwhy.secret import Secret
from pullwhy.trace import StageResult

DEFAULT_HUB_KEY: Final = "index.docker.io"
MAX_ENTRIES: Final = 1000
_HUB_MISTAKES: Final = frozenset({"registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com"})


class InvalidCredentials(Exception):
    """A credentials file cannot be used; names the file, the fault and the mend."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f'{path}: {why}; expected a dockerconfigjson: {{"auths": {{"HOST": {{"auth": "…"}}}}}}')
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True)
class Match:
    """What the rules found for one image."""

    credentials: tuple[Credential, ...] = ()
    """Most specific first: the order in which the kubelet tries them."""
    near_misses: tuple[str, ...] = ()
    """Keys that look meant for this image and do not match, each with the reason."""
    results: tuple[StageResult, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    written: str
    key: str
    username: str
    password: Secret


def node_credentials(image: ImageReference, fs: HostFS, root: str = "/var/lib/kubelet", home: str = "/root") -> Match:
    """Return the node's own matching credentials: of the first config.json that can be used, else of a .dockercfg."""
    places = (root, "/", f"{home}/.docker", "/.docker")
    candidates = [(f"{place.rstrip('/')}/config.json", False) for place in places]
    candidates += [(f"{place.rstrip('/')}/.dockercfg", True) for place in (root, "/", home)]
    notes: list[StageResult] = []
    for path, legacy in candidates:
        try:
            entries = _parse(fs.read(path), path, legacy=legacy)
        except UnreadableFile as error:
            if not error.missing:
                notes.append(_skipped(path, f"the node's own credentials are not known here: {error.why}"))
            continue
        except InvalidCredentials as error:
            notes.append(_skipped(path, f"the kubelet passes over this file: {error.why}"))
            continue
        return _match(image, entries, path, supplied=False, notes=tuple(notes))
    return Match(results=tuple(notes))


def supplied_credentials(image: ImageReference, data: bytes, path: str) -> Match:
    """Return the matching credentials of a dockerconfigjson that the caller gave; raises InvalidCredentials."""
    return _match(image, _parse(data, path, legacy=False), path, supplied=True)


def _skipped(path: str, detail: str) -> StageResult:
    return StageResult(Stage.CONFIG, path, Outcome.SKIPPED, detail=detail)


def _parse(data: bytes, path: str, *, legacy: bool) -> tuple[_Entry, ...]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidCredentials(path, "it is no JSON") from None
    auths = document if legacy else document.get("auths") if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise InvalidCredentials(path, "it has no `auths` table")
    if len(auths) > MAX_ENTRIES:
        raise InvalidCredentials(path, f"it has more than {MAX_ENTRIES} entries")
    return tuple(_entry(key, value, path) for key, value in auths.items())


def _entry(key: str, value: Any, path: str) -> _Entry:
    written = urls.without_user_info(key)
    if not isinstance(value, dict) or not all(
        isinstance(value.get(key, ""), str) for key in ("username", "password", "auth")
    ):
        raise InvalidCredentials(path, f"the entry {written[:80]!r} is no table of texts")
    username, password = value.get("username", ""), value.get("password", "")
    if value.get("auth"):
        try:
            decoded = base64.b64decode(value["auth"].strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            raise InvalidCredentials(path, f"`auth` of the entry {written[:80]!r} is no base64") from None
        username, colon, password = decoded.partition(":")
        if not colon:
            raise InvalidCredentials(path, f"`auth` of the entry {written[:80]!r} holds no user:password")
    return _Entry(written, _key(key), username, Secret(password))


def _key(written: str) -> str:
    """Return a key as the kubelet compares it: without scheme and without a leading /v1/ or /v2/."""
    text = written if written.startswith(("https://", "http://")) else f"https://{written}"
    try:
        address = urls.parse_url(text)
    except ValueError:
        return ""
    path = address.path[3:] if address.path.startswith(("/v1/", "/v2/")) else address.path
    return address.authority + (path if path != "/" else "")


def _match(
    image: ImageReference,
    entries: tuple[_Entry, ...],
    path: str,
    *,
    supplied: bool,
    notes: tuple[StageResult, ...] = (),
) -> Match:
    ordered = sorted((entry for entry in entries if entry.key), key=lambda entry: entry.key, reverse=True)
    matching = [entry for entry in ordered if _matches(entry.key, image.name)]
    if not matching and image.is_docker_hub:
        matching = [entry for entry in ordered if entry.key == DEFAULT_HUB_KEY]
    found = tuple(
        Credential(entry.username, entry.password, f"{path} ({entry.written})", supplied) for entry in matching
    )
    return Match(found, () if found else tuple(_near_misses(image, entries, path)), notes)


def _matches(key: str, name: str) -> bool:
    """Whether a key matches an image: as many labels, each matching (globs allowed), the same port, the path a prefix."""
    key_host, _, key_path = key.partition("/")
    host, _, path = name.partition("/")
    key_name, key_port = urls.split_port(key_host)
    wanted, port = urls.split_port(host)
    patterns, labels = key_name.split("."), wanted.split(".")
    return (
        key_port == port
        and len(patterns) == len(labels)
        and path.startswith(key_path)
        and all(fnmatch.fnmatchcase(label, pattern) for pattern, label in zip(patterns, labels, strict=True))
    )


def _near_misses(image: ImageReference, entries: tuple[_Entry, ...], path: str) -> Iterator[str]:
    wanted, port = urls.split_port(image.registry)
    for entry in entries:
        host, _, prefix = entry.key.partition("/")
        name, key_port = urls.split_port(host)
        why = ""
        if not entry.key:
            why = "it is no address"
        elif image.is_docker_hub and name in _HUB_MISTAKES:
            why = "Docker Hub's key is https://index.docker.io/v1/"
        elif name.lower() == wanted.lower() and key_port != port:
            why = f"its port is {key_port or 'absent'}, the image's is {port or 'absent'}, and they must be the same"
        elif name.lower() == wanted.lower() and prefix in {"v1", "v2"}:
            why = f"/{prefix} without a slash after it is taken for a path of the image"
        elif name == wanted and prefix:
            why = f"its path /{prefix} is no prefix of {image.repository}"
        elif name.lower() == wanted.lower():
            why = "its letters differ in case"
        elif wanted.endswith(f".{name}") or name.endswith(f".{wanted}"):
            why = f"a key must have as many labels as {wanted}"
        if why:
            yield f"{path}: the key {entry.written[:120]!r} does not match {image.name}: {why}"
