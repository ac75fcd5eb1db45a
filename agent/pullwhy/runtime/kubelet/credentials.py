"""Which credentials the kubelet's rules match for an image: the node's own config.json, or a file given by the caller.

Source: kubelet 1.24 to 1.36, pkg/credentialprovider/{config,keyring}.go. Only `auths` counts; helpers and stores do not.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.model import Outcome, Stage
from pullwhy.plan import Credential
from pullwhy.runtime import urls
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.kubelet import registrykeys
from pullwhy.runtime.kubelet.lifetime import lifetime
from pullwhy.runtime.kubelet.pullsecrets import auth_tables, tables_of_secret
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.secret import Secret
from pullwhy.trace import StageResult

MAX_ENTRIES: Final = 1000
MAX_NEAR_MISSES: Final = 8
_NOTHING: Final = "it holds neither user name nor password, and identity tokens the kubelet does not read"


class InvalidCredentials(Exception):
    """A credentials file cannot be used; names the file, the fault and the mend."""

    def __init__(self, path: str, why: str) -> None:
        form = '{"auths": {"HOST": {"auth": "…"}}}'
        super().__init__(f"{path}: {why}; expected a dockerconfigjson ({form}), or a Secret that holds one")
        self.path = path
        self.why = why


@frozen
class Match:
    """What the rules found for one image."""

    credentials: tuple[Credential, ...] = ()
    """Most specific first: the order in which the kubelet tries them."""
    near_misses: tuple[str, ...] = ()
    """Keys that look meant for this image and do not match, each with the reason."""
    results: tuple[StageResult, ...] = ()


@frozen
class _Entry:
    written: str
    key: str
    username: str = field(repr=False)
    password: Secret
    unread: str = ""
    """Why the kubelet takes nothing from it, in a clause."""


@frozen
class PullSecret:
    """A Secret of the Kubernetes API, or why there is nothing to be had of it."""

    name: str
    """NAMESPACE/NAME."""
    fault: str = ""
    """In a clause that follows the name; without anything of its contents."""
    entries: tuple[_Entry, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"Secret {self.name}"


def node_credentials(image: ImageReference, fs: HostFS, kubelet: Kubelet) -> Match:
    """Return the node's own matching credentials: of the first config.json that can be used, else of a .dockercfg."""
    root, here, home = kubelet.root, kubelet.working_directory, kubelet.home
    # Joined to nothing, a name is relative: without $HOME it is looked for in the working directory.
    docker = f"{home}/.docker" if home else f"{here.rstrip('/')}/.docker"
    candidates = [(f"{place.rstrip('/')}/config.json", False) for place in (root, here, docker, "/.docker")]
    candidates += [(f"{place.rstrip('/')}/.dockercfg", True) for place in (root, here, home or here, "/")]
    notes: list[StageResult] = []
    unseen: dict[str, list[str]] = {}
    for path, legacy in dict.fromkeys(candidates):
        try:
            entries = _parse(fs.read(path), path, legacy=legacy)
        except UnreadableFile as error:
            if not error.missing:
                unseen.setdefault(error.why, []).append(path)
            continue
        except InvalidCredentials as error:
            notes.append(_skipped(path, f"the kubelet passes over this file: {error.why}"))
            continue
        return _match(image, entries, path, supplied=False, notes=(*_unseen(unseen), *notes))
    return Match(results=(*_unseen(unseen), *notes))


def supplied_credentials(image: ImageReference, data: bytes, path: str) -> Match:
    """Return the matching credentials of a file that the caller gave; raises InvalidCredentials.

    It may hold what a pull secret holds (dockerconfigjson or dockercfg), or the Secret, or a list of Secrets, as JSON or YAML.
    """
    try:
        tables = list(auth_tables(data.decode(errors="replace")))
    except ValueError as error:
        raise InvalidCredentials(path, f"it {error}") from None
    entries = tuple(entry for table in tables for entry in _entries(table, path))
    return _match(image, entries, path, supplied=True)


