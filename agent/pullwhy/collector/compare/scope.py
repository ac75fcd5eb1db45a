"""How far over the fleet a problem reaches, from who fails, who passes and what tells them apart. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pullwhy.collector.compare.contrast import Difference, Node, Others, Separation, differences
from pullwhy.collector.compare.relevance import relevance
from pullwhy.collector.problem import ProblemKey, SubjectKind
from pullwhy.diagnose.catalogue.causes import ABSENT, UNREACHABLE, akin
from pullwhy.model import CauseId, Scope, ScopeVerdict

SAMPLE: Final = 500
"""Failing nodes, and healthy ones, of which the facts are looked at: more say nothing new, and cost."""
FEW: Final = 3
"""Failing nodes that are called few in any fleet; in a large one, one in twenty is."""
_FEW_OF: Final = 20
_ALL_BUT: Final = 10
"""Where nobody is asked: all but one node in so many fail."""
_REASONS: Final = 3

_ELSEWHERE: Final = (UNREACHABLE | {CauseId.REGISTRY_SERVER_ERROR}, ABSENT | {CauseId.ACCESS_DENIED_OR_NOT_FOUND})
"""Causes as which one fault shows itself to different nodes besides: where the balancer of a registry that is down refuses some, it answers
others 502 or 503; and what is absent, a registry tells only those who may read it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of a problem over the fleet."""

    problem: ProblemKey
    registry: str
    failing: Sequence[Node]
    """Those with an Active finding of it."""
    fails_too: Sequence[Node] = ()
    """Those that were asked, and found the same fault."""
    healthy: Sequence[Node] = ()
    """Those that were asked and would pull; of a problem of the nodes themselves, those without it."""
    unknown: Sequence[str] = ()
    """Of each node that was asked and could not tell: why."""
    others: Others = Others()  # noqa: RUF009 - it is frozen
    """The rest of the cluster's nodes."""
    not_asked: str = ""
    """Why no node was asked; empty where some were."""
    elsewhere: int = 0
    """Nodes that, since the problem began, would pull another image of this registry."""


def may_be_one_fault(cause: CauseId, other: CauseId) -> bool:
    """Whether what one node fails by may be the fault that another one fails by."""
    return cause is other or akin(cause, other) or any(cause in group and other in group for group in _ELSEWHERE)


def judge(seen: Comparison) -> Scope:
    """Return how far the problem reaches, with the counts and what separates; the same input always gives the same."""
    failing = len(seen.failing) + len(seen.fails_too)
    verdict, in_common = _verdict(seen, failing)
    return Scope(verdict, failing, len(seen.healthy), len(seen.unknown), tuple(in_common))


def _verdict(seen: Comparison, failing: int) -> tuple[ScopeVerdict, list[str]]:
    if seen.problem.cause is CauseId.INVALID_IMAGE_REFERENCE:
        return ScopeVerdict.IMAGE_WIDE, ["the reference itself is wrong, whichever node reads it"]
    if not failing:
        return ScopeVerdict.UNKNOWN, ["no node fails any more"]
    if not seen.healthy:
        return _nobody_passes(seen, failing)
    return _some_pass(seen, failing)


def _nobody_passes(seen: Comparison, failing: int) -> tuple[ScopeVerdict, list[str]]:
    if seen.problem.kind is SubjectKind.NODE:
        if failing == 1:
            return ScopeVerdict.NODE_SPECIFIC, ["no other node is known"]
        return ScopeVerdict.GROUP_SPECIFIC, [f"all {failing} nodes have it"]
    asked = len(seen.fails_too) + len(seen.unknown)
    # One node in three must have answered: a few silent ones must not turn the first answer into a rule.
    answered = bool(seen.fails_too) and 3 * len(seen.fails_too) >= asked
    rest = seen.others.number + len(seen.unknown)
    everywhere = failing >= 2 and rest * _ALL_BUT <= failing  # noqa: PLR2004 - one alone is no "all"
    if not answered and not everywhere:
        return ScopeVerdict.UNKNOWN, _why_unknown(seen)
    if seen.problem.kind is SubjectKind.REGISTRY and not seen.elsewhere:
        return ScopeVerdict.REGISTRY_WIDE, []
    if seen.problem.kind is SubjectKind.REGISTRY:
        nodes = "1 node" if seen.elsewhere == 1 else f"{seen.elsewhere} nodes"
        return ScopeVerdict.IMAGE_WIDE, [f"other images of {seen.registry} could be pulled meanwhile, on {nodes}"]
    return ScopeVerdict.IMAGE_WIDE, []


def _some_pass(seen: Comparison, failing: int) -> tuple[ScopeVerdict, list[str]]:
    sample = [*seen.fails_too, *seen.failing][:SAMPLE]
    every = -(-len(seen.healthy) // SAMPLE)
    totals = failing, len(seen.healthy)
    found = differences(
        sample, seen.healthy[::every], lambda name: relevance(name, seen.problem.cause, seen.registry), totals
    )
    told = [each.text + _others_too(_have_it(each, seen.others)) for each in found]
    shared = any(each.separation is not Separation.PARTIAL for each in found)
    if failing > 1 and shared:
        return ScopeVerdict.GROUP_SPECIFIC, told
    told = told or [f"nothing known of the nodes tells the {_failing(failing)} from the healthy"]
    if _are_few(seen, failing):
        return ScopeVerdict.NODE_SPECIFIC, told
    return ScopeVerdict.UNKNOWN, [f"{failing} nodes fail and {len(seen.healthy)} do not", *told]


def _are_few(seen: Comparison, failing: int) -> bool:
    total = failing + len(seen.healthy) + len(seen.unknown) + seen.others.number
    # Those that were asked are a sample of the fleet: where a third of it fails, the fleet has more than a few such nodes.
    rare = 2 * len(seen.fails_too) <= len(seen.healthy)
    return rare and failing <= max(FEW, total // _FEW_OF)


def _why_unknown(seen: Comparison) -> list[str]:
    if seen.not_asked:
        return [seen.not_asked]
    if not seen.unknown:
        return ["no other node could be asked"]
    reasons = Counter(seen.unknown)
    first = sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:_REASONS]
    told = "; ".join(f"{reason} ({reasons[reason]})" if reasons[reason] > 1 else reason for reason in first)
    number = len(seen.unknown)
    return [f"{number} node{'' if number == 1 else 's'} asked, without a clear answer: {told}"]


def _have_it(found: Difference, others: Others) -> int:
    """Count, of what exactly the failing nodes share, how many nodes that were not compared have it: they would fail as well."""
    return others.have((found.name, found.value)) if found.separation is Separation.EXACT else 0


def _others_too(number: int) -> str:
    return (
        f"; {number} more node{'' if number == 1 else 's'} not asked {'has' if number == 1 else 'have'} it too"
        if number
        else ""
    )


def _failing(number: int) -> str:
    return "failing node" if number == 1 else f"{number} failing nodes"
