"""Pulls that hang: the runtime began one and neither ends it nor makes progress, and nothing is logged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import PullFailure, Reason
from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind

REPEAT: Final = timedelta(seconds=60)
"""How often a hang that goes on is told again."""
MAX_PULLS: Final = 500


@frozen
class Pull:
    """A pull that the runtime began and did not end."""

    image: str
    unit: str
    began: datetime
    told: datetime | None = None
    from_file: bool = False


@dataclass(slots=True)
class Hangs:
    """Remembers which pulls are under way; pure."""

    threshold: timedelta
    """A pull without progress for so long hangs."""
    blind: timedelta = timedelta(minutes=30)
    """A pull without an end for so long hangs, where nothing shows whether it makes progress."""
    pulls: dict[str, Pull] = field(default_factory=dict)
    _newest: datetime | None = None
    """When the latest pull began."""

    def observe(self, event: RuntimeEvent) -> None:
        """Take a runtime's line in. A second start of one image begins anew: the runtime was restarted, or its end was lost."""
        if not event.image:
            return
        self.pulls.pop(event.image, None)
        if event.kind is RuntimeEventKind.PULL_STARTED:
            if len(self.pulls) >= MAX_PULLS:
                self.pulls.pop(next(iter(self.pulls)))
            self.pulls[event.image] = Pull(event.image, event.unit, event.when, from_file=event.from_file)
            self._newest = event.when

    @property
    def images(self) -> tuple[str, ...]:
        """The images of the pulls that are under way, as the runtime names them."""
        return tuple(self.pulls)

    def alone_since(self, image: str) -> bool:
        """Whether the runtime began no other pull after that of `image`: one after the other, they would wait."""
        pull = self.pulls.get(image)
        return pull is not None and (self._newest is None or self._newest <= pull.began)

    def overdue(self, now: datetime) -> bool:
        """Whether any pull has been under way for longer than the threshold: then it is worth to look for progress."""
        return any(now - pull.began >= self.threshold for pull in self.pulls.values())

    def failures(self, now: datetime, progress: datetime | None, runtime_started: datetime | None) -> list[PullFailure]:
        """Return the hangs that are to be told now.

        `progress` is when the runtime last wrote to its content store, None where that is unknown; a runtime that was
        started after the pull forgot it.
        """
        for image, pull in list(self.pulls.items()):
            if runtime_started is not None and pull.began < runtime_started:
                del self.pulls[image]
        return [failure for pull in list(self.pulls.values()) if (failure := self._failure(pull, now, progress))]

    def _failure(self, pull: Pull, now: datetime, progress: datetime | None) -> PullFailure | None:
        silent = now - max(pull.began, progress or pull.began)
        if silent < (self.threshold if progress else self.blind) or (
            pull.told is not None and now - pull.told < REPEAT
        ):
            return None
        self.pulls[pull.image] = replace(pull, told=now)
        since = (
            f"no progress since {max(pull.began, progress):%H:%M:%S}" if progress else "whether data flows was not seen"
        )
        message = f"the runtime began this pull at {pull.began:%Y-%m-%dT%H:%M:%SZ}; no end, and {since}"
        return PullFailure(now, pull.unit, Reason.PULL_HANGS, message, image=pull.image, from_file=pull.from_file)
