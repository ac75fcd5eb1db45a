"""What the engine works with: what is seen of the node, who investigates, and where findings go."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import field
from datetime import datetime, timedelta
from typing import Protocol

from pullwhy.frozen import frozen
from pullwhy.model import Finding
from pullwhy.node.incidents.incidents import Sight
from pullwhy.node.incidents.remarks import Remarks
from pullwhy.node.investigate.investigations import AsksWhen, Investigates
from pullwhy.node.metrics import Metrics


class Observes(Protocol):
    """What is seen of the node between two walks."""

    def sandbox_image(self) -> str:
        """Return the image that every pod's sandbox is made from, empty where the runtime's configuration does not tell."""

    async def sight(self) -> Sight | None:
        """Return CRI's pods and containers, None where it does not answer."""

    def fingerprint(self) -> str:
        """Return a text that changes with the node's configuration."""

    def cri_answered(self) -> bool:
        """Whether CRI answered even once."""

    def progress(self) -> datetime | None:
        """Return when the runtime last wrote to its content store."""

    def runtime_started(self) -> datetime | None:
        """Return when the runtime's process was started."""


@frozen
class Parts:
    """What an engine works with."""

    observer: Observes
    investigator: Investigates
    tell: Callable[[Finding, datetime], None]
    """Puts a finding into the outbox; when it returns, the finding survives a kill."""
    clock: Callable[[], datetime]
    metrics: Metrics
    chance: random.Random
    walks: int = 2
    permits: AsksWhen | None = None
    """Says when to walk; None where nobody does."""
    remarks: Remarks = field(default_factory=Remarks)
    """Filled here with what the runtime's log tells beside failures."""
    apart: frozenset[str] = frozenset()
    """Namespaces with pull secrets of their own: what is found for their pods is not said of others."""
    hang_after: timedelta = timedelta(seconds=300)
    hang_after_blind: timedelta = timedelta(seconds=1800)
