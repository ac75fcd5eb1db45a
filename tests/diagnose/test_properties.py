"""What holds for every case, however hostile: judging is total, repeatable, and what it says can be sent and shown."""

from datetime import timedelta

from diagnose.builders import NOW
from diagnose.strategies import cases
from hypothesis import HealthCheck, given, settings

from pullwhy.diagnose.arguments import MAX_ARGUMENTS, MAX_SUMMARY, MAX_VALUE
from pullwhy.diagnose.case import Case
from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.diagnose.document.decoding import decode
from pullwhy.diagnose.document.finding import document, encode, finding_id
from pullwhy.diagnose.evidence import MAX_FACT, MAX_FACTS
from pullwhy.diagnose.explain.finding import explain
from pullwhy.diagnose.judge import judge, passes
from pullwhy.diagnose.remedies.rendering import render
from pullwhy.model import Answer, Confidence, Finding

often = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def finding(case: Case) -> Finding:
    diagnosis = judge(case)
    trace = tuple(result.line() for result in case.trace.results) if case.trace is not None else ()
    return Finding(
        id=finding_id("node-a", "web", diagnosis.cause),
        node="node-a",
        image="web",
        registry="docker.io",
        diagnosis=diagnosis,
        first_seen=NOW,
        last_seen=NOW + timedelta(seconds=1),
        reproduction=case.reproduction,
        trace=trace,
    )


@often
@given(cases)
def test_judging_is_total_and_repeatable(case: Case) -> None:
    first = judge(case)
    assert first == judge(case)
    assert isinstance(passes(case), bool)


@often
@given(cases)
def test_a_diagnosis_stays_within_its_bounds(case: Case) -> None:
    diagnosis = judge(case)
    assert 0 < len(diagnosis.summary) <= MAX_SUMMARY
    assert len(diagnosis.evidence) <= MAX_FACTS
    assert all(len(fact.fact) <= MAX_FACT for fact in diagnosis.evidence)
    assert len(diagnosis.remedy.arguments) <= MAX_ARGUMENTS + 1
    assert all(len(value) <= MAX_VALUE for key, value in diagnosis.remedy.arguments.items() if key != "factors")
    assert len(set(diagnosis.factors)) == len(diagnosis.factors)


@often
@given(cases)
def test_a_diagnosis_is_consistent(case: Case) -> None:
    diagnosis = judge(case)
    cause = CATALOGUE[diagnosis.cause]
    assert diagnosis.retryable.answer in {cause.retryable, Answer.MAYBE}
    assert diagnosis.retryable.why
    if diagnosis.cause.value == "Undetermined":
        assert diagnosis.confidence is Confidence.UNKNOWN


@often
@given(cases)
def test_every_command_is_one_printable_line(case: Case) -> None:
    remedy = render(judge(case).remedy)
    assert all(command.run.isprintable() for command in remedy.commands)
    assert remedy.text.replace("\n", "").isprintable()


@often
@given(cases)
def test_a_finding_survives_the_wire_and_can_be_explained(case: Case) -> None:
    sent = encode(finding(case))
    received = decode(sent)
    assert encode(received) == sent
    shown = explain(document(received))
    assert shown.replace("\n", "").isprintable()
