"""What the kubelet says about credentials, kept for the failure that it explains.

Sources: kubelet 1.24 to 1.36, pkg/credentialprovider/plugin/plugin.go, kubelet_pods.go, images/pullmanager/image_pull_manager.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pullwhy.failure import HintKind, KubeletHint, PodRef
from pullwhy.image import InvalidReference, parse
from pullwhy.redact import redact
from pullwhy.watch.klog import KlogRecord
from pullwhy.watch.lines import LogLine

AGE: Final = timedelta(minutes=2)
"""An exec provider may take one minute (plugin.go), and the pull comes after it."""
NEAR: Final = timedelta(seconds=5)
"""The same for a line that names neither pod nor image: it is only known by the moment."""
MAX_HINTS: Final = 512
MAX_OF_ONE: Final = 4
"""Hints that go along with one failure, the latest."""
MAX_MESSAGE: Final = 1000
"""Characters; a provider may write anything to its standard error."""

_PULL_SECRET: Final = "Unable to retrieve pull secret"  # noqa: S105 - a log text
_PROVIDER: Final = (
    "Failed getting credential from external registry credential provider",
    "Failed to provide credentials for image",
)
_RECORDS: Final = "Unable to access cache records about image pulls"
_PROVIDER_IMAGE: Final = re.compile(r" for image ([^\s:\"]{1,4096}(?::\d{1,5}/[^\s:\"]{1,4096})?)")
_PROVIDER_NAME: Final = re.compile(r"credential provider plugin ([^\s:\"]{1,253}) for image ")
_SECRET: Final = re.compile(r"secrets? \"([^\"\s]{1,253})\"")
_UNREGISTERED: Final = re.compile(r"object \"([^\"\s]{1,63})\"/\"([^\"\s]{1,253})\"")
"""The kubelet prints an empty `secret` key where it got none; what its watch answers names the secret (manager/watch_based_manager.go)."""

_Key = tuple[HintKind, str, str, str, str]


class Hints:
    """The latest of what was said, bounded in number and age."""

    def __init__(self) -> None:
        self._hints: dict[_Key, KubeletHint] = {}

    def add(self, hint: KubeletHint) -> None:
        """Keep a hint; a later one of the same takes its place."""
        pod = f"{hint.pod.namespace}/{hint.pod.name}" if hint.pod else ""
        key = (hint.kind, pod, hint.image, hint.provider, hint.secret)
        self._hints.pop(key, None)
        if len(self._hints) >= MAX_HINTS:
            self._hints.pop(next(iter(self._hints)))
        self._hints[key] = hint

    def of(self, when: datetime, pod: PodRef, image: str) -> tuple[KubeletHint, ...]:
        """Return what was said about a pull of `image` for `pod` that failed at `when`, the oldest first."""
        return tuple(self._about(when, pod, image))[-MAX_OF_ONE:] if self._hints else ()

    def _about(self, when: datetime, pod: PodRef, image: str) -> Iterator[KubeletHint]:
        name = _name(image)
        for hint in self._hints.values():
            nameless = hint.pod is None and not hint.image
            if abs(when - hint.when) > (NEAR if nameless else AGE):
                continue
            if hint.pod is not None and (hint.pod.namespace, hint.pod.name) != (pod.namespace, pod.name):
                continue
            if not hint.image or _name(hint.image) == name:
                yield hint


def read(line: LogLine, record: KlogRecord) -> KubeletHint | None:
    """Return what a record says about credentials, None where it is about something else."""
    message, error = record.message, record.fields.get("err", "")
    if message.startswith(_PROVIDER):
        text = f"{message}: {error}" if error else message
        return _hint(line, record, HintKind.CREDENTIAL_PROVIDER_FAILED, text)
    if message.startswith(_PULL_SECRET):
        return _hint(line, record, HintKind.PULL_SECRET_UNAVAILABLE, error or message)
    if message.startswith(_RECORDS):
        return _hint(line, record, HintKind.PULL_RECORDS_UNREADABLE, error or message)
    return None


def _hint(line: LogLine, record: KlogRecord, kind: HintKind, text: str) -> KubeletHint:
    fields = record.fields
    namespace, _, name = fields.get("pod", "").rpartition("/")
    provider, image, secret = fields.get("provider", ""), fields.get("image", ""), fields.get("secret", "")
    if kind is HintKind.CREDENTIAL_PROVIDER_FAILED:
        provider, image = provider or _first(_PROVIDER_NAME, text), image or _first(_PROVIDER_IMAGE, text)
    if kind is HintKind.PULL_SECRET_UNAVAILABLE:
        secret = secret or _named_secret(text, namespace)
    return KubeletHint(
        line.when,
        line.unit,
        kind,
        redact(text)[:MAX_MESSAGE],
        pod=PodRef(namespace, name, fields.get("podUID", "")) if name else None,
        image=redact(image),
        provider=provider,
        secret=secret,
    )


def _named_secret(error: str, namespace: str) -> str:
    unregistered = _UNREGISTERED.search(error)
    if unregistered:
        return f"{unregistered[1]}/{unregistered[2]}"
    name = _first(_SECRET, error)
    return f"{namespace}/{name}" if name and namespace else name


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _name(image: str) -> str:
    try:
        return parse(image).name
    except InvalidReference:
        return image
