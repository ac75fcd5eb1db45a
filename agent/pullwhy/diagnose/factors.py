"""Contributing circumstances: true beside the cause, and worth knowing when mending it."""

from __future__ import annotations

import re
from collections.abc import Callable

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.rules.access import policy_defaults_to_always
from pullwhy.diagnose.rules.reading import ORDER, Reading
from pullwhy.diagnose.rules.verdict import Verdict, host_of
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

_ABSENCES = frozenset({CauseId.TAG_NOT_FOUND, CauseId.DIGEST_NOT_FOUND, CauseId.REPOSITORY_NOT_FOUND})
_DROPPED = frozenset(
    {
        CauseId.CONNECTION_TIMED_OUT,
        CauseId.NETWORK_UNREACHABLE,
        CauseId.DNS_SERVER_FAILURE,
        CauseId.TLS_HANDSHAKE_TIMED_OUT,
        CauseId.PULL_STALLED,
        CauseId.PROXY_FAILED,
    }
)
"""What a full table looks like: packets vanish, or sending them is forbidden (EPERM)."""
_NO_PORT = "cannot assign requested address"
_NO_PORT_TEXT = re.compile(rf"dial tcp [0-9.]{{7,15}}:\d{{1,5}}: connect: {_NO_PORT}")
"""Go's word for it (net: OpError) with an IPv4 address."""


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
    for answer in (one for one in facts.answers if not one.upstream):
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


def _mirror_skipped(case: Case, found: Verdict, reading: Reading) -> bool:
    """Whether a mirror failed beside what decided, in the walk or in the runtime's own log; that it lacks the image is no failure."""
    if found.cause is CauseId.MIRROR_FAILED:
        return False
    decided = host_of(found.result) if found.result is not None else ""
    told = (each for each in case.remarks if each.is_mirror and each.host not in {"", decided})
    return bool(reading.skipped_mirrors) or any(each.cause not in _ABSENCES for each in told)


def _ref_locked(case: Case, _found: Verdict, _reading: Reading) -> bool:
    return any(_REF_LOCKED in text for text in _texts(case))


def _serial_pulls_blocked(case: Case, found: Verdict, _reading: Reading) -> bool:
    """Whether other pods wait behind a pull that hangs: the kubelet pulls one by one, and the runtime began no other pull since."""
    hangs = case.failure is not None and case.failure.reason is Reason.PULL_HANGS
    serial = case.node.serial_pulls is not False and not case.queue.moves
    return hangs and serial and found.cause is not CauseId.TRANSIENT and len(case.queue.pods) > 1  # its own is one


def _conntrack_full(case: Case, found: Verdict, _reading: Reading) -> bool:
    return found.cause in _DROPPED and full(case.node.conntrack)


def full(table: tuple[int, int] | None) -> bool:
    """Whether a connection tracking table has no room for another connection."""
    return table is not None and table[0] >= table[1]


def _ports_exhausted(case: Case, _found: Verdict, _reading: Reading) -> bool:
    """Whether connect(2) found no local port (EADDRNOTAVAIL); of IPv6 the same may mean that there is no address at all."""
    attempts = [attempt for result in _results(case) for attempt in result.connect]
    seen = any(":" not in each.address and _NO_PORT in each.detail.lower() for each in attempts)
    return seen or any(_NO_PORT_TEXT.search(text) for text in _texts(case))


def _texts(case: Case) -> list[str]:
    texts = [remark.text for remark in case.remarks]
    if case.failure is not None:
        texts.append(case.failure.message)
    if case.reproduction is not None:
        texts.append(case.reproduction.message)
    return texts


def _journal_suppressed(case: Case, found: Verdict, _reading: Reading) -> bool:
    return case.lines_lost and found.cause is CauseId.UNDETERMINED


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
    (Factor.SERIAL_PULLS_BLOCKED, _serial_pulls_blocked),
    (Factor.REF_LOCKED, _ref_locked),
    (Factor.CONNTRACK_FULL, _conntrack_full),
    (Factor.PORTS_EXHAUSTED, _ports_exhausted),
    (Factor.JOURNAL_SUPPRESSED, _journal_suppressed),
)


def factors(case: Case, found: Verdict, reading: Reading, decided: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """Return the circumstances that hold, those that the decision itself brought first."""
    held = [factor for factor, test in TESTS if factor not in decided and test(case, found, reading)]
    return (*decided, *held)
