"""From lines to failures: recognises what the kubelet and the runtime say about a pull that does not work."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pullwhy import pulltext
from pullwhy.model import PodRef, PullFailure, Reason
from pullwhy.redact import redact
from pullwhy.syncerror import SyncFailure, sync_failures, without_back_off
from pullwhy.watch import klog
from pullwhy.watch.events import HintKind, KubeletHint, RuntimeEvent, RuntimeEventKind
from pullwhy.watch.gate import gate
from pullwhy.watch.lines import LogLine
from pullwhy.watch.rejoin import Rejoiner
from pullwhy.watch.runtimelog import RuntimeLog

__all__ = ["HintKind", "KubeletHint", "Recognised", "Recogniser", "RuntimeEvent", "RuntimeEventKind", "gate"]

Recognised = PullFailure | RuntimeEvent | KubeletHint

MAX_CONTAINERS: Final = 4096
"""Containers whose image and last error are remembered; a node runs some hundred pods."""
MAX_PULL_LINES: Final = 128
"""Runtime-service lines kept for the sync line that follows them."""
PULL_LINE_AGE: Final = timedelta(seconds=2)
"""The lines of one failed pull are milliseconds apart; journald may stamp them a little later."""

_SYNC_ERROR: Final = "Error syncing pod, skipping"
# Logged once per credential tried, before the sync error; `image` is the pod's spelling.
_PULL_ERROR: Final = "PullImage from image service failed"
_PULL_SECRET: Final = "Unable to retrieve pull secret"  # noqa: S105 - a log text
_PROVIDER: Final = (
    "Failed getting credential from external registry credential provider",
    "Failed to provide credentials for image",
)
_UNKNOWN_CODE: Final = "rpc error: code = Unknown desc = "
# kubelet up to 1.33 (kuberuntime_manager.go) prints the container's struct with every failed start.
_START_FAILED: Final = re.compile(
    r"&Container\{Name:([^,{}]{1,253}),Image:([^,{}]{1,4096}),.*\} start failed in pod [^\s(]{1,512}\(([\w-]{1,64})\): ",
    re.DOTALL,
)
_PROVIDER_IMAGE: Final = re.compile(r" for image ([^\s:\"]{1,4096}(?::\d{1,5}/[^\s:\"]{1,4096})?)")


@dataclass(frozen=True, slots=True)
class _PullLine:
    when: datetime
    error: str
    image: str


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is known of one container of one pod."""

    image: str = ""
    error: str = ""
    """The last real error: kubelets up to 1.31 do not repeat it while they back off."""


_NOTHING: Final = _Memory()


