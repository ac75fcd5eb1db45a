"""Weigh what was told against what was seen: which cause stands, and how well it is supported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.catalogue.causes import ACCESS, CATALOGUE, same_fault
from pullwhy.diagnose.rules.access import provider_failure, provider_verdict, verification_denied
from pullwhy.diagnose.rules.fleet import of_the_fleet
from pullwhy.diagnose.rules.identity import (
    asks_without_rights,
    credentials_sent,
    depth,
    identity_unsettled,
    reaches_less_far,
)
from pullwhy.diagnose.rules.local import (
    config_decides,
    config_told,
    invalid_reference,
    kubelet_limiter,
    never_pull,
    runtime_down,
    signature_rejected,
    space_lacks,
    storage_fails,
    store_damaged,
)
from pullwhy.diagnose.rules.reading import ORDER, Reading
from pullwhy.diagnose.rules.trust import trust_not_loaded
from pullwhy.diagnose.rules.verdict import Verdict
from pullwhy.frozen import frozen
from pullwhy.model import Answer, CauseId, Confidence, Factor, Hypothesis, Reason, Stage, Via

_STORAGE = frozenset({CauseId.DISK_FULL, CauseId.READ_ONLY_FILESYSTEM})


@frozen
class Decision:
    """The cause that stands, with its support and what must be said about it."""

    verdict: Verdict
    confidence: Confidence
    notes: tuple[str, ...] = ()
    factors: tuple[Factor, ...] = ()


def newest_text(case: Case) -> Hypothesis | None:
    """Return what the newest text says: the runtime's own answer when asked, unless it asked with fewer rights."""
    told = _told(case)
    again = case.reproduction_hypothesis
    failed = case.reproduction is not None and case.reproduction.outcome == "Failed"
    if again is None or not failed or again.cause is CauseId.UNDETERMINED:
        return _of_those_sent(case, told)
    fewer_rights = again.cause in ACCESS and _asked_with_fewer_rights(case)
    return _of_those_sent(case, told if fewer_rights else again)


def _of_those_sent(case: Case, told: Hypothesis | None) -> Hypothesis | None:
    """Where credentials were sent, take a refusal that names no reason (a bare 401) for one of them."""
    if told is None or told.cause is not CauseId.CREDENTIALS_MISSING or credentials_sent(case) is not True:
        return told
    if CauseId.CREDENTIALS_REJECTED not in told.alternatives:
        return told
    others = tuple(each for each in told.alternatives if each is not CauseId.CREDENTIALS_REJECTED)
    return replace(told, cause=CauseId.CREDENTIALS_REJECTED, alternatives=others)


def _told(case: Case) -> Hypothesis | None:
    told = case.hypothesis
    hangs = case.failure is not None and case.failure.reason is Reason.PULL_HANGS
    if hangs and (told is None or told.cause is CauseId.UNDETERMINED):
        return Hypothesis(CauseId.PULL_STALLED, Stage.BLOB, Answer.MAYBE, alternatives=_SILENCES)
    return told


_SILENCES = (
    CauseId.CONNECTION_TIMED_OUT,
    CauseId.TLS_HANDSHAKE_TIMED_OUT,
    CauseId.DNS_SERVER_FAILURE,
    CauseId.PROXY_FAILED,
)
"""What a pull that hangs without a word may be waiting for."""


def _asked_with_fewer_rights(case: Case) -> bool:
    """Whether the kubelet sent credentials and the reproduction none; the kubelet's own retry sends the same again."""
    own_retry = case.reproduction is not None and not case.reproduction.code
    return credentials_sent(case) is True and not own_retry


def reproduced(case: Case, cause: CauseId) -> bool:
    """Whether the runtime itself, asked again, failed in the way of `cause`."""
    again = case.reproduction_hypothesis
    failed = case.reproduction is not None and case.reproduction.outcome == "Failed"
    if again is None or not failed:
        return False
    if cause in ACCESS and _asked_with_fewer_rights(case):
        return False
    if cause is CauseId.CREDENTIALS_REJECTED and again.cause is not cause:
        return False  # that it is refused again does not tell wrong credentials from those that lack the right
    return same_fault(cause, again.cause, again.alternatives)


def decide(case: Case, reading: Reading) -> Decision:
    """Return the first decision of STEPS that the facts allow; where they allow none, that nothing is determined."""
    told = newest_text(case)
    for step in STEPS:
        decision = step(case, told, reading)
        if decision is not None:
            return decision
    return _undetermined(case, reading)


def _succeeded_since(case: Case, told: Hypothesis | None, _reading: Reading) -> Decision | None:
    """Let a later success of the runtime itself outweigh everything."""
    pulled = case.reproduction is not None and case.reproduction.outcome == "Succeeded"
    if not pulled and not case.later_success:
        return None
    if told is not None and told.cause is CauseId.CREDENTIALS_REJECTED and pulled and not case.later_success:
        note = "the runtime pulled without credentials what it was refused with those that the kubelet sent"
        shadow = (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE,)
        return Decision(_as_told(told), Confidence.PROVED, (note,), shadow)
    if case.failure is None and not case.later_success:
        return None
    stage = told.stage if told is not None else Stage.RUNTIME
    note = "asked over CRI, the runtime pulled the image: it is on this node now" if pulled else ""
    hint = f" (it last failed at {case.failure.when:%Y-%m-%d %H:%M:%S} UTC)" if case.failure is not None else ""
    verdict = Verdict(CauseId.TRANSIENT, stage, arguments={"last_hint": hint})
    return Decision(verdict, Confidence.PROVED, (note,) if note else ())


