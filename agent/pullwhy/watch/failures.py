"""From lines to failures: recognises what the kubelet and the runtime say about a pull that does not work."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from pullwhy import pulltext
from pullwhy.failure import HintKind, KubeletHint, PodRef, PullFailure, Reason
from pullwhy.frozen import frozen
from pullwhy.redact import redact
from pullwhy.syncerror import SyncFailure, backed_off, sync_failures
from pullwhy.watch import hints, klog
from pullwhy.watch.attempts import Attempts, Pull
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind
from pullwhy.watch.gate import gate
from pullwhy.watch.lines import LogLine
from pullwhy.watch.rejoin import Rejoiner
from pullwhy.watch.runtimelog import RuntimeLog

__all__ = ["HintKind", "KubeletHint", "Recognised", "Recogniser", "RuntimeEvent", "RuntimeEventKind", "gate"]

Recognised = PullFailure | RuntimeEvent | KubeletHint

MAX_CONTAINERS: Final = 4096
"""Containers whose image and last error are remembered; a node runs some hundred pods."""

MAX_WRITERS: Final = 64
"""Processes that are remembered as writers of klog's lines; a node has one or two."""

_SYNC_ERROR: Final = "Error syncing pod, skipping"
_SEVERITIES: Final = ("I", "W", "E", "F")
# kubelet up to 1.33 (kuberuntime_manager.go) prints the container's struct with every failed start.
_START_FAILED: Final = re.compile(
    r"&Container\{Name:([^,{}]{1,253}),Image:([^,{}]{1,4096}),.*\} start failed in pod [^\s(]{1,512}\(([\w-]{1,64})\): ",
    re.DOTALL,
)


@frozen
class _Memory:
    """What is known of one container of one pod."""

    image: str = ""
    error: str = ""
    """The last real error: kubelets up to 1.31 do not repeat it while they back off."""
    told_as: str = ""
    """The reason that the kubelet gave with that error."""
    credentials_sent: bool | None = None
    """Whether any went along with that pull."""
    hints: tuple[KubeletHint, ...] = ()
    tries: int = 0


_NOTHING: Final = _Memory()


class Recogniser:
    """Takes the lines of all watched units in order; stateful, bounded, and never raises on any text."""

    def __init__(self) -> None:
        self._rejoiner = Rejoiner()
        self._runtime = RuntimeLog()
        self._containers: dict[tuple[str, str], _Memory] = {}
        self._attempts = Attempts()
        self._hints = hints.Hints()
        self._klog_writers: dict[tuple[str, int], None] = {}

    def feed(self, line: LogLine) -> list[Recognised]:
        """Return what `line`, together with those before it, tells; mostly nothing.

        Every failure is text, and text is a hypothesis: pod and image need CRI's word before anything is done about them.
        """
        if not gate(line.text.encode(errors="replace")):
            return []
        from_klog = self._is_klogs(line)
        whole = self._rejoiner.feed(line)
        if whole is None:
            return []
        record = klog.parse(whole.text)
        if record is None and from_klog:
            return []
        if record is None:
            event = self._runtime.read(whole)
            return [] if event is None else [event]
        if record.message == _SYNC_ERROR:
            return list(self._sync_error(whole, record.fields))
        if self._attempts.feed(whole, record.message, record.fields):
            return []
        hint = hints.read(whole, record)
        if hint is not None:
            self._hints.add(hint)
            return [hint]
        self._start_failed(record)
        return []

    def _is_klogs(self, line: LogLine) -> bool:
        """Whether the process writes klog's lines: a runtime's line from it is text that it quotes, torn out by a line break."""
        writer = (line.unit, line.pid)
        if line.pid and line.text[:1] in _SEVERITIES and line.text[1:5].isdecimal():
            self._klog_writers.pop(writer, None)
            if len(self._klog_writers) >= MAX_WRITERS:
                self._klog_writers.pop(next(iter(self._klog_writers)))
            self._klog_writers[writer] = None
        return writer in self._klog_writers

    def _sync_error(self, line: LogLine, fields: dict[str, str]) -> list[PullFailure]:
        namespace, _, name = fields.get("pod", "").rpartition("/")
        pod = PodRef(namespace, name, fields.get("podUID", ""))
        failures = (self._failure(line, pod, failure) for failure in sync_failures(fields.get("err", "")))
        return [failure for failure in failures if failure is not None]

    def _failure(self, line: LogLine, pod: PodRef, failure: SyncFailure) -> PullFailure | None:
        reason = _REASONS.get(failure.reason)
        if reason is None:
            return None
        if reason is Reason.CREATE_POD_SANDBOX_ERROR:
            container = ""
            told = _Memory(pulltext.sandbox_image(f"{failure.reason} {failure.message}"), redact(failure.message))
            if not told.image:
                return None
        else:
            container = failure.target
            told = self._told(line, pod, failure, reason)
        return PullFailure(
            line.when,
            line.unit,
            reason,
            told.error,
            pod if pod.name else None,
            container,
            redact(told.image),
            told.credentials_sent,
            told.hints,
            told.tries,
            told.told_as if told.told_as != reason else "",
            line.from_file,
        )

    def _told(self, line: LogLine, pod: PodRef, failure: SyncFailure, reason: Reason) -> _Memory:
        """Return what a failure tells, completed from what earlier lines told of the container, and remember it."""
        key = (pod.uid or f"{pod.namespace}/{pod.name}", failure.target)
        before = self._containers.pop(key, _NOTHING)
        said_as, cause = backed_off(failure.message)
        named, runtime_image = pulltext.pod_image(failure.message), pulltext.runtime_image(failure.message)
        if reason is Reason.IMAGE_PULL_BACK_OFF:
            now = replace(before, image=named or before.image or runtime_image)
            self._remember(key, now)
            return now if now.error and not said_as else replace(now, error=redact(cause), told_as=said_as)
        pull = Pull(named)
        if reason in _PULLS:
            pull = self._attempts.take(line, failure.message, named, (before.image, runtime_image))
        image = pull.image or before.image or runtime_image
        said = self._hints.of(line.when, pod, image)
        now = _Memory(image, redact(cause), reason.value, pull.credentials_sent, said, pull.tries)
        self._remember(key, now)
        return now

    def _start_failed(self, record: klog.KlogRecord) -> None:
        match = _START_FAILED.search(record.fields.get("err", "") if record.structured else record.message)
        if match is None:
            return
        key = (match[3], match[1])
        self._remember(key, replace(self._containers.pop(key, _NOTHING), image=match[2]))

    def _remember(self, key: tuple[str, str], memory: _Memory) -> None:
        if len(self._containers) >= MAX_CONTAINERS:
            self._containers.pop(next(iter(self._containers)))
        self._containers[key] = memory


_REASONS: Final = {reason.value: reason for reason in Reason if reason is not Reason.PULL_HANGS}
_PULLS: Final = frozenset(
    {
        Reason.ERR_IMAGE_PULL,
        Reason.REGISTRY_UNAVAILABLE,
        Reason.SIGNATURE_VALIDATION_FAILED,
        Reason.IMAGE_VOLUME_MOUNT_FAILED,
    }
)
"""Reasons for which the runtime was asked to pull."""
