"""What the collector answers, kept up to date beside a running world, with the moment at which each answer was there."""

import contextlib
import datetime as dt
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from e2e.world import World

from lab.namespace import Process, own_environment


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding as it was answered at a moment (seconds since the epoch)."""

    finding: dict[str, Any]
    at: float

    @property
    def after(self) -> float:
        """Seconds from the kubelet's first line of it."""
        first = dt.datetime.fromisoformat(self.finding["first_seen"])
        return self.at - first.timestamp()


class Watcher:
    """Holds the active and the recovered findings of all nodes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._seen: list[Seen] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def of(self, node: str, pod: str, image: str) -> Seen | None:
        """Return the finding of a pod, or of its image where no pod is known; the one seen last, if there are more."""
        with self._changed:
            own = [seen for seen in self._seen if seen.finding["node"] == node]
        named = [seen for seen in own if any(one["name"] == pod for one in seen.finding["pods"])]
        fitting = named or [seen for seen in own if seen.finding["image"] == image and not seen.finding["pods"]]
        return max(fitting, key=lambda seen: seen.finding["last_seen"], default=None)

    def wait(self, until: float) -> bool:
        """Wait for news until the moment *until* of the monotonic clock; False when it is over."""
        with self._changed:
            return self._changed.wait(max(0.0, min(1.0, until - time.monotonic()))) or time.monotonic() < until

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            value = json.loads(line)
            with self._changed:
                before = {seen.finding["id"]: seen for seen in self._seen}
                self._seen = [_kept(before.get(item["id"]), item, value["time"]) for item in value["items"]]
                self._changed.notify_all()


def _kept(before: Seen | None, item: dict[str, Any], at: float) -> Seen:
    """Return *before* with the news in it; it counts from when its diagnosis was there."""
    same = before is not None and all(
        before.finding[key] == item[key] for key in ("cause", "via", "stage", "confidence")
    )
    walked = before is not None and bool(before.finding["trace"]) == bool(item["trace"])
    return Seen(item, before.at if before is not None and same and walked else at)


@contextlib.contextmanager
def watching(world: World) -> Iterator[Watcher]:
    """Follow the collector of *world*."""
    argv = [sys.executable, "-m", "matrix.poll", world.url]
    process = world.lab.servers.popen(argv, env=own_environment(), stdout=subprocess.PIPE)
    try:
        yield Watcher(process)
    finally:
        process.close()
