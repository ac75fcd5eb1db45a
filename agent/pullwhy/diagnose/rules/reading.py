"""Read a trace as the runtime would live it: endpoint by endpoint, each with its decisive failure, then the outcome of all."""

from __future__ import annotations

from collections.abc import Sequence

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.rules.limits import limit_arguments, remaining_of
from pullwhy.diagnose.rules.local import config_explains, config_told, policy_rejects
from pullwhy.diagnose.rules.registry import (
    access_refused,
    blob_fails,
    not_a_registry,
    not_found,
    odd_answer,
    platform_absent,
    policy_blocks,
    rate_limited,
    server_error,
    source_denied,
    unusable_manifest,
)
from pullwhy.diagnose.rules.transport import (
    answer_cut,
    answer_never_came,
    handshake_fails,
    name_not_resolved,
    not_connected,
    proxy_fails,
    scheme_reversed,
)
from pullwhy.diagnose.rules.verdict import STRONG, Results, Rule, Verdict
from pullwhy.frozen import frozen
from pullwhy.model import CauseId, Outcome, Stage, Via
from pullwhy.trace import StageResult

RULES: tuple[Rule, ...] = (
    # in the order of the pull path; within a stage the narrow before the broad
    proxy_fails,
    name_not_resolved,
    not_connected,
    handshake_fails,
    scheme_reversed,
    answer_cut,
    answer_never_came,
    rate_limited,
    policy_blocks,
    source_denied,
    server_error,
    not_a_registry,
    access_refused,
    not_found,
    unusable_manifest,
    platform_absent,
    blob_fails,
    odd_answer,
)

ORDER: dict[Stage, int] = {stage: index for index, stage in enumerate(Stage)}
"""How far along the pull path a stage is."""

_ENDPOINT_STAGES = frozenset(
    {Stage.PROXY, Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.AUTH, Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB}
)


@frozen
class EndpointReading:
    """One host of the runtime's order: whether it serves the manifest, and its decisive failure."""

    results: Results
    is_mirror: bool
    serves: bool
    failure: Verdict | None
    failed: StageResult | None

    @property
    def depth(self) -> int:
        """How far the host got before it failed."""
        return ORDER[self.failed.stage] if self.failed is not None else len(ORDER)

    @property
    def blob_read(self) -> bool:
        """Whether content below the manifest came from here."""
        return any(r.stage is Stage.BLOB and r.outcome is Outcome.PASSED for r in self.results)


@frozen
class Reading:
    """What the walk as a whole says."""

    verdict: Verdict | None = None
    symptom: Verdict | None = None
    """What the verdict explains, where it is a cause behind a failure that was seen."""
    passed: bool = False
    """The pull would work, as far as the walk looked."""
    looked: frozenset[Stage] = frozenset()
    """Stages that passed at the serving host."""
    skipped_mirrors: tuple[Verdict, ...] = ()
    """Mirrors that failed beside the outcome."""
    all_failures: tuple[Verdict, ...] = ()
    missing: str = ""
    """Why the walk says nothing, where it does not."""


def read(case: Case) -> Reading:
    """Return the outcome of the walk in `case`."""
    if case.trace is None:
        return Reading(missing=case.not_walked or "no walk was made")
    endpoints = [_endpoint(case, results) for results in _by_endpoint(case.trace.results)]
    failures = tuple(e.failure for e in endpoints if e.failure is not None)
    serving = next((e for e in endpoints if e.serves), None)
    if serving is None:
        return _none_serves(case, endpoints, failures)
    skipped = tuple(e.failure for e in endpoints if e.is_mirror and e is not serving and e.failure is not None)
    later = serving.failure
    other = next((e for e in endpoints if e is not serving and e.blob_read and e.failure is None), None)
    if later is not None and other is not None and _goes_on(later):
        serving, later = other, None
        skipped = tuple(e.failure for e in endpoints if e.is_mirror and e.failure is not None)
    if later is not None:
        return _explained(case, Reading(later, skipped_mirrors=skipped, all_failures=failures))
    spent = _quota_spent(case, serving)
    if spent is not None:
        return Reading(spent, skipped_mirrors=skipped, all_failures=(spent, *failures))
    rejected = policy_rejects(case)
    if rejected is not None:
        return Reading(rejected, skipped_mirrors=skipped, all_failures=(rejected, *failures))
    looked = frozenset(r.stage for r in serving.results if r.outcome is Outcome.PASSED)
    missing = _unseen(case, serving.results)
    return Reading(passed=not missing, looked=looked, skipped_mirrors=skipped, all_failures=failures, missing=missing)


def _unseen(case: Case, results: Results) -> str:
    """Return what of a serving host's content the walk was kept from seeing, empty where it looked as far as it meant to."""
    for place, result in enumerate(results):
        later = any(r.stage in {Stage.MANIFEST, Stage.BLOB} and r.outcome is Outcome.PASSED for r in results[place:])
        stopped = result.outcome is Outcome.SKIPPED and result.stage in {Stage.CONNECT, Stage.PROXY}
        if result.outcome is Outcome.ERROR or (stopped and not later):
            return _why_blind(case)
    return "" if case.trace is None or case.trace.complete else "the walk ran out of time"


def _goes_on(failure: Verdict) -> bool:
    """Whether the runtime asks its next host for the content; what came and was wrong ends the pull."""
    fetching = failure.stage is Stage.BLOB or failure.via is Via.BLOB_HOST
    return fetching and failure.cause not in {CauseId.CONTENT_CORRUPT, CauseId.PULL_STALLED}


