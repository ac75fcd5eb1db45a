"""Collects the stage results of a walk: each is timed, and none is lost, whatever happens inside."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Final

from pullwhy.model import Outcome, Stage, Via
from pullwhy.probe.clock import Clock
from pullwhy.text import printable
from pullwhy.trace import (
    AuthFacts,
    BlobFacts,
    ConnectAttempt,
    DNSFacts,
    HTTPFacts,
    Identity,
    ManifestFacts,
    PlatformFacts,
    StageResult,
    TLSFacts,
    Trace,
)

MAX_DETAIL: Final = 300
"""Characters kept of a detail."""
MAX_RESULTS: Final = 200
"""Results kept of one walk; a walk of three endpoints makes about thirty."""


@dataclass(slots=True)
class Observation:
    """What one stage has seen so far; Passed until it says otherwise."""

    stage: Stage
    outcome: Outcome = Outcome.PASSED
    detail: str = ""
    via: Via | None = None
    dns: DNSFacts | None = None
    connect: tuple[ConnectAttempt, ...] = ()
    tls: TLSFacts | None = None
    http: HTTPFacts | None = None
    auth: AuthFacts | None = None
    manifest: ManifestFacts | None = None
    platform: PlatformFacts | None = None
    blob: BlobFacts | None = None

    def failed(self, detail: str) -> None:
        """Say that the path failed here."""
        self.outcome, self.detail = Outcome.FAILED, detail

    def skipped(self, detail: str) -> None:
        """Say that this was not looked at, and why."""
        self.outcome, self.detail = Outcome.SKIPPED, detail


class Recorder:
    """The results of one walk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._skews: list[float] = []
        self.results: list[StageResult] = []
        self.requests = 0
        """HTTP requests sent so far."""

    @contextmanager
    def stage(
        self,
        stage: Stage,
        target: str,
        *,
        endpoint: int | None = None,
        via: Via | None = None,
        identity: Identity = Identity.NONE,
        since: float | None = None,
    ) -> Iterator[Observation]:
        """Time a stage (from `since` on, where it began before) and keep what it saw.

        An exception is a fault of pullwhy: it is kept as an Error with its type and place (never its text, which may quote a
        stranger or a secret) and ends here. Being cancelled, by the walk's deadline, is Skipped, and goes on.
        """
        seen = Observation(stage, via=via)
        started = self._clock.monotonic() if since is None else since
        try:
            yield seen
        except asyncio.CancelledError:
            seen.skipped("cut short by the walk's overall deadline")
            raise
        except Exception as error:  # noqa: BLE001 - the last resort, see above
            seen.outcome, seen.detail = Outcome.ERROR, describe(error)
        finally:
            seconds = self._clock.monotonic() - started
            self.add(_result(target, seen, seconds, endpoint, identity))

    @contextmanager
    def guard(self, target: str, endpoint: int) -> Iterator[None]:
        """Keep an exception that escapes between stages as an Error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the last resort
            self.add(StageResult(Stage.MANIFEST, target, Outcome.ERROR, detail=describe(error), endpoint=endpoint))

    def add(self, result: StageResult) -> None:
        """Keep a result."""
        if len(self.results) < MAX_RESULTS:
            self.results.append(replace(result, detail=printable(result.detail, MAX_DETAIL)))

    def take_back(self, result: StageResult) -> None:
        """Forget a result that turned out otherwise (TLS 1.3 refuses a client after its handshake)."""
        if result in self.results:
            self.results.remove(result)

    def saw_date(self, date: datetime | None) -> None:
        """Compare a server's clock with ours."""
        if date is not None:
            self._skews.append((self._clock.now() - date).total_seconds())

    def trace(self, *, complete: bool) -> Trace:
        """Return everything kept."""
        seconds = self._clock.monotonic() - self._started
        skew = round(median(self._skews), 1) if self._skews else None
        return Trace(tuple(self.results), seconds, self.requests, complete, skew)


def describe(error: BaseException) -> str:
    """Return an exception's type and the place in our code that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "pullwhy" in frame.filename]
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"a fault of pullwhy: {type(error).__name__}{place}"


def _result(target: str, seen: Observation, seconds: float, endpoint: int | None, identity: Identity) -> StageResult:
    return StageResult(
        stage=seen.stage,
        target=printable(target, MAX_DETAIL),
        outcome=seen.outcome,
        seconds=seconds,
        detail=seen.detail,
        endpoint=endpoint,
        via=seen.via,
        identity=identity,
        dns=seen.dns,
        connect=seen.connect,
        tls=seen.tls,
        http=seen.http,
        auth=seen.auth,
        manifest=seen.manifest,
        platform=seen.platform,
        blob=seen.blob,
    )
