"""Contributing circumstances: true beside the cause, and worth knowing when mending it."""

from __future__ import annotations

from collections.abc import Callable

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.reading import ORDER, Reading
from pullwhy.diagnose.rules_access import policy_defaults_to_always
from pullwhy.diagnose.verdict import Verdict
from pullwhy.model import CauseId, Factor, Outcome, Reason, Stage
from pullwhy.trace import ConnectResult, DNSFacts, DNSResult, StageResult

MAX_SKEW_SECONDS = 60.0
"""A clock that is further off is named; certificates and signed URLs tolerate no more than minutes."""

_NEARLY_FULL = 0.05
"""Free share of bytes or inodes; the kubelet collects images from 85 % used on."""

_PULLING = frozenset({Reason.ERR_IMAGE_PULL, Reason.IMAGE_PULL_BACK_OFF, Reason.REGISTRY_UNAVAILABLE})
_REGISTRY_SIDE = frozenset(range(ORDER[Stage.PROXY], ORDER[Stage.BLOB] + 1))

_REF_LOCKED = " locked: unavailable"
"""containerd: another pull holds the ingest of the same content."""


def _results(case: Case) -> tuple[StageResult, ...]:
    return case.trace.results if case.trace is not None else ()


def _defaulted_latest(case: Case, found: Verdict, _reading: Reading) -> bool:
    defaulted = case.image is not None and "tag" in case.image.defaulted
    return defaulted and found.cause is CauseId.TAG_NOT_FOUND


def _always_though_present(case: Case, found: Verdict, _reading: Reading) -> bool:
    pulling = case.failure is not None and case.failure.reason in _PULLING
    verified = case.pull_record is not None and case.pull_record.verifies and not policy_defaults_to_always(case)
    return pulling and case.image_present is True and not verified and ORDER[found.stage] in _REGISTRY_SIDE


def _no_credentials_sent(case: Case, _found: Verdict, _reading: Reading) -> bool:
    message = case.failure.message if case.failure is not None else ""
    return "fetch anonymous token" in message or "no basic auth credentials" in message


def _shadowed(_case: Case, found: Verdict, _reading: Reading) -> bool:
    return found.cause is CauseId.CREDENTIALS_REJECTED and found.arguments.get("public") == "yes"


def _dns(case: Case) -> list[DNSFacts]:
    return [result.dns for result in _results(case) if result.dns is not None]


def _search_domain(case: Case, _found: Verdict, _reading: Reading) -> bool:
    return any(facts.search_domain and facts.addresses for facts in _dns(case))


def _nameservers_disagree(case: Case, _found: Verdict, _reading: Reading) -> bool:
    return any(disagree(facts) for facts in _dns(case))


def disagree(facts: DNSFacts) -> bool:
    """Whether some nameserver answers a name that another does not."""
    told: dict[str, set[bool]] = {}
    for answer in facts.answers:
        told.setdefault(answer.name, set()).add(answer.result is DNSResult.ANSWERED)
    return any(len(kinds) > 1 for kinds in told.values())


def _ipv6_no_route(case: Case, _found: Verdict, _reading: Reading) -> bool:
    attempts = [attempt for result in _results(case) for attempt in result.connect]
    return any(":" in a.address and a.result is ConnectResult.UNREACHABLE for a in attempts)


def _clock_skew(case: Case, _found: Verdict, _reading: Reading) -> bool:
    skew = case.trace.clock_skew_seconds if case.trace is not None else None
    return skew is not None and abs(skew) > MAX_SKEW_SECONDS


def _disk_nearly_full(case: Case, found: Verdict, _reading: Reading) -> bool:
    return found.cause is not CauseId.DISK_FULL and any(nearly_full(result) for result in _results(case))


def nearly_full(result: StageResult) -> bool:
    """Whether a filesystem of the runtime has next to nothing left."""
    facts = result.storage
    if facts is None or facts.read_only:
        return False
    bytes_low = facts.total_bytes > 0 and facts.free_bytes < _NEARLY_FULL * facts.total_bytes
    inodes_low = facts.total_inodes > 0 and facts.free_inodes < _NEARLY_FULL * facts.total_inodes
    return bytes_low or inodes_low or result.outcome is Outcome.FAILED


def _mirror_skipped(_case: Case, _found: Verdict, reading: Reading) -> bool:
    return bool(reading.skipped_mirrors)


def _ref_locked(case: Case, _found: Verdict, _reading: Reading) -> bool:
    return case.failure is not None and _REF_LOCKED in case.failure.message


TESTS: tuple[tuple[Factor, Callable[[Case, Verdict, Reading], bool]], ...] = (
    (Factor.DEFAULTED_LATEST_TAG, _defaulted_latest),
    (Factor.POLICY_ALWAYS_IMAGE_PRESENT, _always_though_present),
    (Factor.NO_CREDENTIALS_SENT, _no_credentials_sent),
    (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE, _shadowed),
    (Factor.SEARCH_DOMAIN_ANSWERED, _search_domain),
    (Factor.NAMESERVERS_DISAGREE, _nameservers_disagree),
    (Factor.IPV6_NO_ROUTE, _ipv6_no_route),
    (Factor.CLOCK_SKEW, _clock_skew),
    (Factor.DISK_NEARLY_FULL, _disk_nearly_full),
    (Factor.MIRROR_SKIPPED, _mirror_skipped),
    (Factor.REF_LOCKED, _ref_locked),
)


def factors(case: Case, found: Verdict, reading: Reading, decided: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """Return the circumstances that hold, those that the decision itself brought first."""
    held = [factor for factor, test in TESTS if factor not in decided and test(case, found, reading)]
    return (*decided, *held)
