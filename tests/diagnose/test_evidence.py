"""Which facts are told, and where each comes from."""

from dataclasses import replace

import pytest
from diagnose.builders import ALL, case, failed, failure, passing, told, trace

from pullwhy.diagnose.case import MESSAGE
from pullwhy.diagnose.judge import judge
from pullwhy.model import CauseId, Reason, Stage
from pullwhy.trace import ConnectAttempt, ConnectResult

TOLD = told(CauseId.TAG_NOT_FOUND, Stage.MANIFEST)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("kubelet.service", ("ErrImagePull: not found", "journal")), (MESSAGE, ("not found", "message"))],
)
def test_a_text_that_a_person_brought_is_not_the_journals(unit: str, expected: tuple[str, str]) -> None:
    said = judge(case(hypothesis=TOLD, failure=replace(failure("not found"), unit=unit))).evidence[0]
    assert (said.fact, said.source) == expected


def test_a_text_stands_behind_the_reason_that_came_with_it_and_names_where_it_stood() -> None:
    backed_off = replace(
        failure("not found"), reason=Reason.IMAGE_PULL_BACK_OFF, told_as="ErrImagePull", from_file=True
    )
    said = judge(case(hypothesis=TOLD, failure=backed_off)).evidence[0]
    assert (said.fact, said.source) == ("ErrImagePull: not found", "log file")


@pytest.mark.parametrize(
    ("target", "told"),
    [("10.0.0.9:443", "10.0.0.9:443: refused after"), ("r.example:443", "r.example:443: 10.0.0.9:443: refused after")],
)
def test_one_refusal_is_told_once(target: str, told: str) -> None:
    attempt = ConnectAttempt("10.0.0.9", 443, ConnectResult.REFUSED, 0.1, "connection refused (ECONNREFUSED)")
    refused = failed(Stage.CONNECT, target=target, connect=(attempt,), detail=f"10.0.0.9: {attempt.detail}")
    facts = [each.fact for each in judge(case(trace(passing(Stage.REFERENCE, Stage.DNS), refused))).evidence]
    (fact,) = [each for each in facts if "refused" in each]
    assert fact == f"{told} 0.10 s, connection refused (ECONNREFUSED)"


@pytest.mark.parametrize(("seconds", "tells"), [(4.9, False), (-4.9, False), (5.0, True), (-30.0, True)])
def test_a_clock_is_evidence_from_five_seconds_on(seconds: float, tells: bool) -> None:
    facts = judge(case(trace(passing(*ALL), clock_skew_seconds=seconds))).evidence
    assert any("clock" in each.fact for each in facts) is tells
