"""What the kubelet's records of pulls make of an image that is present."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    HOST,
    IMAGE,
    NODE,
    case,
    connect,
    failure,
    passing,
    told,
    trace,
)
from diagnose.refusals import C, S, facts_of, refused, remedy

from pullwhy.access import PullRecord
from pullwhy.diagnose.judge import judge
from pullwhy.image import parse
from pullwhy.model import (
    CauseId,
    Confidence,
    Factor,
    Reason,
)
from pullwhy.trace import ConnectResult

RECORD = PullRecord("NeverVerifyPreloadedImages", "/records/sha256-x", secrets=("team-a/cred",))


@pytest.mark.parametrize(
    ("record", "image", "cause", "confidence"),
    [
        (RECORD, IMAGE, C.CREDENTIAL_VERIFICATION_DENIED, Confidence.PROVED),
        (
            replace(RECORD, file="", secrets=(), intended=True),
            IMAGE,
            C.CREDENTIAL_VERIFICATION_DENIED,
            Confidence.LIKELY,
        ),
        (replace(RECORD, node_accessible=True), IMAGE, C.CREDENTIALS_MISSING, Confidence.PROVED),
        (replace(RECORD, fault="no JSON"), IMAGE, C.CREDENTIALS_MISSING, Confidence.PROVED),
        (replace(RECORD, policy="NeverVerify"), IMAGE, C.CREDENTIALS_MISSING, Confidence.PROVED),
        (RECORD, f"{HOST}/shop/web:latest", C.CREDENTIALS_MISSING, Confidence.PROVED),
        (None, IMAGE, C.CREDENTIALS_MISSING, Confidence.PROVED),
    ],
)
def test_an_image_that_is_present_and_not_for_this_pod_is_proved_by_the_kubelets_record(
    record: PullRecord | None, image: str, cause: CauseId, confidence: Confidence
) -> None:
    example = refused(pull_record=record, image_present=True, image_text=image, image=parse(image))
    found = judge(example)
    assert (found.cause, found.confidence) == (cause, confidence)
    if record == RECORD and cause is C.CREDENTIAL_VERIFICATION_DENIED:
        assert "recorded that it was pulled with the pull secret team-a/cred" in found.summary
        assert "the kubelet recorded that this image was pulled with the pull secret team-a/cred" in facts_of(found)
        assert "was pulled with the pull secret team-a/cred; this pod brings no such credentials" in remedy(found)
        assert "delete" not in remedy(found)


@pytest.mark.parametrize(
    ("record", "always"), [(RECORD, False), (None, True), (replace(RECORD, node_accessible=True), True)]
)
def test_an_image_that_is_asked_for_again_because_of_its_record_is_not_called_always_pulled(
    record: PullRecord | None, always: bool
) -> None:
    walk = trace(passing(S.DNS), connect(("192.0.2.1", ConnectResult.REFUSED)))
    example = case(walk, told(C.CONNECTION_REFUSED, S.CONNECT), pull_record=record, image_present=True)
    found = judge(example)
    assert found.cause is C.CONNECTION_REFUSED
    assert (Factor.POLICY_ALWAYS_IMAGE_PRESENT in found.factors) is always
    assert ("the kubelet recorded" in facts_of(found)) is not always


@pytest.mark.parametrize(
    ("record", "version", "cause", "confidence"),
    [
        (RECORD, "", C.CREDENTIAL_VERIFICATION_DENIED, Confidence.PROVED),
        (replace(RECORD, fault="no JSON"), "", C.CREDENTIAL_VERIFICATION_DENIED, Confidence.LIKELY),
        (replace(RECORD, node_accessible=True), "v1.36.2", C.TRANSIENT, Confidence.LIKELY),
        (None, "v1.36.2", C.CREDENTIAL_VERIFICATION_DENIED, Confidence.PROVED),
        (None, "v1.30.1", C.TRANSIENT, Confidence.PROVED),
    ],
)
def test_under_the_policy_never_the_record_tells_absent_from_denied(
    record: PullRecord | None, version: str, cause: CauseId, confidence: Confidence
) -> None:
    text = failure(f'Container image "{IMAGE}" is not present with pull policy of Never', Reason.ERR_IMAGE_NEVER_PULL)
    node = replace(NODE, kubelet_version=version)
    example = case(
        None, told(C.IMAGE_NEVER_PULL, S.KUBELET), failure=text, pull_record=record, image_present=True, node=node
    )
    found = judge(example)
    assert (found.cause, found.confidence) == (cause, confidence)
