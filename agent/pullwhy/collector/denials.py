"""Turning somebody away: why, said once in the log however often it happens, and counted each time."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Final

from pullwhy.collector.remembered import Remembered
from pullwhy.text import printable

logger = logging.getLogger(__name__)

SAID_SECONDS: Final = 3600.0
"""The same refusal of the same party is logged once in so long."""
MOST_SAID: Final = 1000


class Denial(enum.StrEnum):
    """Why somebody was turned away; a closed list, the label of a metric."""

    NO_CREDENTIALS = "no_credentials"
    BAD_CERTIFICATE = "bad_certificate"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a name, not a secret
    WRONG_ACCOUNT = "wrong_account"
    NO_NODE = "no_node"
    WRONG_NODE = "wrong_node"
    WRONG_POD = "wrong_pod"
    BAD_REPORT = "bad_report"
    TOO_LARGE = "too_large"
    FORBIDDEN = "forbidden"


class Denied(Exception):
    """This one may not; the text says why, and what would be right."""

    def __init__(self, denial: Denial, text: str, who: str = "") -> None:
        super().__init__(text)
        self.denial = denial
        self.who = who
        """Who it is, as far as that was shown; for the log."""


class CannotTell(Exception):
    """Whether this one may cannot be said now."""


class Denials:
    """Logs and counts them."""

    def __init__(self, count: Callable[[Denial], None], clock: Callable[[], float]) -> None:
        self._count = count
        self._said: Remembered[tuple[str, str, str], bool] = Remembered(MOST_SAID, clock)

    def note(self, denied: Denied, peer: str) -> None:
        """Count a refusal; log it where it is the first of its kind of this party. `peer` is an address with its port."""
        self._count(denied.denial)
        host = printable(peer.rpartition(":")[0], 100)
        key = (denied.denial, denied.who, host)
        if self._said.get(key) is None:
            self._said.put(key, value=True, seconds=SAID_SECONDS)
            logger.warning("refused (%s) %s: %s", denied.denial, " ".join(filter(None, (host, denied.who))), denied)
