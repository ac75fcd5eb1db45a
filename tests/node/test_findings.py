from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pullwhy.model import (
    Answer,
    CauseId,
    Confidence,
    Diagnosis,
    Finding,
    PodRef,
    Reason,
    RemedyRef,
    Retryable,
    Stage,
    State,
)
from pullwhy.node.incidents.findings import UNCONFIRMED, Identity, Judged, Ledger
from pullwhy.node.incidents.incidents import Closed, Incident

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
IMAGE = "registry.example/shop/web:1"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def incident(pod: str = "web", topic: str = "tag", **changes: object) -> Incident:
    base = Incident(
        IMAGE, Reason.ERR_IMAGE_PULL, "not found", topic, START, START, PodRef("shop", pod, f"uid-{pod}"), "app",
        attempts=1, confirmed=True,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def judged(
    cause: CauseId = CauseId.TAG_NOT_FOUND, topic: str = "tag", confidence: Confidence = Confidence.LIKELY
) -> Judged:
    diagnosis = Diagnosis(
        cause, Stage.MANIFEST, confidence, Retryable(Answer.NO, "why"), "summary", RemedyRef("remedy")
    )
    return Judged(IMAGE, topic, "registry.example", diagnosis)


def ledger(*diagnoses: Judged) -> Ledger:
    made = Ledger(Identity("node-a", "east"))
    for each in diagnoses:
        made.judged(each)
    return made


def told(findings: list[Finding]) -> list[tuple[str, State, int]]:
    return [(each.diagnosis.cause.value, each.state, len(each.pods)) for each in findings]


def test_pods_with_one_image_and_cause_are_one_finding() -> None:
    (finding,) = ledger(judged()).changes([incident("a"), incident("b", last_seen=at(5), attempts=3)], at(5))
    assert [pod.name for pod in finding.pods] == ["a", "b"]
    assert (finding.count, finding.first_seen, finding.last_seen) == (4, START, at(5))
    assert (finding.node, finding.cluster, finding.kubelet.attempts) == ("node-a", "east", 3)


def test_an_image_that_no_line_told_is_shown_as_such() -> None:
    unnamed = replace(judged(), image="")
    (finding,) = ledger(unnamed).changes([incident(image="")], at(1))
    assert finding.image == "(not told)"


def test_a_finding_says_where_no_pod_is_confirmed_and_no_longer_once_one_is() -> None:
    made = ledger(judged())
    (doubtful,) = made.changes([incident(unshown=True)], at(1))
    assert doubtful.diagnosis.evidence == (UNCONFIRMED,)
    again = Ledger.restore(made.identity, made.records.values())
    assert again.changes([incident(unshown=True)], at(2)) == []
    (sure,) = again.changes([incident()], at(3))
    assert sure.diagnosis.evidence == ()


def test_what_is_not_confirmed_or_not_judged_is_not_told() -> None:
    assert ledger(judged()).changes([incident(confirmed=False), incident("b", topic="other")], at(1)) == []


def test_an_unchanged_finding_is_told_once() -> None:
    book = ledger(judged())
    assert len(book.changes([incident()], at(1))) == 1
    assert book.changes([incident()], at(2)) == []


def test_new_lines_alone_are_told_once_a_minute() -> None:
    book = ledger(judged())
    book.changes([incident()], at(1))
    assert book.changes([incident(last_seen=at(59))], at(59)) == []
    assert len(book.changes([incident(last_seen=at(60))], at(60))) == 1


def test_a_new_attempt_is_told() -> None:
    book = ledger(judged())
    book.changes([incident()], at(1))
    (finding,) = book.changes([incident(attempts=2, last_seen=at(12))], at(12))
    assert finding.count == 2


def test_proof_for_the_same_cause_keeps_the_id() -> None:
    book = ledger(judged())
    (first,) = book.changes([incident()], at(1))
    book.judged(judged(confidence=Confidence.PROVED))
    (second,) = book.changes([incident()], at(2))
    assert first.id == second.id
    assert second.diagnosis.confidence is Confidence.PROVED


def test_another_cause_supersedes_the_first() -> None:
    book = ledger(judged())
    book.changes([incident()], at(1))
    book.judged(judged(CauseId.ACCESS_DENIED_OR_NOT_FOUND))
    assert told(book.changes([incident()], at(2))) == [
        ("AccessDeniedOrNotFound", State.ACTIVE, 1),
        ("TagNotFound", State.SUPERSEDED, 1),
    ]


def test_a_changed_text_stays_with_its_finding_until_it_is_judged() -> None:
    book = ledger(judged())
    book.changes([incident()], at(1))
    changed = incident(topic="denied", last_seen=at(5))
    assert book.changes([changed], at(5)) == []
    book.judged(judged(CauseId.CREDENTIALS_REJECTED, "denied"))
    assert [state for _, state, _ in told(book.changes([changed], at(6)))] == [State.ACTIVE, State.SUPERSEDED]


def test_a_finding_is_over_when_its_last_pod_is() -> None:
    book = ledger(judged())
    both = [incident("a"), incident("b")]
    book.changes(both, at(1))
    book.closed([Closed(both[0], State.GONE)])
    assert told(book.changes(both[1:], at(2))) == [("TagNotFound", State.ACTIVE, 1)]
    book.closed([Closed(both[1], State.RECOVERED)])
    (finding,) = book.changes([], at(3))
    assert (finding.state, finding.resolved_at, finding.count) == (State.RECOVERED, at(3), 2)
    assert book.changes([], at(4)) == []


def test_a_finding_that_comes_back_is_the_same_and_goes_on_counting() -> None:
    book = ledger(judged())
    book.changes([incident(attempts=4)], at(1))
    book.closed([Closed(incident(attempts=4), State.GONE)])
    book.changes([], at(2))
    (finding,) = book.changes([incident("new", first_seen=at(100), last_seen=at(100))], at(100))
    assert (finding.state, finding.count, finding.first_seen, finding.resolved_at) == (State.ACTIVE, 5, START, None)


def test_a_resolved_finding_is_forgotten_after_an_hour() -> None:
    book = ledger(judged())
    book.changes([incident()], at(1))
    book.closed([Closed(incident(), State.GONE)])
    book.changes([], at(2))
    book.changes([], at(3 + 3600))
    assert not book.records
    assert book.diagnosis((IMAGE, "tag")) is None


def test_forgetting_a_superseded_finding_keeps_the_present_diagnosis() -> None:
    book = ledger(judged())
    book.changes([incident()], at(1))
    book.judged(judged(CauseId.ACCESS_DENIED_OR_NOT_FOUND))
    book.changes([incident()], at(2))
    book.changes([incident()], at(3 + 3600))
    assert len(book.records) == 1
    present = book.diagnosis((IMAGE, "tag"))
    assert present
    assert present.cause is CauseId.ACCESS_DENIED_OR_NOT_FOUND


def test_a_restart_neither_repeats_nor_forgets() -> None:
    before = ledger(judged())
    before.changes([incident()], at(1))
    after = Ledger.restore(before.identity, before.records.values())
    assert after.changes([incident()], at(2)) == []
    after.closed([Closed(incident(), State.RECOVERED)])
    assert told(after.changes([], at(3))) == [("TagNotFound", State.RECOVERED, 1)]