def _local_fact(case: Case, _told: Hypothesis | None, _reading: Reading) -> Decision | None:
    """Take what is true on this node, whoever else is asked."""
    rules = (
        invalid_reference,
        never_pull,
        kubelet_limiter,
        signature_rejected,
        runtime_down,
        config_decides,
        store_damaged,
        verification_denied,
    )
    for rule in rules:
        found = rule(case)
        if found is not None:
            confidence = Confidence.LIKELY if found.doubt else Confidence.PROVED
            return Decision(found, confidence, (found.doubt,) if found.doubt else ())
    return None


def _provider_failed(case: Case, told: Hypothesis | None, reading: Reading) -> Decision | None:
    """Take the kubelet's word that its exec provider failed for this image, where the pull was then refused."""
    hint = provider_failure(case)
    if hint is None:
        return None
    seen = reading.verdict
    silent = told is None or told.cause is CauseId.UNDETERMINED
    refused = seen is not None and seen.cause in _REFUSED
    if not (refused if silent or told is None else told.cause in _REFUSED):
        return None
    verdict = provider_verdict(hint)
    if not refused or seen is None:
        confidence = Confidence.PROVED if told is not None and reproduced(case, told.cause) else Confidence.LIKELY
        return Decision(verdict, confidence)
    return Decision(replace(verdict, result=seen.result), Confidence.PROVED)


_REFUSED = ACCESS - {CauseId.SOURCE_DENIED}


def _storage(case: Case, told: Hypothesis | None, reading: Reading) -> Decision | None:
    """Take a full or read-only filesystem, where the text says so or nothing before it failed."""
    short = told is not None and told.cause is CauseId.DISK_FULL
    found = storage_fails(case) or (space_lacks(case) if short else None)
    if found is None:
        return None
    says_so = told is not None and same_fault(found.cause, told.cause, told.alternatives)
    if says_so or (reading.verdict is None and (told is None or told.cause in {CauseId.UNDETERMINED, *_STORAGE})):
        return Decision(found, Confidence.PROVED)
    return None


def _trust_not_loaded(case: Case, told: Hypothesis | None, _reading: Reading) -> Decision | None:
    """Take what the runtime cannot know yet for the difference between it and a walk that trusts the same certificate."""
    found = trust_not_loaded(case, told)
    if found is None:
        return None
    note = "with the store as it is now the handshake passes; the runtime goes on with what it loaded at its first handshake"
    return Decision(found, Confidence.PROVED, (note,))


def _walk_agrees(case: Case, told: Hypothesis | None, reading: Reading) -> Decision | None:
    """Take the walk's failure where the text tells the same, or there is no text to contradict it."""
    seen = reading.verdict
    if seen is None or reaches_less_far(case, seen, told):
        return None
    silent = told is None or told.cause is CauseId.UNDETERMINED
    if told is not None and not silent and not any(_agrees(found, told) for found in (seen, *reading.all_failures)):
        return None
    if told is not None and not silent and reading.symptom is None and not _agrees(seen, told):
        note = f"the runtime reports another host's answer ({told.cause.value}); both were seen"
        return Decision(seen, Confidence.PROVED, (note,))
    if seen.doubt and not reproduced(case, seen.cause):
        return Decision(seen, Confidence.LIKELY, (seen.doubt,))
    if identity_unsettled(case, seen, silent=silent):
        return Decision(seen, Confidence.LIKELY, ("whether the pod brings credentials of its own is not known here",))
    if silent and case.node.unseen and not _of_a_file(seen) and not reproduced(case, seen.cause):
        return Decision(seen, Confidence.LIKELY, (f"{case.node.unseen}: its defaults are assumed",))
    return Decision(seen, Confidence.PROVED)


def _of_a_file(seen: Verdict) -> bool:
    return seen.result is not None and seen.result.config is not None


def _agrees(seen: Verdict, told: Hypothesis) -> bool:
    return same_fault(seen.cause, told.cause, told.alternatives)


def _walk_disagrees(case: Case, told: Hypothesis | None, reading: Reading) -> Decision | None:
    """Let who got further decide, where the walk failed in another way than the text tells."""
    seen = reading.verdict
    if seen is None:
        return None
    if told is None or told.cause is CauseId.UNDETERMINED:
        note = "the kubelet may hold credentials that the walk may not use"
        return Decision(seen, Confidence.LIKELY, (note,))
    # Who asks without rights is refused whatever else fails: that speaks for no other cause than those of access.
    less = reaches_less_far(case, seen, told) or (asks_without_rights(seen) and told.cause not in ACCESS)
    if less or depth(told) > ORDER[seen.stage]:
        if less:
            note = f"the walk has fewer rights than the kubelet and was refused ({seen.cause.value}); that says nothing here"
        else:
            note = f"the text tells of {told.cause.value}, but the walk failed earlier on the way ({_shown(seen)})"
        confidence = Confidence.PROVED if reproduced(case, told.cause) else Confidence.LIKELY
        return Decision(_as_told(told), confidence, (note,))
    note = f"the text tells of {told.cause.value}, but the walk now fails in another way, no earlier ({_shown(seen)})"
    return Decision(seen, Confidence.LIKELY, (note,))


