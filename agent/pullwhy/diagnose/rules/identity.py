"""As whom the kubelet asked, and whether the walk's identity reaches as far."""

from __future__ import annotations

from dataclasses import replace

from pullwhy.access import API_SOURCE
from pullwhy.diagnose.case import Case
from pullwhy.diagnose.catalogue.causes import ACCESS
from pullwhy.diagnose.rules.reading import ORDER
from pullwhy.diagnose.rules.registry import HTTP_UNAUTHORIZED
from pullwhy.diagnose.rules.verdict import STRONG, Verdict, status
from pullwhy.model import CauseId, Evidence, Hypothesis, Outcome, Reason, Stage, Via
from pullwhy.trace import Identity, StageResult

_SENT = ("fetch oauth token", "invalid username/password", "authorization token has expired")
_NOT_SENT = ("fetch anonymous token", "no basic auth credentials")
"""containerd 1.6 to 2.3, core/remotes/docker/auth: which of the two token requests was made tells whether credentials came."""


def credentials_sent(case: Case) -> bool | None:
    """Whether the kubelet sent credentials with the pull; None where nothing tells."""
    if is_sandbox(case):
        return False  # the runtime pulls it for itself; the kubelet has no part in it
    message = case.failure.message if case.failure is not None else ""
    # The runtime's word on its request comes first: it may hold credentials of its own, or have no use for the kubelet's.
    if any(text in message for text in _SENT):
        return True
    if any(text in message for text in _NOT_SENT):
        return False
    if case.failure is not None and case.failure.credentials_sent is not None:
        return case.failure.credentials_sent
    rejected = case.hypothesis is not None and case.hypothesis.cause is CauseId.CREDENTIALS_REJECTED
    return True if rejected else None


def as_the_kubelet_asked(case: Case) -> Case:
    """Return the case without what a pull secret showed, where the kubelet's own pull seems to have gone without it.

    Whether the pod names the Secret is not known. A pull that was refused although the Secret opens the image was made without it, or
    before it was mended: that the walk gets in with it does not make the refusal good.
    """
    if case.trace is None or not _unsent(case, _by_pull_secret(case)):
        return case
    results = tuple(each for each in case.trace.results if each.identity is not Identity.POD)
    return replace(case, trace=replace(case.trace, results=results))


def opened_by_pull_secret(case: Case) -> tuple[Evidence, ...]:
    """Return as evidence that a pull secret opens an image that was refused to the kubelet."""
    tried = _by_pull_secret(case)
    if not _passes(tried) or case.hypothesis is None or case.hypothesis.cause not in ACCESS:
        return ()
    names = dict.fromkeys(
        each.auth.credentials_source for each in tried if each.auth and each.outcome is Outcome.PASSED
    )
    why = "the pod does not name it among its imagePullSecrets, or it was mended since"
    return tuple(Evidence(Stage.AUTH, f"{name} opens this image to the walk: {why}", API_SOURCE) for name in names)


def _by_pull_secret(case: Case) -> tuple[StageResult, ...]:
    results = case.trace.results if case.trace is not None else ()
    return tuple(each for each in results if each.identity is Identity.POD)


def _passes(tried: tuple[StageResult, ...]) -> bool:
    return any(each.stage is Stage.MANIFEST and each.outcome is Outcome.PASSED for each in tried)


def _unsent(case: Case, tried: tuple[StageResult, ...]) -> bool:
    sent = credentials_sent(case)
    refused = case.hypothesis is not None and case.hypothesis.cause in ACCESS
    return sent is False or (sent is None and refused and _passes(tried))


def is_sandbox(case: Case) -> bool:
    """Whether it is the sandbox image that fails."""
    by_reason = case.failure is not None and case.failure.reason is Reason.CREATE_POD_SANDBOX_ERROR
    by_text = case.hypothesis is not None and (
        case.hypothesis.via is Via.SANDBOX_IMAGE or case.hypothesis.cause is CauseId.SANDBOX_IMAGE_UNAVAILABLE
    )
    return by_reason or by_text


def depth(hypothesis: Hypothesis) -> int:
    """Return how far along the pull path the kubelet's pull got, by the failed request's place on the way."""
    if hypothesis.via is Via.BLOB_HOST:
        return ORDER[Stage.BLOB]
    if hypothesis.via is Via.TOKEN_HOST:
        return ORDER[Stage.AUTH]
    return ORDER[hypothesis.stage]


def got_further(told: Hypothesis) -> bool:
    """Whether the kubelet's pull passed the registry's question of who asks."""
    return told.cause not in ACCESS and depth(told) >= ORDER[Stage.MANIFEST]


def reaches_less_far(case: Case, seen: Verdict, told: Hypothesis | None) -> bool:
    """Whether a refusal that the walk met says nothing about the kubelet, who had more rights or passed it."""
    if seen.cause not in ACCESS or seen.cause is CauseId.SOURCE_DENIED:
        return False
    if told is not None and told.cause is not CauseId.UNDETERMINED and got_further(told):
        return True
    if not _anonymous(seen):
        return False
    sent = credentials_sent(case)
    if sent is None and case.failure is not None and "403 Forbidden" in case.failure.message:
        return seen.result is not None and status(seen.result) == HTTP_UNAUTHORIZED
    return sent is True


def asks_without_rights(seen: Verdict) -> bool:
    """Whether the walk was refused as nobody: what everybody without credentials is told."""
    return seen.cause in ACCESS and seen.cause is not CauseId.SOURCE_DENIED and _anonymous(seen)


def _anonymous(seen: Verdict) -> bool:
    return seen.result is None or seen.result.identity not in STRONG


def identity_unsettled(case: Case, seen: Verdict, *, silent: bool) -> bool:
    """Whether `seen` holds only if the kubelet sent no credentials, which nothing tells.

    `silent`: no text tells at which question the kubelet's pull ended.
    """
    if not asks_without_rights(seen):
        return False
    return credentials_sent(case) is None and (silent or seen.cause is CauseId.CREDENTIALS_MISSING)
