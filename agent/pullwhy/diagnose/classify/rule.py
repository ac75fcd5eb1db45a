"""The shape of one classification rule."""

from __future__ import annotations

import re

from pullwhy.frozen import frozen
from pullwhy.model import CauseId, Stage


@frozen
class Rule:
    """A text that betrays a cause. Rules stand in tables, in order; the first that matches decides."""

    name: str
    """Names the text's writer and meaning, for tests and people."""
    sure: re.Pattern[str] | None
    """Nothing but a pull writes this."""
    likely: re.Pattern[str] | None
    """Others write this too: it counts only where the text shows that it is about a pull."""
    cause: CauseId
    alternatives: tuple[CauseId, ...] = ()
    """What the same text may also come from."""
    stage: Stage | None = None
    """Where it strikes; None: the stage of the failed request."""

    def matches(self, text: str, *, about_a_pull: bool) -> bool:
        """Whether the rule explains `text`."""
        if self.sure is not None and self.sure.search(text):
            return True
        return about_a_pull and self.likely is not None and self.likely.search(text) is not None


def rule(
    name: str,
    cause: CauseId,
    *alternatives: CauseId,
    sure: str = "",
    likely: str = "",
    stage: Stage | None = None,
) -> Rule:
    """Declare a rule; its patterns are searched, and case counts."""
    return Rule(
        name, re.compile(sure) if sure else None, re.compile(likely) if likely else None, cause, alternatives, stage
    )
