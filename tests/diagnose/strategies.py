"""Arbitrary cases: traces as no walk would make them, hostile texts in every place."""

from datetime import UTC, datetime
from typing import Any

from diagnose.builders import HOST, IMAGE, NOW
from hypothesis import strategies as st

from pullwhy.access import CredentialFacts, Provider, Providers, PullRecord
from pullwhy.diagnose.case import Case, NodeView
from pullwhy.image import parse
from pullwhy.model import (
    Answer,
    CauseId,
    HintKind,
    Hypothesis,
    KubeletHint,
    Outcome,
    PodRef,
    PullFailure,
    Reason,
    Reproduction,
    Stage,
    Via,
)
from pullwhy.trace import (
    AuthFacts,
    AuthResult,
    BlobFacts,
    BlobResult,
    CertificateFacts,
    ConfigFacts,
    ConfigFault,
    ConnectAttempt,
    ConnectResult,
    DNSFacts,
    DNSResult,
    HTTPFacts,
    HTTPFault,
    Identity,
    ManifestFacts,
    NameserverAnswer,
    PlatformFacts,
    StageResult,
    StorageFacts,
    TLSFacts,
    TLSFault,
    Trace,
)

HOSTILE = ("", "$(reboot)", "a'; rm x #", "\x1b[31m", "a\nb", "\u202etag", "{host}", "%s", HOST, IMAGE, "x" * 5000)
texts = st.sampled_from(HOSTILE) | st.text(max_size=30)
_whole = st.integers(0, 2**53)


def few(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(elements, max_size=3).map(tuple)


_times = st.datetimes(datetime(1950, 1, 1), datetime(9990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
_answers = st.builds(NameserverAnswer, texts, texts, st.sampled_from(DNSResult), few(texts))
_dns = st.builds(
    DNSFacts, texts, st.sampled_from(["dns", "hosts"]), few(texts), few(_answers), st.none() | _answers, texts
)
_attempts = st.builds(ConnectAttempt, texts, st.integers(0, 65535), st.sampled_from(ConnectResult), st.just(0.1), texts)
_certificates = st.builds(CertificateFacts, texts, texts, _times, _times, few(texts), st.booleans())
_tls = st.builds(
    TLSFacts,
    texts,
    st.none() | st.sampled_from(TLSFault),
    texts,
    few(_certificates),
    st.none() | st.integers(-2, 5),
    texts,
)
_statuses = st.sampled_from([0, 200, 302, 401, 403, 404, 405, 412, 429, 451, 500, 503, 999])
_headers = st.none() | st.dictionaries(
    st.sampled_from(["retry-after", "ratelimit-remaining", "server"]), texts | st.just("0;w=1")
)
_http = st.builds(
    HTTPFacts,
    st.just("GET"),
    texts | st.just(f"https://{HOST}/v2/x/manifests/1"),
    _statuses,
    few(texts | st.sampled_from(["NAME_UNKNOWN", "MANIFEST_UNKNOWN"])),
    st.booleans(),
    _headers,
    st.booleans(),
    st.booleans(),
    _whole,
    st.none() | st.sampled_from(HTTPFault),
    st.booleans(),
)
_auth = st.builds(AuthFacts, st.sampled_from(AuthResult), texts, texts, texts, texts, texts, st.none() | _times)
_optional = st.none() | st.booleans()
_manifest = st.builds(ManifestFacts, texts, texts, _whole, texts, _optional, few(texts), _optional, _whole)
_config = st.builds(ConfigFacts, st.sampled_from(ConfigFault), texts, texts, texts, st.none() | _whole, st.booleans())
_storage = st.builds(StorageFacts, texts, texts, _whole, _whole, _whole, _whole, st.booleans(), _whole)

_providers = st.builds(
    Providers, texts, texts, texts, few(st.builds(Provider, texts | st.just("p"), texts)), few(texts), st.booleans()
)
_access = st.builds(CredentialFacts, few(texts), few(texts), _providers)
records = st.builds(
    PullRecord,
    texts | st.sampled_from(["AlwaysVerify", "NeverVerify", "NeverVerifyAllowlistedImages"]),
    texts,
    few(texts),
    few(texts),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    texts,
)

results = st.builds(
    StageResult,
    stage=st.sampled_from(Stage),
    target=texts,
    outcome=st.sampled_from(Outcome),
    seconds=st.floats(0, 100),
    detail=texts,
    endpoint=st.none() | st.integers(0, 2),
    via=st.none() | st.sampled_from(Via),
    identity=st.sampled_from(Identity),
    dns=st.none() | _dns,
    connect=few(_attempts),
    tls=st.none() | _tls,
    http=st.none() | _http,
    auth=st.none() | _auth,
    manifest=st.none() | _manifest,
    platform=st.none() | st.builds(PlatformFacts, texts, few(texts)),
    blob=st.none() | st.builds(BlobFacts, texts, st.sampled_from(BlobResult), texts, st.booleans()),
    config=st.none() | _config,
    storage=st.none() | _storage,
    access=st.none() | _access,
)
traces = st.builds(
    Trace,
    st.lists(results, max_size=6).map(tuple),
    st.just(1.0),
    st.just(3),
    st.booleans(),
    st.none() | st.floats(-1e9, 1e9),
)
hypotheses = st.builds(
    Hypothesis,
    st.sampled_from(CauseId),
    st.sampled_from(Stage),
    st.sampled_from(Answer),
    st.none() | st.sampled_from(Via),
    texts,
    texts,
    few(st.sampled_from(CauseId)),
)
pods = st.builds(PodRef, texts, texts, texts)
hints = st.builds(
    KubeletHint,
    st.just(NOW),
    texts,
    st.sampled_from(HintKind),
    texts,
    st.none() | pods,
    texts,
    texts,
    texts | st.just("shop/cred"),
)
failures = st.builds(
    PullFailure,
    st.just(NOW),
    texts,
    st.sampled_from(Reason),
    texts | st.just("failed to fetch anonymous token"),
    st.none() | pods,
    texts,
    texts,
    _optional,
    few(hints),
    st.integers(0, 9),
)
nodes = st.builds(
    NodeView,
    runtime=st.sampled_from(["containerd", "cri-o", "docker", "", "$(x)"]),
    version=texts,
    certs_d=texts | st.just("/etc/containerd/certs.d"),
    hosts_toml=texts,
    config_file=texts,
    runtime_unit=texts,
    managed_by=st.sampled_from(["k3s", "rke2", "", "\x1b"]),
    kubelet_version=texts | st.sampled_from(["v1.30.1", "v1.36.2", "v1"]),
    runtime_answers=_optional,
)
reproductions = st.builds(
    Reproduction, st.sampled_from(["Failed", "Succeeded", "Skipped", "Error"]), texts, texts, texts
)
images = st.sampled_from([None, parse(IMAGE), parse("web"), parse(f"{HOST}/web@sha256:{'0' * 64}")])
cases = st.builds(
    Case,
    now=st.just(NOW),
    image=images,
    image_text=texts,
    failure=st.none() | failures,
    hypothesis=st.none() | hypotheses,
    trace=st.none() | traces,
    reproduction=st.none() | reproductions,
    reproduction_hypothesis=st.none() | hypotheses,
    image_present=_optional,
    pull_record=st.none() | records,
    node=nodes,
    later_success=st.booleans(),
)
