"""How well a cause is supported by the text, the walk and who made it."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    ALL,
    IMAGE,
    LIKELY,
    NODE,
    PROVED,
    UNKNOWN,
    C,
    S,
    again,
    case,
    failed,
    failure,
    passing,
    storage,
    told,
    trace,
)
from diagnose.weighed import ANONYMOUS_401, REFUSED_TWICE

from pullwhy.diagnose.judge import judge
from pullwhy.model import CauseId, Confidence, Stage


def test_text_alone_is_likely() -> None:
    diagnosis = judge(case(hypothesis=told(C.TAG_NOT_FOUND, S.MANIFEST)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.TAG_NOT_FOUND, LIKELY)


def test_nothing_told_and_nothing_seen_is_undetermined() -> None:
    diagnosis = judge(case(failure=failure("")))
    assert (diagnosis.cause, diagnosis.confidence) == (C.UNDETERMINED, UNKNOWN)


def test_a_walk_without_any_text_proves_what_it_meets() -> None:
    diagnosis = judge(case(trace(passing(S.DNS), REFUSED_TWICE)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CONNECTION_REFUSED, PROVED)


UNSEEN = replace(NODE, unseen="the runtime's proxy was not checked")
WALK_REFUSED = trace(passing(S.DNS), REFUSED_TWICE)


def test_a_walk_alone_under_assumed_settings_is_likely_and_says_what_was_assumed() -> None:
    diagnosis = judge(case(WALK_REFUSED, node=UNSEEN))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CONNECTION_REFUSED, LIKELY)
    assert any("the runtime's proxy was not checked" in each.fact for each in diagnosis.evidence)


def test_the_kubelet_or_the_runtime_failing_alike_proves_a_walk_under_assumed_settings() -> None:
    hypothesis = told(C.CONNECTION_REFUSED, S.CONNECT)
    assert judge(case(WALK_REFUSED, hypothesis, node=UNSEEN)).confidence is PROVED
    asked = case(WALK_REFUSED, node=UNSEEN, reproduction=again(), reproduction_hypothesis=hypothesis)
    assert judge(asked).confidence is PROVED


def test_what_is_seen_on_the_node_itself_is_proved_under_assumed_settings() -> None:
    assert judge(case(trace(storage()), node=UNSEEN)).confidence is PROVED
    assert judge(case(image_text="Shop/Web:1", node=UNSEEN)).confidence is PROVED


def test_a_line_that_names_no_image_has_no_empty_reference() -> None:
    walk = trace(failed(S.REFERENCE, target="", endpoint=None))
    assert judge(case(walk, image_text="")).cause is C.INVALID_IMAGE_REFERENCE
    nameless = failure("some text", image="")
    assert judge(case(walk, image_text="", failure=nameless)).cause is C.UNDETERMINED


def test_a_walk_that_passes_under_assumed_settings_settles_nothing() -> None:
    diagnosis = judge(case(trace(passing(*ALL)), node=UNSEEN))
    assert (diagnosis.cause, diagnosis.confidence) == (C.UNDETERMINED, UNKNOWN)
    assert "the registry side works from here; the runtime's proxy was not checked" in diagnosis.summary


def test_a_back_off_without_a_reason_lets_the_walk_decide() -> None:
    walk = trace(passing(S.DNS), REFUSED_TWICE)
    diagnosis = judge(case(walk, told(C.UNDETERMINED, S.KUBELET)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CONNECTION_REFUSED, PROVED)


@pytest.mark.parametrize(
    ("message", "confidence"),
    [
        ("failed to authorize: failed to fetch anonymous token: 401", PROVED),
        ("pull access denied: authorization failed: no basic auth credentials", PROVED),
        ("pulling from host failed with status code [manifests 1]: 401 Unauthorized", LIKELY),
    ],
)
def test_missing_credentials_are_proved_only_where_the_kubelet_sent_none(message: str, confidence: Confidence) -> None:
    diagnosis = judge(case(ANONYMOUS_401, told(C.CREDENTIALS_MISSING, S.AUTH), failure=failure(message)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_MISSING, confidence)


def test_the_kubelet_s_own_lines_settle_whether_credentials_were_sent() -> None:
    given = case(ANONYMOUS_401, told(C.CREDENTIALS_MISSING, S.AUTH), failure=failure(credentials_sent=False))
    assert judge(given).confidence is PROVED


@pytest.mark.parametrize("cause", [C.CREDENTIALS_MISSING, C.ACCESS_DENIED_OR_NOT_FOUND])
def test_a_diagnosis_of_nobody_s_pull_does_not_prove_what_a_pod_may_read(cause: CauseId) -> None:
    image = IMAGE if cause is C.CREDENTIALS_MISSING else "docker.io/shop/web:1.4"
    diagnosis = judge(case(ANONYMOUS_401, image_text=image))
    assert (diagnosis.cause, diagnosis.confidence) == (cause, LIKELY)


@pytest.mark.parametrize(
    ("cause", "stage"),
    [
        (C.TAG_NOT_FOUND, S.MANIFEST),
        (C.RATE_LIMITED, S.MANIFEST),
        (C.CONTENT_CORRUPT, S.BLOB),
        (C.UNPACK_FAILED, S.UNPACK),
    ],
)
def test_an_anonymous_refusal_says_nothing_where_the_kubelet_got_further(cause: CauseId, stage: Stage) -> None:
    diagnosis = judge(case(ANONYMOUS_401, told(cause, stage)))
    assert (diagnosis.cause, diagnosis.confidence) == (cause, LIKELY)
    assert any("fewer rights" in fact.fact for fact in diagnosis.evidence)


def test_an_anonymous_refusal_says_nothing_of_credentials_that_were_sent() -> None:
    message = "failed to authorize: failed to fetch oauth token: 401 Unauthorized"
    diagnosis = judge(case(ANONYMOUS_401, told(C.CREDENTIALS_REJECTED, S.AUTH), failure=failure(message)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_REJECTED, LIKELY)


def test_a_403_for_the_kubelet_is_not_proved_by_a_401_for_nobody() -> None:
    message = "unexpected status from HEAD request: 403 Forbidden"
    diagnosis = judge(case(ANONYMOUS_401, told(C.ACCESS_DENIED_OR_NOT_FOUND, S.AUTH), failure=failure(message)))
    assert (diagnosis.cause, diagnosis.confidence) == (C.ACCESS_DENIED_OR_NOT_FOUND, LIKELY)


def test_an_anonymous_reproduction_says_nothing_of_credentials_that_were_sent() -> None:
    given = case(
        ANONYMOUS_401,
        told(C.CREDENTIALS_REJECTED, S.AUTH),
        failure=failure(credentials_sent=True),
        reproduction=again(),
        reproduction_hypothesis=told(C.CREDENTIALS_MISSING, S.AUTH),
    )
    diagnosis = judge(given)
    assert (diagnosis.cause, diagnosis.confidence) == (C.CREDENTIALS_REJECTED, LIKELY)
