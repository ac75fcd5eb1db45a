"""What another node proved, where this one has not walked yet and its own text tells the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pullwhy.diagnose.case import Adopted, Case
from pullwhy.diagnose.catalogue.causes import CATALOGUE, same_fault
from pullwhy.diagnose.rules.verdict import Verdict
from pullwhy.model import CauseId, Evidence, Hypothesis, Stage

SOURCE: Final = "fleet"
_ON_THE_WAY: Final = frozenset(
    {Stage.PROXY, Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.AUTH, Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB}
)
"""Stages at which two nodes can meet one fault; a disk or a file is each node's own."""


def of_the_fleet(case: Case, told: Hypothesis | None) -> Verdict | None:
    """Return the cause that another node proved, where it can be what this node's text tells."""
    other = case.adopted
    if other is None or case.trace is not None or told is None or not _agrees(case, other, told):
        return None
    cause = CATALOGUE[other.cause]
    return Verdict(other.cause, cause.stage_for(other.stage), other.via)


def _agrees(case: Case, other: Adopted, told: Hypothesis) -> bool:
    if other.stage not in _ON_THE_WAY or CauseId.UNDETERMINED in {told.cause, other.cause} or case.image is None:
        return False
    if str(case.image) == str(other.image):
        return same_fault(other.cause, told.cause, told.alternatives)
    # Of another image of the registry only what this node's own text says of itself.
    return case.image.registry == other.image.registry and (other.cause, other.via) == (told.cause, told.via)


def fleet_evidence(case: Case, found: Verdict) -> Iterator[Evidence]:
    """Tell who found what; nothing where it was not adopted."""
    other = case.adopted
    if other is None or of_the_fleet(case, case.hypothesis) is None or found.cause is not other.cause:
        return
    fact = f"node {other.node} walked {other.image} and proved {other.cause}, last seen {other.seen:%H:%M:%S} UTC: {other.summary}"
    yield Evidence(found.stage, fact, SOURCE)
    yield from (Evidence(found.stage, f"node {other.node}: {text}", SOURCE) for text in other.facts)
