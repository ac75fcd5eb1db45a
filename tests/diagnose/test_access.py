"""Who may have the image: what the kubelet said of credentials, what its files hold, and what that makes of a refusal."""

from dataclasses import replace
from datetime import timedelta

import pytest
from diagnose.builders import (
    HOST,
    NODE,
    NOW,
    UNTIL_MANIFEST,
    UNTIL_TLS,
    auth,
    case,
    connect,
    failure,
    manifest,
    passing,
    result,
    told,
    trace,
)
from diagnose.refusals import ANONYMOUS, REFUSED_401, C, K, S, facts_of, refused, remedy
from diagnose.test_classify_local import CASES as LOCAL_TEXTS
from diagnose.test_classify_network import CASES as NETWORK_TEXTS
from diagnose.test_classify_registry import CASES as REGISTRY_TEXTS
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.access import CredentialFacts, Provider, Providers
from pullwhy.diagnose.catalogue.causes import ACCESS, CATALOGUE
from pullwhy.diagnose.classify.classifier import classify
from pullwhy.diagnose.judge import judge
from pullwhy.image import parse
from pullwhy.model import (
    CauseId,
    Confidence,
    Factor,
    Hypothesis,
    KubeletHint,
    Outcome,
    PodRef,
    Reason,
    Reproduction,
    Via,
)
from pullwhy.trace import AuthFacts, AuthResult, ConnectResult, HTTPFacts, Identity, StageResult, Trace

POD = PodRef("shop", "web-7d9c", "u1")
PROVIDER = KubeletHint(
    NOW,
    "kubelet.service",
    K.CREDENTIAL_PROVIDER_FAILED,
    "Failed getting credential from external registry credential provider: exit status 1: no identity",
    image=f"{HOST}/shop/web",
    provider="cr-provider",
)
SECRET = KubeletHint(
    NOW, "kubelet.service", K.PULL_SECRET_UNAVAILABLE, 'secret "cred" not found', POD, secret="shop/cred"
)


def test_a_provider_that_failed_for_the_image_is_the_cause_with_its_own_error() -> None:
    found = judge(refused(PROVIDER))
    assert (found.cause, found.stage, found.confidence) == (C.CREDENTIAL_PROVIDER_FAILED, S.AUTH, Confidence.PROVED)
    assert found.summary.endswith("exit status 1: no identity")
    assert "exit status 1: no identity" in facts_of(found)
    assert "The provider cr-provider says: exit status 1: no identity." in remedy(found)


def test_without_a_walk_that_is_refused_too_the_providers_failure_is_likely() -> None:
    found = judge(refused(PROVIDER, walk=trace(passing(*UNTIL_TLS))))
    assert (found.cause, found.confidence) == (C.CREDENTIAL_PROVIDER_FAILED, Confidence.LIKELY)


@pytest.mark.parametrize(
    ("text", "hypothesis", "walk", "cause"),
    [
        ("failed to fetch oauth token: 401", told(C.CREDENTIALS_REJECTED, S.AUTH), None, C.CREDENTIALS_REJECTED),
        (
            "connect: connection refused",
            told(C.CONNECTION_REFUSED, S.CONNECT),
            trace(passing(S.DNS), connect(("192.0.2.1", ConnectResult.REFUSED))),
            C.CONNECTION_REFUSED,
        ),
    ],
)
def test_a_provider_that_failed_beside_another_fault_is_not_the_cause(
    text: str, hypothesis: Hypothesis, walk: Trace | None, cause: CauseId
) -> None:
    example = refused(PROVIDER, walk=walk, hypothesis=hypothesis, failure=replace(failure(text), hints=(PROVIDER,)))
    assert judge(example).cause is cause


@pytest.mark.parametrize("serves", [True, False])
def test_a_failure_that_names_no_image_counts_where_a_provider_serves_it(serves: bool) -> None:
    serving = (Provider("cr-provider"),) if serves else ()
    access = CredentialFacts(providers=Providers("/p.yaml", serving=serving, known=True))
    found = judge(refused(replace(PROVIDER, image=""), access=access))
    assert found.cause is (C.CREDENTIAL_PROVIDER_FAILED if serves else C.CREDENTIALS_MISSING)


@pytest.mark.parametrize("cause", [C.CREDENTIALS_MISSING, C.ACCESS_DENIED_OR_NOT_FOUND])
def test_a_pull_secret_that_is_not_there_is_named(cause: CauseId) -> None:
    walk = trace(passing(*UNTIL_TLS), auth(AuthResult.REFUSED, 403, path="/v2/shop/web/manifests/1.4"))
    found = judge(refused(SECRET, walk=walk if cause is C.ACCESS_DENIED_OR_NOT_FOUND else None))
    assert (found.cause, found.confidence) == (cause, Confidence.PROVED)
    assert (cause is C.CREDENTIALS_MISSING) is found.summary.endswith(
        "; the kubelet could not get the pull secret cred"
    )
    assert 'the kubelet could not get the pull secret shop/cred: secret "cred" not found' in facts_of(found)
    advice = remedy(found)
    assert "names the pull secret cred, which the kubelet could not get in the namespace shop" in advice
    assert "kubectl create secret docker-registry cred --namespace=shop" in advice
    assert "patch serviceaccount" not in advice


