"""The type of a catalogue entry."""

from __future__ import annotations

from pullwhy.frozen import frozen
from pullwhy.model import Answer, CauseId, Stage

ANY_STAGE: tuple[Stage, ...] = tuple(Stage)


@frozen(kw_only=True)
class Cause:
    """One thing that a person must mend, declared once."""

    id: CauseId
    stage: Stage
    """Where it strikes unless the failed request says otherwise."""
    also: tuple[Stage, ...] = ()
    """Other stages at which it may strike."""
    title: str
    summary: str
    """One sentence; its placeholders are names of arguments."""
    retryable: Answer
    why: str
    """Why the kubelet's next try can, or cannot, succeed with nothing changed."""
    remedy: str
    """Id of the remedy, unless the node or the registry asks for another."""
    explains: tuple[CauseId, ...] = ()
    """Causes whose symptom this one produces; they are muted where this one was observed."""
    beyond_walk: bool = False
    """The text is unambiguous and of a kind that a passing walk neither shows nor refutes."""

    def stage_for(self, observed: Stage) -> Stage:
        """Return the stage to report for a request that failed at `observed`."""
        return observed if observed is self.stage or observed in self.also else self.stage