class Recogniser:
    """Takes the lines of all watched units in order; stateful, bounded, and never raises on any text."""

    def __init__(self) -> None:
        self._rejoiner = Rejoiner()
        self._runtime = RuntimeLog()
        self._containers: dict[tuple[str, str], _Memory] = {}
        self._pull_lines: deque[_PullLine] = deque(maxlen=MAX_PULL_LINES)

    def feed(self, line: LogLine) -> list[Recognised]:
        """Return what `line`, together with those before it, tells; mostly nothing.

        Every failure is text, and text is a hypothesis: pod and image need CRI's word before anything is done about them.
        """
        if not gate(line.text.encode(errors="replace")):
            return []
        whole = self._rejoiner.feed(line)
        if whole is None:
            return []
        record = klog.parse(whole.text)
        if record is None:
            event = self._runtime.read(whole)
            return [] if event is None else [event]
        if record.message == _SYNC_ERROR:
            return list(self._sync_error(whole, record.fields))
        if record.message == _PULL_ERROR:
            self._pull_lines.append(
                _PullLine(whole.when, _comparable(record.fields.get("err", "")), record.fields.get("image", ""))
            )
            return []
        hint = _hint(whole, record)
        if hint is not None:
            return [hint]
        self._start_failed(record)
        return []

    def _sync_error(self, line: LogLine, fields: dict[str, str]) -> list[PullFailure]:
        namespace, _, name = fields.get("pod", "").rpartition("/")
        pod = PodRef(namespace, name, fields.get("podUID", ""))
        failures = (self._failure(line, pod, failure) for failure in sync_failures(fields.get("err", "")))
        return [failure for failure in failures if failure is not None]

    def _failure(self, line: LogLine, pod: PodRef, failure: SyncFailure) -> PullFailure | None:
        reason = _REASONS.get(failure.reason)
        if reason is None:
            return None
        message, image, container = failure.message, "", ""
        if reason is Reason.CREATE_POD_SANDBOX_ERROR:
            image = pulltext.sandbox_image(f"{failure.reason} {message}")
            if not image:
                return None
            message = redact(message)
        else:
            container = failure.target
            message, image = self._known(line, pod, failure, reason)
        return PullFailure(line.when, line.unit, reason, message, pod if pod.name else None, container, redact(image))

    def _known(self, line: LogLine, pod: PodRef, failure: SyncFailure, reason: Reason) -> tuple[str, str]:
        """Return message and image, completed from what earlier lines told of the container."""
        key = (pod.uid or f"{pod.namespace}/{pod.name}", failure.target)
        known = self._containers.pop(key, _NOTHING)
        image = self._image(line, failure.message, known.image) or pulltext.runtime_image(failure.message)
        cause = without_back_off(failure.message)
        backing_off = reason is Reason.IMAGE_PULL_BACK_OFF
        message = known.error if backing_off and known.error and cause == failure.message else redact(cause)
        self._remember(key, _Memory(image, known.error if backing_off else message))
        return message, image

    def _image(self, line: LogLine, message: str, known: str) -> str:
        """Return the pod's spelling: from the message itself, else from the runtime-service line with the same error.

        Pods that fail at one moment in the same words ("connection refused" by the runtime's socket) are not told apart by
        them: then what is known of the container counts, and nothing is guessed.
        """
        named = pulltext.pod_image(message)
        if named:
            return named
        error = _comparable(message)
        near = [
            each for each in self._pull_lines if each.error == error and abs(line.when - each.when) <= PULL_LINE_AGE
        ]
        images = {each.image for each in near}
        if len(images) != 1 and known not in images:
            return known
        image = known if known in images else images.pop()
        # Each pull has its own line, so this one is no other pod's.
        self._pull_lines.remove(next(each for each in near if each.image == image))
        return image

    def _start_failed(self, record: klog.KlogRecord) -> None:
        match = _START_FAILED.search(record.fields.get("err", "") if record.structured else record.message)
        if match is None:
            return
        key = (match[3], match[1])
        self._remember(key, _Memory(match[2], self._containers.pop(key, _NOTHING).error))

    def _remember(self, key: tuple[str, str], memory: _Memory) -> None:
        if len(self._containers) >= MAX_CONTAINERS:
            self._containers.pop(next(iter(self._containers)))
        self._containers[key] = memory


_REASONS: Final = {reason.value: reason for reason in Reason if reason is not Reason.PULL_HANGS}


def _comparable(error: str) -> str:
    # The kubelet strips this prefix, and a multi-line value loses its last line break, between the lines of one failure.
    return error.removeprefix(_UNKNOWN_CODE).rstrip("\n")


def _hint(line: LogLine, record: klog.KlogRecord) -> KubeletHint | None:
    message, fields = record.message, record.fields
    if message.startswith(_PROVIDER):
        error = fields.get("err", "")
        image = fields.get("image", "")
        if not image:
            named = _PROVIDER_IMAGE.search(message)
            image = named[1] if named else ""
        kind, text = HintKind.CREDENTIAL_PROVIDER_FAILED, f"{message}: {error}" if error else message
    elif message.startswith(_PULL_SECRET):
        kind, text, image = HintKind.PULL_SECRET_UNAVAILABLE, fields.get("err", "") or message, ""
    else:
        return None
    namespace, _, name = fields.get("pod", "").rpartition("/")
    return KubeletHint(
        line.when,
        line.unit,
        kind,
        redact(text),
        pod=PodRef(namespace, name, fields.get("podUID", "")) if name else None,
        image=redact(image),
        provider=fields.get("provider", ""),
        secret=fields.get("secret", ""),
    )
