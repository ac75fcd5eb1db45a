"""As whom the kubelet asked, and what that makes of a refusal."""

from dataclasses import replace

import pytest
from diagnose.builders import UNTIL_TLS, C, S, auth, case, failure, passing, told, trace

from pullwhy.diagnose.judge import judge
from pullwhy.model import CauseId, Confidence, Reproduction
from pullwhy.trace import AuthResult

ANONYMOUS_401 = trace(passing(*UNTIL_TLS), auth(AuthResult.NO_CREDENTIALS))
BARE_401 = told(C.CREDENTIALS_MISSING, S.AUTH, C.CREDENTIALS_REJECTED, C.ACCESS_DENIED_OR_NOT_FOUND)


@pytest.mark.parametrize("retried", [False, True])
def test_a_bare_401_is_one_of_the_credentials_where_some_were_sent(retried: bool) -> None:
    sent = replace(failure("unexpected status from HEAD request: 401 Unauthorized"), credentials_sent=True)
    again = Reproduction("Failed", "the kubelet's own next try failed in the same way", message="401")
    given = case(ANONYMOUS_401, BARE_401, failure=sent)
    given = replace(given, reproduction=again, reproduction_hypothesis=BARE_401) if retried else given
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_REJECTED, Confidence.LIKELY)
    assert "the kubelet sent credentials with this pull" in [fact.fact for fact in diagnosis.evidence]


def test_a_bare_401_for_a_kubelet_without_credentials_is_proved_by_the_walk() -> None:
    none = replace(failure("unexpected status from HEAD request: 401 Unauthorized"), credentials_sent=False)
    diagnosis = judge(case(ANONYMOUS_401, BARE_401, failure=none))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_MISSING, Confidence.PROVED)
    assert "the kubelet found no credentials for this image" in [fact.fact for fact in diagnosis.evidence]


@pytest.mark.parametrize(
    ("message", "sent", "cause"),
    [
        ("failed to fetch oauth token: 401 Unauthorized", False, C.CREDENTIALS_REJECTED),
        ("failed to fetch anonymous token: 401 Unauthorized", True, C.CREDENTIALS_MISSING),
    ],
)
def test_the_runtime_s_word_on_its_own_request_outranks_the_kubelet_s_lines(
    message: str, sent: bool, cause: CauseId
) -> None:
    text = told(cause, S.AUTH, C.ACCESS_DENIED_OR_NOT_FOUND, C.CREDENTIALS_REJECTED)
    given = case(ANONYMOUS_401, text, failure=replace(failure(message), credentials_sent=sent))
    assert judge(given).cause is cause
