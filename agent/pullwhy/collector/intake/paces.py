"""How fast one node may go, over all of its streams: who comes again does not begin anew."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pullwhy.collector.pace import Pace
from pullwhy.collector.records import Speaker
from pullwhy.collector.remembered import Remembered

REPORTS_PER_SECOND: Final = 200.0
"""Of one node, over time; a faster one is read more slowly. A node has a few findings an hour."""
REPORTS_AT_ONCE: Final = 4096.0
"""What a node may send at full speed after a silence: a whole outbox."""

REQUESTS_PER_SECOND: Final = 5.0
"""Hellos, answers to walks and requests for permits of one node, over time."""
REQUESTS_AT_ONCE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Both:
    """A node's paces."""

    reports: Pace
    requests: Pace


class Paces:
    """Those of the nodes that came last: `most` of them."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of: Remembered[tuple[str, str], Both] = Remembered(most, clock)

    def of(self, speaker: Speaker) -> Both:
        """Return a node's paces, whichever its stream."""
        key = (speaker.cluster, speaker.node)
        both = self._of.get(key)
        if both is None:
            reports = Pace(REPORTS_PER_SECOND, REPORTS_AT_ONCE, self._clock)
            both = Both(reports, Pace(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE, self._clock))
            self._of.put(key, both, math.inf)
        return both
