"""What the agent sees of its node between two walks: pods, the configuration's fingerprint, the runtime's progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from pullwhy.node.incidents.incidents import Sight
from pullwhy.node.investigate.view import fingerprint
from pullwhy.node.runtimelink import RuntimeLink
from pullwhy.node.walk.plan import NodeSight, Sources, survey
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile

FINGERPRINT_SECONDS: Final = 15.0
"""How long a fingerprint is believed: taking one looks at every file below certs.d."""
SURVEY_SECONDS: Final = 300.0
MAX_INGESTS: Final = 1000

_INGEST: Final = "io.containerd.content.v1.content/ingest"
"""Below containerd's root: one directory a download (containerd 1.6 to 2.3: core/content/local)."""
_BLOBS: Final = "io.containerd.content.v1.content/blobs/sha256"
"""Where a finished download is moved to."""


class NodeObserver:
    """Looks at the node, not more often than is needed."""

    def __init__(self, sources: Sources, link: RuntimeLink, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._link = link
        self._monotonic = monotonic
        self._sight: NodeSight | None = None
        self._surveyed = self._stamped = float("-inf")
        self._fingerprint = ""
        self._answered = False

    @property
    def node(self) -> NodeSight | None:
        """The last survey."""
        return self._sight

    async def sight(self) -> Sight | None:
        """Return CRI's pods and containers, None where it does not answer."""
        await self.keep_up()
        sight = await self._link.sight()
        self._answered = self._answered or sight is not None
        return sight

    async def keep_up(self) -> None:
        """Survey the node where the last survey is old, or the configuration changed since."""
        self.fingerprint()
        if self._monotonic() - self._surveyed >= SURVEY_SECONDS:
            await self.survey()

    def cri_answered(self) -> bool:
        """Return whether CRI answered even once."""
        return self._answered

    async def survey(self) -> NodeSight:
        """Look at runtime and kubelet anew."""
        self._surveyed = self._monotonic()
        self._sight = await survey(self._sources, self._link.client())
        self._answered = self._answered or bool(self._sight.runtime_answers)
        return self._sight

    def fingerprint(self) -> str:
        """Return a text that changes with the node's configuration; empty before the first survey."""
        if self._sight is not None and self._monotonic() - self._stamped >= FINGERPRINT_SECONDS:
            self._stamped = self._monotonic()
            before, self._fingerprint = self._fingerprint, fingerprint(self._sight)
            if before not in ("", self._fingerprint):
                self._surveyed = float("-inf")  # what was seen before is out of date
        return self._fingerprint

    def sandbox_image(self) -> str:
        """Return the image of every pod's sandbox, empty where it is not known."""
        config = self._sight.view.config if self._sight else None
        return config.sandbox_image if config else ""

    def progress(self) -> datetime | None:
        """Return when containerd last wrote content or began a layer, None where its store cannot be seen."""
        config = self._sight.view.config if self._sight else None
        if self._sight is None or config is None:
            return None
        fs, ingest = self._sight.view.fs, f"{config.root}/{_INGEST}"
        try:
            downloads = [f"{ingest}/{entry.name}/data" for entry in fs.entries(ingest)][:MAX_INGESTS]
        except UnreadableFile:
            return None
        layers = f"{config.root}/io.containerd.snapshotter.v1.{config.snapshotter}/snapshots"
        times = [_mtime(fs, path) for path in (ingest, f"{config.root}/{_BLOBS}", layers, *downloads)]
        return max((each for each in times if each is not None), default=None)

    def runtime_started(self) -> datetime | None:
        """Return when the runtime's process was started."""
        process = self._sight.view.process if self._sight else None
        return process.started if process else None


def _mtime(fs: HostFS, path: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(fs.mtime(path), UTC)
    except UnreadableFile:
        return None  # a download was finished meanwhile, or there is no such snapshotter