def test_a_near_miss_is_told_in_evidence_and_remedy() -> None:
    miss = f"f.json: the key 'https://{HOST}/v2' does not match {HOST}/shop/web: /v2 without a slash after it"
    found = judge(refused(access=CredentialFacts(near_misses=(miss,))))
    assert found.cause is C.CREDENTIALS_MISSING
    assert miss in facts_of(found)
    assert miss in remedy(found)
    assert f"The key that fits is {HOST}." in remedy(found)


def test_unreadable_records_and_the_number_of_tries_are_told() -> None:
    said = KubeletHint(NOW, "kubelet.service", K.PULL_RECORDS_UNREADABLE, "open: permission denied")
    example = refused(failure=replace(failure("failed to fetch oauth token: 401"), hints=(said,), tries=3))
    told_facts = facts_of(judge(replace(example, hypothesis=told(C.CREDENTIALS_REJECTED, S.AUTH))))
    assert "the kubelet cannot read its records of pulls, so it pulls again: open: permission denied" in told_facts
    assert "the kubelet tried 3 credentials, one after the other" in told_facts


NODE_FILE = "/var/lib/kubelet/config.json (registry.example)"


def rejected(
    expires: timedelta | None = None, *, kind: str = "", says_expired: bool = False, status: int = 401
) -> StageResult:
    """Return the answer to the node's own credentials, which end after `expires` from now."""
    ends = NOW + expires if expires is not None else None
    facts = AuthFacts(AuthResult.REFUSED, "Bearer", HOST, "", NODE_FILE, kind, ends)
    answer = HTTPFacts("GET", f"https://{HOST}/v2/shop/web/manifests/1.4", status, says_expired=says_expired)
    return result(S.AUTH, Outcome.FAILED, auth=facts, http=answer, identity=Identity.NODE)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (rejected(timedelta(hours=-2), kind="a JSON web token"), "The token expired at 2026-11-22T08:00:00Z."),
        (rejected(says_expired=True), "The registry says that the token has expired."),
        (rejected(says_expired=True, status=403), "The registry says that the token has expired."),
        (rejected(timedelta(hours=2)), "lasts until 2026-11-22T12:00:00Z. It is wrong, revoked"),
        (rejected(), "they may be wrong, expired or revoked"),
        (rejected(kind="the token of a GitLab CI job, which ends with the job"), "It is the token of a GitLab CI job"),
    ],
)
def test_an_expired_token_is_told_from_a_wrong_one(seen: StageResult, words: str) -> None:
    text = failure("failed to fetch oauth token: unexpected status: 401 Unauthorized")
    example = case(trace(passing(*UNTIL_TLS), REFUSED_401, seen), told(C.CREDENTIALS_REJECTED, S.AUTH), failure=text)
    found = judge(example)
    assert (found.cause, found.confidence) == (C.CREDENTIALS_REJECTED, Confidence.PROVED)
    assert words in remedy(found)
    assert f"The credentials came from {NODE_FILE}." in remedy(found)
    assert "within five minutes" in remedy(found)


def test_the_texts_own_word_that_a_token_expired_counts() -> None:
    text = failure("failed to fetch oauth token: 403: denied: Your authorization token has expired.")
    found = judge(case(None, told(C.CREDENTIALS_REJECTED, S.AUTH), failure=text))
    assert "The registry says that the token has expired." in remedy(found)


def test_refused_node_credentials_on_a_public_image_name_the_source_to_remove() -> None:
    walk = trace(passing(*UNTIL_MANIFEST, identity=Identity.ANONYMOUS), rejected(timedelta(hours=-2)))
    text = failure("failed to fetch oauth token: unexpected status: 401 Unauthorized")
    found = judge(case(walk, told(C.CREDENTIALS_REJECTED, S.AUTH), failure=text))
    assert (found.cause, found.confidence) == (C.CREDENTIALS_REJECTED, Confidence.PROVED)
    assert found.factors == (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE,)
    assert "removing that entry, or renewing it, mends it" in remedy(found)


@pytest.mark.parametrize("retried", [False, True])
def test_a_refused_pod_secret_on_a_public_image_is_the_one_to_remove(retried: bool) -> None:
    text = failure("failed to fetch oauth token: unexpected status: 401 Unauthorized")
    access = result(S.AUTH, Outcome.SKIPPED, endpoint=None, access=CredentialFacts())
    walk = trace([access], passing(*UNTIL_MANIFEST, S.PLATFORM, S.BLOB, identity=Identity.ANONYMOUS))
    example = case(walk, told(C.CREDENTIALS_REJECTED, S.AUTH), failure=text)
    if retried:
        again = Reproduction("Failed", "the kubelet's own next try", message=text.message)
        example = replace(example, reproduction=again, reproduction_hypothesis=example.hypothesis)
    found = judge(example)
    assert found.cause is C.CREDENTIALS_REJECTED
    assert found.factors == (Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE,)
    assert found.confidence is (Confidence.PROVED if retried else Confidence.LIKELY)
    assert "removing the secret from the pod's imagePullSecrets, or renewing it, mends it" in remedy(found)
    assert "The node's own files hold none for this image" in remedy(found)


