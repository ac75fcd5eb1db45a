"""Leaves registries alone that asked for it: while one says to wait, nothing here asks it, for whichever image."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, Diagnosis
from pullwhy.trace import Trace

MAX_REGISTRIES: Final = 200
MAX_JITTER: Final = timedelta(seconds=60)
"""Nodes that were told one time do not all come back at it: up to a tenth of the wait, and no more than this, is added."""
_TOO_MANY: Final = 429


@dataclass(slots=True)
class Quiet:
    """Until when each registry is not asked; in memory, so a restarted agent asks once more."""

    chance: random.Random
    _until: dict[str, datetime] = field(default_factory=dict)

    def note(self, image: str, diagnosis: Diagnosis, trace: Trace | None, now: datetime) -> None:
        """Take note of what a walk was answered; only a registry that names a time is left alone until then."""
        limited = diagnosis.cause is CauseId.RATE_LIMITED or any(
            result.http is not None and result.http.status == _TOO_MANY for result in (trace.results if trace else ())
        )
        until = _moment(diagnosis.remedy.arguments.get("until", ""))
        registry = _registry(image)
        if not limited or until is None or until <= now or not registry:
            return
        self._until.pop(registry, None)
        if len(self._until) >= MAX_REGISTRIES:
            self._until.pop(next(iter(self._until)))
        most = min(MAX_JITTER, (until - now) / 10)
        self._until[registry] = until + most * self.chance.random()

    def until(self, image: str, now: datetime) -> datetime | None:
        """Return until when the registry of `image` is not to be asked; None where it may be."""
        registry = _registry(image)
        moment = self._until.get(registry)
        if moment is not None and moment <= now:
            del self._until[registry]
            return None
        return moment


def _registry(image: str) -> str:
    try:
        return parse(image).registry
    except InvalidReference:
        return ""


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
