"""The judge: one root cause, its support, its evidence and one remedy, from what is known of an image on a node; pure."""

from __future__ import annotations

from dataclasses import replace

from pullwhy.diagnose.arguments import arguments, summarise
from pullwhy.diagnose.case import Case
from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.diagnose.evidence import evidence
from pullwhy.diagnose.factors import factors
from pullwhy.diagnose.registries import service_of
from pullwhy.diagnose.rules.identity import as_the_kubelet_asked, is_sandbox, opened_by_pull_secret
from pullwhy.diagnose.rules.reading import read
from pullwhy.diagnose.rules.verdict import Verdict
from pullwhy.diagnose.weigh import Decision, decide, newest_text
from pullwhy.model import Answer, CauseId, Diagnosis, Factor, RemedyRef, Retryable, Via

_PROVIDED = frozenset({CauseId.CREDENTIALS_MISSING, CauseId.CREDENTIALS_REJECTED})

_HINTS: dict[Factor, str] = {
    Factor.SERIAL_PULLS_BLOCKED: "; every other pull of this node waits behind it",
    Factor.CONNTRACK_FULL: "; this node's connection tracking table is full",
    Factor.PORTS_EXHAUSTED: "; this node has no local port left",
}
"""What changes the meaning of a summary."""


def judge(case: Case) -> Diagnosis:
    """Return the diagnosis of `case`; total and deterministic, it raises nothing."""
    opened = opened_by_pull_secret(case)
    case = as_the_kubelet_asked(case)
    reading = read(case)
    decision = decide(case, reading)
    found = _at_sandbox(case, decision.verdict)
    values = arguments(case, found, newest_text(case))
    cause = CATALOGUE[found.cause]
    held = factors(case, found, reading, decision.factors)
    return Diagnosis(
        cause=found.cause,
        stage=found.stage,
        confidence=decision.confidence,
        retryable=_retryable(case, found, values),
        summary=summarise(cause.summary, values) + "".join(_HINTS.get(factor, "") for factor in held),
        remedy=RemedyRef(_remedy(found, values), values | _factor_values(held)),
        via=found.via,
        evidence=(*evidence(case, found, reading, _notes(decision), held), *opened),
        factors=held,
    )


def passes(case: Case) -> bool:
    """Whether the walk of `case` shows that the pull would work, and nothing local says otherwise."""
    case = as_the_kubelet_asked(case)
    reading = read(case)
    return reading.passed and decide(case, reading).verdict.cause in {CauseId.UNDETERMINED, CauseId.TRANSIENT}


def _at_sandbox(case: Case, found: Verdict) -> Verdict:
    """Where the sandbox image fails, say so; without a cause of its own, that is the cause."""
    if not is_sandbox(case) or found.cause in {CauseId.RUNTIME_UNAVAILABLE, CauseId.TRANSIENT}:
        return found
    if found.cause in {CauseId.UNDETERMINED, CauseId.SANDBOX_IMAGE_UNAVAILABLE}:
        stage = CATALOGUE[CauseId.SANDBOX_IMAGE_UNAVAILABLE].stage
        return replace(found, cause=CauseId.SANDBOX_IMAGE_UNAVAILABLE, stage=stage, via=Via.SANDBOX_IMAGE)
    return replace(found, via=Via.SANDBOX_IMAGE)


def _retryable(case: Case, found: Verdict, values: dict[str, str]) -> Retryable:
    cause = CATALOGUE[found.cause]
    registry = case.image.registry if case.image is not None else values.get("registry", "")
    if found.cause in _PROVIDED and service_of(registry).provider:
        return Retryable(Answer.MAYBE, "the node's credential provider may bring fresh credentials at the next try")
    if found.cause is CauseId.RATE_LIMITED and values.get("until"):
        return Retryable(Answer.YES, f"the limit is lifted at {values['until']}")
    return Retryable(cause.retryable, cause.why)


def _remedy(found: Verdict, values: dict[str, str]) -> str:
    served = found.cause is CauseId.CREDENTIALS_MISSING and values.get("provider_serves")
    if served or (found.cause in _PROVIDED and values.get("provider")):
        return "mend-credential-provider"
    return CATALOGUE[found.cause].remedy


def _factor_values(held: tuple[Factor, ...]) -> dict[str, str]:
    return {"factors": ",".join(held)} if held else {}


def _notes(decision: Decision) -> tuple[str, ...]:
    return tuple(note for note in decision.notes if note)
