"""Feeds the engine from its sources, and checks that they can be read at all: silence must not pass for health."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pullwhy.config import WatchSettings
from pullwhy.node.engine import Engine
from pullwhy.node.impairments import Impairments
from pullwhy.node.metrics import Metrics
from pullwhy.watch.follow import JournalFollower
from pullwhy.watch.gate import gate
from pullwhy.watch.journal import JournalReader, JournalUnreadable, Place, newest
from pullwhy.watch.logfile import FileFollower, LogFile
from pullwhy.watch.units import RUNTIME_UNITS, LogSources, detect

CHECK: Final = 300.0
"""Seconds between two checks whether the kubelet's newest entry can be read."""
CHECK_SOON: Final = 5.0
"""The same while it cannot: at a node's boot the agent may come before the kubelet."""
QUIET: Final = timedelta(minutes=30)
"""A kubelet writes something in that time; older entries say that it is not running, or logs elsewhere."""

_MEND: Final = (
    "mount the host's /var/log and /run/log read-only, run as root or in the group systemd-journal, "
    "or name the kubelet's unit or log file in watch.units or watch.files"
)


class SourceUnreadable(Exception):
    """A journal or a log file cannot be read; `impairments` told it, in one line."""


@dataclass(slots=True)
class Feed:
    """Follows the sources of one host."""

    root: Path
    settings: WatchSettings
    engine: Engine
    impairments: Impairments
    metrics: Metrics
    clock: Callable[[], datetime]
    caught_up: bool = False
    """Whether the journal's newest entry was reached since the start, or nobody asked for what it may tell of the kubelet."""

    async def follow_journal(self, sources: LogSources) -> None:
        """Follow the journal until it cannot be read; does nothing where no unit is followed. Raises SourceUnreadable."""
        if not sources.units:
            self.caught_up = True
            await asyncio.Event().wait()
        reader = JournalReader(Place(self.root), sources.units, gate)
        lookback = timedelta(seconds=self.settings.lookback_seconds)
        batches = JournalFollower(reader, clock=self.clock, lookback=lookback).batches(self.engine.positions.journal)
        try:
            async with contextlib.aclosing(batches):
                async for batch in batches:
                    self._take(batch.gap, batch.suppressed)
                    self.engine.take(batch.lines)
                    if batch.position is not None:
                        self.engine.moved(self.engine.positions.with_journal(batch.position))
                    self.caught_up = self.caught_up or batch.caught_up
                    self.impairments.set("journal", "")
        except JournalUnreadable as error:
            # The kubelet logs elsewhere, and the runtime's units are followed by default: they must not hold the agent back.
            self.caught_up = self.caught_up or not sources.kubelet_units
            self.impairments.set("journal", f"journal: {error}")
            raise SourceUnreadable(str(error)) from error

    async def follow_file(self, path: Path) -> None:
        """Follow one log file until it cannot be read. Raises SourceUnreadable."""
        lookback = timedelta(seconds=self.settings.lookback_seconds)
        follower = FileFollower(LogFile(path, path.name, gate, self.clock, lookback))
        batches = follower.batches(self.engine.positions.file(str(path)))
        try:
            async with contextlib.aclosing(batches):
                async for batch in batches:
                    self._take(batch.gap, 0)
                    self.engine.take(batch.lines)
                    if batch.position is not None:
                        self.engine.moved(self.engine.positions.with_file(str(path), batch.position))
                    self.impairments.set(str(path), "")
        except OSError as error:
            told = f"log file {path}: {error.strerror or error}: name another in watch.files"
            self.impairments.set(str(path), told)
            raise SourceUnreadable(told) from error

    async def check(self, sources: LogSources) -> None:
        """Look at the kubelet's newest entry again and again."""
        while True:
            silence = kubelet_silence(self.root, sources, self.clock())
            self.impairments.set("kubelet log", silence)
            await asyncio.sleep(CHECK_SOON if silence else CHECK)

    def _take(self, gap: str, suppressed: int) -> None:
        if gap:
            self.metrics.gaps.add()
            self.impairments.set("gap", gap)
        if suppressed:
            self.engine.suppressed(suppressed)
            text = f"journald dropped {suppressed} lines of the watched units: raise RateLimitBurst in journald.conf"
            self.impairments.set("suppressed", text)


def log_sources(root: Path, settings: WatchSettings) -> LogSources:
    """Return what to follow: the settings, or what the host's processes tell."""
    if settings.units or settings.files:
        files = tuple(root / path.lstrip("/") for path in settings.files)
        return LogSources(settings.units, RUNTIME_UNITS, files)
    return detect(root)


def kubelet_silence(root: Path, sources: LogSources, now: datetime) -> str:
    """Return why the kubelet's log seems not to be seen; nothing where its newest entry is recent, or it logs to a file."""
    if sources.kubelet_files:
        return _missing(sources.kubelet_files)
    if not sources.kubelet_units:
        return ""
    units = " ".join(sources.kubelet_units)
    try:
        last = newest(Place(root), sources.kubelet_units)
    except JournalUnreadable as error:
        return f"{error}: {_MEND}"
    if last is None:
        return f"no journal entry of the kubelet ({units}) can be read under {root}: {_MEND}"
    if now - last > QUIET:
        return f"the kubelet's newest journal entry ({units}) is of {last:%Y-%m-%d %H:%M:%S} UTC: is it running? If so, {_MEND}"
    return ""


def _missing(files: Iterable[Path]) -> str:
    absent = [str(path) for path in files if not path.exists()]
    return f"no log file {' '.join(absent)}: name the kubelet's log in watch.files" if absent else ""
