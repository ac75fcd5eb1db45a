"""Leaves registries alone that asked for it: while one says to wait, nothing here asks it, for whichever image."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pullwhy.image import parsed
from pullwhy.model import CauseId, Diagnosis
from pullwhy.trace import Trace

MAX_REGISTRIES: Final = 200
MAX_JITTER: Final = timedelta(seconds=60)
"""Nodes that were told one time do not all come back at it: up to a tenth of the wait, and no more than this, is added."""
_TOO_MANY: Final = 429
AFTER_A_LIMIT: Final = timedelta(minutes=5)
"""For how long a registry that said 429, without a time, is asked nothing on behalf of others."""


@dataclass(slots=True)
class Quiet:
    """Until when each registry is not asked; in memory, so a restarted agent asks once more."""

    chance: random.Random
    _until: dict[str, datetime] = field(default_factory=dict)
    _limited: dict[str, datetime] = field(default_factory=dict)
    """When each registry said 429 last."""

    def note(self, image: str, diagnosis: Diagnosis, trace: Trace | None, now: datetime) -> None:
        """Take note of what a walk was answered; only a registry that names a time is left alone until then."""
        limited = diagnosis.cause is CauseId.RATE_LIMITED or any(
            result.http is not None and result.http.status == _TOO_MANY for result in (trace.results if trace else ())
        )
        until = _moment(diagnosis.remedy.arguments.get("until", ""))
        registry = _registry(image)
        if not limited or not registry:
            return
        _keep(self._limited, registry, now)
        if until is not None and until > now:
            most = min(MAX_JITTER, (until - now) / 10)
            _keep(self._until, registry, until + most * self.chance.random())

    def until(self, image: str, now: datetime) -> datetime | None:
        """Return until when the registry of `image` is not to be asked; None where it may be."""
        registry = _registry(image)
        moment = self._until.get(registry)
        if moment is not None and moment <= now:
            del self._until[registry]
            return None
        return moment

    def for_others(self, image: str, now: datetime) -> datetime | None:
        """Return until when the registry of `image` is not to be asked on behalf of others: it said 429 lately, and named no time."""
        limited = self._limited.get(_registry(image))
        if limited is not None and now - limited < AFTER_A_LIMIT:
            return max(limited + AFTER_A_LIMIT, self.until(image, now) or now)
        return self.until(image, now)


def _keep(times: dict[str, datetime], registry: str, moment: datetime) -> None:
    times.pop(registry, None)
    if len(times) >= MAX_REGISTRIES:
        times.pop(next(iter(times)))
    times[registry] = moment


def _registry(image: str) -> str:
    reference = parsed(image)
    return reference.registry if reference is not None else ""


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
