"""What the runtime's own log says of single hosts and of its configuration while it pulls, kept for the next diagnosis."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pullwhy.diagnose.case import Queue, RuntimeRemark
from pullwhy.diagnose.classify.classifier import classify
from pullwhy.diagnose.classify.request import is_own_host, read_request
from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, canonical, parsed
from pullwhy.model import Reason
from pullwhy.node.incidents.hangs import Hangs
from pullwhy.node.incidents.incidents import Incident, Sight
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind

AGE: Final = timedelta(minutes=10)
"""How long a remark is held against an image: two of the kubelet's longest pauses between tries (300 s)."""
MAX_KEPT: Final = 256
MAX_TOLD: Final = 8
"""Remarks of one image, the newest of each host."""
MAX_WAITING: Final = 200
"""Waiting pods that are counted; a node runs few more in all."""

_KINDS: Final = frozenset(
    {
        RuntimeEventKind.TRYING_NEXT_HOST,
        RuntimeEventKind.HOST_FAILED,
        RuntimeEventKind.HOSTS_TOML_DECODE_ERROR,
        RuntimeEventKind.PULL_CANCELLED,
    }
)
_STATUS: Final = re.compile(r"[1-5]\d\d(?: [A-Za-z' -]{1,60})?\Z")
_URL: Final = re.compile(r"https?://[^\s\"'<>]{1,4096}")
_NAMESPACE: Final = re.compile(r"[?&]ns=([^&]{1,300})")


@frozen
class _Kept:
    event: RuntimeEvent
    image: str
    """The one image that was being pulled then, normalised; empty where there were several."""


@dataclass(slots=True)
class Remarks:
    """Bounded memory of the runtime's lines. They are text, and so support a diagnosis without being one."""

    queue: Queue = Queue()  # noqa: RUF009 - it is frozen
    """What waits behind the pull that hangs, as of the last look."""
    lines_lost: Callable[[], bool] = lambda: False
    """Whether journald dropped lines lately."""
    _kept: deque[_Kept] = field(default_factory=lambda: deque(maxlen=MAX_KEPT))

    def __bool__(self) -> bool:
        """Whether anything is kept."""
        return bool(self._kept)

    def observe(self, event: RuntimeEvent, under_way: Collection[str]) -> None:
        """Take a line in; `under_way` are the images that the runtime was pulling when it wrote it."""
        if event.kind in _KINDS:
            named = event.image or (next(iter(under_way)) if len(under_way) == 1 else "")
            self._kept.append(_Kept(event, canonical(named)))

    def about(self, image: str, until: datetime) -> tuple[RuntimeRemark, ...]:
        """Return what was said of the pulls of `image` within the last `AGE` before `until`, the newest of each host."""
        reference = parsed(image)
        if reference is None:
            return ()
        newest: dict[tuple[str, RuntimeEventKind], RuntimeRemark] = {}
        for kept in self._kept:
            event = kept.event
            if timedelta(0) <= until - event.when <= AGE and _concerns(kept, reference):
                host = (event.host, event.kind if not event.host else RuntimeEventKind.HOST_FAILED)
                newest.pop(host, None)
                newest[host] = _remark(event, reference)
        return tuple(list(newest.values())[-MAX_TOLD:])


def queue_behind(hangs: Hangs, incidents: Iterable[Incident], sight: Sight | None) -> Queue:
    """Return which pods wait while a pull hangs; those that failed on their own account have a word of their own."""
    failing = tuple(incidents)
    hanging = [each.image for each in failing if each.reason is Reason.PULL_HANGS]
    if sight is None or not hanging:
        return Queue()
    failed = {each.pod.uid for each in failing if each.pod}
    waiting = tuple(pod for pod in sight.starting if pod.uid not in failed)
    return Queue(pods=waiting[:MAX_WAITING], moves=not any(hangs.alone_since(image) for image in hanging))


def _concerns(kept: _Kept, reference: ImageReference) -> bool:
    """Whether a line is about a pull of this image: its URL names the repository of this registry, or nothing else was being pulled.

    Whatever containerd asks that is not the registry itself carries `ns`, the registry's name (core/remotes/docker/resolver.go:
    isProxy), so that a URL without it is about the host that was tried, and about no registry that has a repository of that name too.
    """
    event = kept.event
    urls = _URL.findall(event.error)
    if not urls:
        return kept.image == str(reference)
    url: str = urls[0]
    if f"/{reference.repository}/manifests/" not in url and f"/{reference.repository}/blobs/" not in url:
        return False
    namespace = _NAMESPACE.search(url)
    if namespace is None:
        return is_own_host(reference.registry, event.host or read_request(url).host)
    return namespace[1].replace("%3A", ":").lower() == reference.registry


def _remark(event: RuntimeEvent, reference: ImageReference) -> RuntimeRemark:
    answered = bool(_STATUS.match(event.error))
    text = (
        f"unexpected status from HEAD request to https://{event.host}/v2/: {event.error}" if answered else event.error
    )
    told = classify(text)
    return RuntimeRemark(
        when=event.when,
        unit=event.unit,
        host=event.host,
        text=f"answered {event.error}" if answered else event.error,
        cause=told.cause if told is not None else None,
        is_mirror=bool(event.host) and not is_own_host(reference.registry, event.host),
    )