def _shown(seen: Verdict) -> str:
    return f"{seen.cause.value} at {seen.stage.value}"


def _adopted(case: Case, told: Hypothesis | None, _reading: Reading) -> Decision | None:
    """Take what another node proved, until this one has walked."""
    found = of_the_fleet(case, told)
    return Decision(found, Confidence.LIKELY, (f"this node has not walked yet: {case.not_walked}",)) if found else None


def _text_stands(case: Case, told: Hypothesis | None, reading: Reading) -> Decision | None:
    """Take the text alone, where the walk is missing or cannot see that far."""
    if told is None or told.cause is CauseId.UNDETERMINED:
        return None
    if reading.passed and not _beyond(case, told, reading):
        return None
    unread = config_told(case, told.cause)
    if unread is not None:
        return Decision(unread, Confidence.LIKELY, (f"the text tells of {told.cause.value}, which this explains",))
    verdict = _as_told(told)
    if told.cause is CauseId.LOCAL_STORE_CORRUPT and Stage.BLOB in reading.looked:
        return Decision(verdict, Confidence.PROVED, ("the registry's own content was read without a fault",))
    shadowed = _of_other_rights(case, told) and reading.passed
    factors = (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE,) if shadowed else ()
    if reproduced(case, told.cause):
        return Decision(verdict, Confidence.PROVED, factors=factors)
    hangs = case.failure is not None and case.failure.reason is Reason.PULL_HANGS
    flows = told.cause is CauseId.PULL_STALLED and (hangs or Stage.BLOB in reading.looked)
    factors = (*factors, Factor.RUNTIME_DIFFERS) if flows and reading.passed else factors
    note = "this rests on the text alone" + (f": {reading.missing}" if reading.missing else "")
    return Decision(verdict, Confidence.LIKELY, (note,), factors)


def _beyond(case: Case, told: Hypothesis, reading: Reading) -> bool:
    """Whether a walk that passed could not have seen what the text tells."""
    if CATALOGUE[told.cause].beyond_walk or _of_other_rights(case, told):
        return True
    if told.cause is CauseId.CONNECTION_RESET and depth(told) >= ORDER[Stage.BLOB]:
        return True
    needed = next(stage for stage, place in ORDER.items() if place == depth(told))
    return needed not in reading.looked


def _of_other_rights(case: Case, told: Hypothesis) -> bool:
    """Whether the text tells of a refusal of credentials that the walk does not have."""
    rejected = told.cause is CauseId.CREDENTIALS_REJECTED
    return rejected or (told.cause is CauseId.ACCESS_DENIED_OR_NOT_FOUND and credentials_sent(case) is True)


def _as_told(told: Hypothesis) -> Verdict:
    """Return the text's cause; a token service that refuses the asker gives the registry's own answer, as in a walk."""
    own_answer = told.cause in ACCESS and told.via is Via.TOKEN_HOST
    mirror_fault = told.alternatives[0] if told.cause is CauseId.MIRROR_FAILED and told.alternatives else None
    arguments = {"mirror_fault": mirror_fault.value} if mirror_fault else {}
    return Verdict(told.cause, told.stage, None if own_answer else told.via, arguments=arguments)


def _runtime_differs(case: Case, told: Hypothesis | None, reading: Reading) -> Decision | None:
    """Say so where the walk passes and the runtime goes on failing."""
    if not reading.passed or (case.failure is None and told is None):
        return None
    stage = told.stage if told is not None else Stage.RUNTIME
    missing = "the walk passes now, and the runtime is not yet seen to succeed"
    verdict = Verdict(CauseId.UNDETERMINED, stage, arguments={"missing": missing})
    note = f"the text tells of {told.cause.value}" if told is not None else "the text tells no cause"
    return Decision(verdict, Confidence.UNKNOWN, (note,), (Factor.RUNTIME_DIFFERS,))


def _undetermined(case: Case, reading: Reading) -> Decision:
    works = f"the registry side works from here; {case.node.unseen}" if case.node.unseen else "nothing fails now"
    missing = reading.missing or (works if reading.passed else "no text tells one")
    return Decision(Verdict(CauseId.UNDETERMINED, Stage.RUNTIME, arguments={"missing": missing}), Confidence.UNKNOWN)


Step = Callable[[Case, Hypothesis | None, Reading], Decision | None]

STEPS: tuple[Step, ...] = (
    _succeeded_since,
    _local_fact,
    _provider_failed,
    _storage,
    _trust_not_loaded,
    _walk_agrees,
    _walk_disagrees,
    _adopted,
    _text_stands,
    _runtime_differs,
)