ECR = "1.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1"


@pytest.mark.parametrize(
    ("providers", "words"),
    [
        (Providers(known=True), "the kubelet's flags name no exec credential provider"),
        (Providers("/p.json", "no such file", known=True), "/p.json cannot be used: no such file"),
        (Providers("/p.json", unseen="permission denied"), "/p.json could not be looked at: permission denied"),
        (Providers("/p.json", patterns=("*.azurecr.io",), known=True), "covers this image; it has *.azurecr.io"),
        (
            Providers("/p.json", serving=(Provider("ecr", "/b/ecr: not executable"),), known=True),
            "its binary cannot be run: /b/ecr: not executable",
        ),
        (Providers("/p.json", serving=(Provider("ecr"),), known=True), "the provider ecr of /p.json covers this image"),
    ],
)
@pytest.mark.parametrize(("version", "removed"), [("v1.36.2", True), ("v1.26.9", False), ("", False)])
def test_a_cloud_registry_is_mended_by_its_provider_and_never_by_a_static_secret(
    providers: Providers, words: str, version: str, removed: bool
) -> None:
    example = refused(access=CredentialFacts(providers=providers))
    node = replace(NODE, kubelet_version=version)
    found = judge(replace(example, image=parse(ECR), image_text=ECR, node=node))
    assert (found.cause, found.remedy.id) == (C.CREDENTIALS_MISSING, "mend-credential-provider")
    advice = remedy(found)
    assert f"On this node {words}" in advice or words in advice
    assert words in facts_of(found)
    assert ("Kubelets before 1.27 had this cloud's provider built in" in advice) is removed
    assert "kubectl create secret" not in advice


def test_credentials_have_no_part_in_the_sandbox_image() -> None:
    text = replace(failure(ANONYMOUS, Reason.CREATE_POD_SANDBOX_ERROR), hints=(SECRET,))
    found = judge(refused(SECRET, failure=text, access=CredentialFacts(near_misses=("a near miss",))))
    assert "cred" not in found.remedy.arguments.get("missing_secret", "")
    assert "near miss" not in facts_of(found)


REFUSALS = (
    REFUSED_401,
    auth(AuthResult.REFUSED, 401),
    auth(AuthResult.REFUSED, 403, path="/v2/shop/web/manifests/1.4"),
    auth(AuthResult.REFUSED, 401, error="insufficient_scope"),
)
OTHERS = sorted(set(C) - ACCESS - {C.UNDETERMINED})
TEXTS = [text for text, cause, *_ in (*REGISTRY_TEXTS, *NETWORK_TEXTS, *LOCAL_TEXTS) if cause in OTHERS]


@given(
    st.sampled_from(OTHERS),
    st.data(),
    st.sampled_from([None, True, False]),
    st.sampled_from(REFUSALS),
    st.sampled_from([(), (PROVIDER,), (SECRET,)]),
)
def test_a_fault_behind_authentication_is_never_called_one_of_credentials(
    cause: CauseId, data: st.DataObject, sent: bool | None, refusal: StageResult, said: tuple[KubeletHint, ...]
) -> None:
    entry = CATALOGUE[cause]
    stage = data.draw(st.sampled_from((entry.stage, *entry.also)))
    via = data.draw(st.sampled_from([None, Via.MIRROR, Via.BLOB_HOST]))
    text = replace(failure("it failed in another way"), credentials_sent=sent, hints=said)
    walk = trace(passing(*UNTIL_TLS), refusal)
    assert judge(refused(failure=text, hypothesis=told(cause, stage, via=via), walk=walk)).cause not in ACCESS


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("sent", [None, True, False])
def test_real_texts_of_other_faults_are_never_called_missing_credentials(text: str, sent: bool | None) -> None:
    example = replace(failure(text), credentials_sent=sent)
    found = judge(refused(failure=example, hypothesis=classify(text)))
    assert found.cause is not C.CREDENTIALS_MISSING


def test_a_manifest_that_the_node_may_read_and_that_is_absent_is_absent() -> None:
    walk = trace(
        passing(*UNTIL_TLS),
        REFUSED_401,
        passing(S.AUTH, identity=Identity.NODE),
        manifest(404, "MANIFEST_UNKNOWN", identity=Identity.NODE),
    )
    found = judge(refused(walk=walk, failure=failure("not found"), hypothesis=told(C.TAG_NOT_FOUND, S.MANIFEST)))
    assert found.cause is C.TAG_NOT_FOUND