def _none_serves(case: Case, endpoints: Sequence[EndpointReading], failures: tuple[Verdict, ...]) -> Reading:
    failed = [e for e in endpoints if e.failure is not None]
    if not failed or endpoints[-1].failure is None:
        return Reading(all_failures=failures, missing=_why_blind(case))
    upstream = next((e for e in reversed(failed) if not e.is_mirror), None)
    if upstream is None:
        return _explained(case, Reading(failed[-1].failure, all_failures=failures))
    # A mirror that answered, and not with 404, got further than an upstream that it stands in for: the runtime reports
    # its answer (containerd 2.x), and on nodes without a way out it is the one that should have served.
    decisive = next((e for e in failed if e.is_mirror and e.depth > upstream.depth and not _ordinary_absence(e)), None)
    if decisive is None or decisive.failure is None:
        skipped = tuple(e.failure for e in failed if e.is_mirror and e.failure is not None and not _ordinary_absence(e))
        return _explained(case, Reading(upstream.failure, skipped_mirrors=skipped, all_failures=failures))
    fault = decisive.failure
    mirror = Verdict(
        CauseId.MIRROR_FAILED,
        Stage.CONFIG,
        Via.MIRROR,
        decisive.failed,
        arguments={**fault.arguments, "mirror_fault": fault.cause.value},
    )
    return _explained(case, Reading(mirror, symptom=fault, all_failures=failures))


def _ordinary_absence(endpoint: EndpointReading) -> bool:
    absent = {CauseId.TAG_NOT_FOUND, CauseId.DIGEST_NOT_FOUND, CauseId.REPOSITORY_NOT_FOUND}
    return endpoint.failure is not None and endpoint.failure.cause in absent


def _explained(case: Case, reading: Reading) -> Reading:
    if reading.verdict is None:
        return reading
    behind = config_explains(case, reading.verdict) or config_told(case, reading.verdict.cause)
    if behind is None:
        return reading
    return Reading(
        behind,
        symptom=reading.verdict,
        skipped_mirrors=reading.skipped_mirrors,
        all_failures=(behind, *reading.all_failures),
    )


def _quota_spent(case: Case, serving: EndpointReading) -> Verdict | None:
    """Read that nothing is left: the HEAD is free, the GET that follows is refused (Docker Hub)."""
    for result in serving.results:
        if remaining_of(result.http) == "0":
            arguments = {"answered": "has no pulls left for this node", **limit_arguments(result.http, case.now)}
            return Verdict(CauseId.RATE_LIMITED, Stage.MANIFEST, result.via, result, arguments=arguments)
    return None


def _why_blind(case: Case) -> str:
    results = case.trace.results if case.trace is not None else ()
    faults = [r for r in results if r.outcome is Outcome.ERROR]
    if faults:
        return f"the walk could not look ({faults[0].detail or faults[0].stage.value})"
    if case.trace is not None and not case.trace.complete:
        return "the walk ran out of time"
    # What is about an endpoint stopped the walk; the others are remarks about the node.
    skipped = sorted(
        (r for r in results if r.outcome is Outcome.SKIPPED and r.detail), key=lambda r: r.endpoint is None
    )
    return f"the walk did not look further ({skipped[0].detail})" if skipped else "the walk saw no answer"


def _by_endpoint(results: Results) -> list[Results]:
    indexes = sorted({r.endpoint for r in results if r.endpoint is not None})
    if not indexes:
        alone = tuple(r for r in results if r.stage in _ENDPOINT_STAGES)
        return [alone] if alone else []
    grouped = [tuple(r for r in results if r.endpoint == index) for index in indexes]
    return [own for own in grouped if not _passed_over(own)]


def _passed_over(own: Results) -> bool:
    """Whether the runtime itself does not ask this host (its capabilities), which the walk tells in one line."""
    return len(own) == 1 and own[0].stage is Stage.MANIFEST and own[0].outcome is Outcome.SKIPPED


def _endpoint(case: Case, results: Results) -> EndpointReading:
    serves = any(r.stage is Stage.MANIFEST and r.outcome is Outcome.PASSED for r in results)
    failed = _decisive(results)
    found = _judge_result(case, failed, results) if failed is not None else None
    is_mirror = any(r.via is Via.MIRROR for r in results)
    return EndpointReading(results, is_mirror, serves, found, failed if found is not None else None)


def _judge_result(case: Case, failed: StageResult, results: Results) -> Verdict | None:
    return next((found for rule in RULES if (found := rule(case, failed, results)) is not None), None)


def _decisive(results: Results) -> StageResult | None:
    """Return the failure that nothing later made good; what a stronger identity was told outweighs the anonymous answer."""
    failed = [r for i, r in enumerate(results) if r.outcome is Outcome.FAILED and not _made_good(r, results[i + 1 :])]
    credentialed = [r for r in failed if r.identity in STRONG]
    return next(iter([*credentialed, *failed]), None)


def _made_good(failed: StageResult, later: Results) -> bool:
    if failed.stage not in _ENDPOINT_STAGES:
        return True
    if failed.stage in {Stage.BLOB, Stage.PLATFORM}:
        return any(r.outcome is Outcome.PASSED and r.stage is failed.stage and r.target == failed.target for r in later)
    return any(
        r.outcome is Outcome.PASSED
        and ORDER[r.stage] >= ORDER[failed.stage]
        and (r.via is failed.via or r.stage in {Stage.MANIFEST, Stage.BLOB})
        for r in later
    )