def read_pull_secret(name: str, document: Mapping[str, Any]) -> PullSecret:
    """Return the Secret `document` as the kubelet reads it; what is wrong with it is its fault, told without its contents."""
    if document.get("kind") != "Secret":
        return PullSecret(name, "is not answered as a Secret")
    try:
        tables = list(tables_of_secret(document))
    except ValueError as error:
        return PullSecret(name, str(error))
    try:
        return PullSecret(name, entries=tuple(entry for table in tables for entry in _entries(table, name)))
    except InvalidCredentials:  # its text quotes a key
        return PullSecret(name, f"has an entry whose `auth` is not base64 of user:password, or more than {MAX_ENTRIES}")


def pull_secret_credentials(image: ImageReference, secret: PullSecret) -> Match:
    """Return what of a Secret the kubelet would match, named by the Secret alone."""
    found = _match(image, secret.entries, str(secret), supplied=False).credentials
    if found or secret.fault:
        return Match(tuple(replace(each, source=str(secret), pull_secret=True) for each in found))
    whys = (registrykeys.why_not(image, entry.written) or entry.unread for entry in secret.entries)
    near = (f"{secret}: a key of it looks meant for {image.name} and does not match: {why}" for why in whys if why)
    return Match(near_misses=tuple(itertools.islice(near, MAX_NEAR_MISSES)))


def _unseen(paths: Mapping[str, Sequence[str]]) -> Iterator[StageResult]:
    """Say once for each reason which files cannot be seen: a container may be given none of several places."""
    for why, each in paths.items():
        yield _skipped(", ".join(each), f"the node's own credentials are not known here: {why}")


def _skipped(path: str, detail: str) -> StageResult:
    return StageResult(Stage.CONFIG, path, Outcome.SKIPPED, detail=detail)


def _parse(data: bytes, path: str, *, legacy: bool) -> tuple[_Entry, ...]:
    """Read a file of the node as the kubelet does."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidCredentials(path, "it is no JSON") from None
    auths = document if legacy else document.get("auths") if isinstance(document, dict) else None
    if not isinstance(auths, dict):
        raise InvalidCredentials(path, "it has no `auths` table")
    return _entries(auths, path)


def _entries(auths: dict[str, Any], path: str) -> tuple[_Entry, ...]:
    if len(auths) > MAX_ENTRIES:
        raise InvalidCredentials(path, f"it has more than {MAX_ENTRIES} entries")
    return tuple(_entry(str(key), value, path) for key, value in auths.items())


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
    unread = "" if username or password else _NOTHING
    return _Entry(written, registrykeys.comparable(key), username, Secret(password), unread)


def _match(
    image: ImageReference,
    entries: tuple[_Entry, ...],
    path: str,
    *,
    supplied: bool,
    notes: tuple[StageResult, ...] = (),
) -> Match:
    ordered = sorted((entry for entry in entries if entry.key), key=lambda entry: entry.key, reverse=True)
    matching = [entry for entry in ordered if registrykeys.matches(entry.key, image.name)]
    if not matching and image.is_docker_hub:
        matching = [entry for entry in ordered if entry.key == registrykeys.DEFAULT_HUB_KEY]
    found = tuple(_credential(entry, path, supplied) for entry in matching if not entry.unread)
    return Match(found, () if found else _near_misses(image, entries, path), notes)


def _credential(entry: _Entry, path: str, supplied: bool) -> Credential:
    known = lifetime(entry.username, entry.password)
    source = f"{path} ({entry.written})"
    return Credential(entry.username, entry.password, source, supplied, known.kind, known.expires)


def _near_misses(image: ImageReference, entries: tuple[_Entry, ...], path: str) -> tuple[str, ...]:
    whys = ((entry.written[:120], registrykeys.why_not(image, entry.written) or entry.unread) for entry in entries)
    misses = (f"{path}: the key {key!r} does not match {image.name}: {why}" for key, why in whys if why)
    return tuple(itertools.islice(misses, MAX_NEAR_MISSES))
