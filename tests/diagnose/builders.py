"""Traces and cases made by hand: each function is one stage as the walk reports it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pullwhy.diagnose.case import Case, NodeView
from pullwhy.image import InvalidReference, parse
from pullwhy.model import (
    Answer,
    CauseId,
    Confidence,
    Hypothesis,
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

C, S = CauseId, Stage
PROVED, LIKELY, UNKNOWN = Confidence.PROVED, Confidence.LIKELY, Confidence.UNKNOWN
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOST = "registry.example"
IMAGE = f"{HOST}/shop/web:1.4"
DIGEST = "sha256:" + "a" * 64
NODE = NodeView(
    runtime="containerd",
    version="2.1.9",
    certs_d="/etc/containerd/certs.d",
    config_file="/etc/containerd/config.toml",
    runtime_unit="containerd.service",
    platform="linux/amd64",
    kubelet_version="v1.36.2",
)


def result(stage: Stage, outcome: Outcome = Outcome.PASSED, **fields: Any) -> StageResult:
    fields.setdefault("target", HOST)
    fields.setdefault("endpoint", 0)
    fields.setdefault("seconds", 0.01)
    return StageResult(stage=stage, outcome=outcome, **fields)


def failed(stage: Stage, **fields: Any) -> StageResult:
    return result(stage, Outcome.FAILED, **fields)


def passing(*stages: Stage, **fields: Any) -> list[StageResult]:
    return [result(stage, **fields) for stage in stages]


UNTIL_TLS = (Stage.DNS, Stage.CONNECT, Stage.TLS)
UNTIL_AUTH = (*UNTIL_TLS, Stage.AUTH)
UNTIL_MANIFEST = (*UNTIL_AUTH, Stage.MANIFEST)
ALL = (*UNTIL_MANIFEST, Stage.PLATFORM, Stage.BLOB)


def trace(*results: StageResult | list[StageResult], **fields: Any) -> Trace:
    flat = [r for item in results for r in (item if isinstance(item, list) else [item])]
    return Trace(tuple(flat), **fields)


def dns(answer: DNSResult, *, server: str = "10.0.0.53", **fields: Any) -> StageResult:
    decisive = NameserverAnswer(server, HOST, answer, (), 0.01)
    facts = DNSFacts(HOST, "dns", (), (decisive,), decisive)
    return failed(Stage.DNS, dns=facts, detail=answer.value, **fields)


def connect(*attempts: tuple[str, ConnectResult], **fields: Any) -> StageResult:
    made = tuple(ConnectAttempt(address, 443, how, 0.1) for address, how in attempts)
    return failed(Stage.CONNECT, connect=made, **fields)


def certificate(subject: str = "CN=registry.example", issuer: str = "CN=Company CA") -> CertificateFacts:
    return CertificateFacts(subject, issuer, NOW - timedelta(days=400), NOW - timedelta(days=1), (HOST,))


def tls(fault: TLSFault, **fields: Any) -> StageResult:
    return failed(Stage.TLS, tls=TLSFacts(HOST, fault, chain=(certificate(),)), detail=fault.value, **fields)


def http(status: int = 0, *codes: str, path: str = "/v2/shop/web/manifests/1.4", **fields: Any) -> HTTPFacts:
    return HTTPFacts("GET", f"https://{HOST}{path}", status, codes, **fields)


def broken(stage: Stage, fault: HTTPFault, **fields: Any) -> StageResult:
    return failed(stage, http=http(fault=fault), **fields)


def auth(
    how: AuthResult,
    status: int = 401,
    *,
    error: str = "",
    identity: Identity = Identity.ANONYMOUS,
    path: str = "/token",
    source: str = "",
    **fields: Any,
) -> StageResult:
    facts = AuthFacts(how, "Bearer", HOST, error, source)
    return failed(Stage.AUTH, auth=facts, http=http(status, path=path), identity=identity, **fields)


def manifest(status: int, *codes: str, facts: ManifestFacts | None = None, **fields: Any) -> StageResult:
    answer = http(status, *codes, html=fields.pop("html", False), headers=fields.pop("headers", None))
    fields.setdefault("identity", Identity.ANONYMOUS)
    return failed(Stage.MANIFEST, http=answer, manifest=facts, **fields)


def platform(*available: str) -> StageResult:
    return failed(Stage.PLATFORM, platform=PlatformFacts("linux/amd64", available))


def blob(how: BlobResult, status: int = 0, **fields: Any) -> StageResult:
    answer = http(status, path=f"/v2/shop/web/blobs/{DIGEST}", fault=fields.pop("fault", None))
    return failed(Stage.BLOB, blob=BlobFacts(DIGEST, how, HOST), http=answer, **fields)


def config(
    fault: ConfigFault, *, decides: bool, file: str = "/etc/containerd/certs.d/registry.example/hosts.toml"
) -> StageResult:
    facts = ConfigFacts(fault, file, "unknown capability 'pul'", "write `pull`", 3, decides)
    outcome = Outcome.FAILED if decides else Outcome.PASSED
    return result(Stage.CONFIG, outcome, config=facts, endpoint=None, target=file)


def storage(
    *, free: int = 0, read_only: bool = False, outcome: Outcome = Outcome.FAILED, needed: int = 0
) -> StageResult:
    facts = StorageFacts("/var/lib/containerd", "images", 10 << 30, free, 1000, 900, read_only, needed)
    return result(Stage.STORAGE, outcome, storage=facts, endpoint=None, target="/var/lib/containerd")


def told(cause: CauseId, stage: Stage, *alternatives: CauseId, via: Via | None = None) -> Hypothesis:
    return Hypothesis(cause, stage, Answer.MAYBE, via, IMAGE, HOST, alternatives)


def failure(
    message: str = "some text",
    reason: Reason = Reason.ERR_IMAGE_PULL,
    image: str = IMAGE,
    credentials_sent: bool | None = None,
) -> PullFailure:
    pod = PodRef("shop", "web-7d9c", "u1")
    return PullFailure(NOW, "kubelet.service", reason, message, pod, "web", image, credentials_sent)


def again(message: str = "failed again") -> Reproduction:
    return Reproduction("Failed", "", "Unknown", message, 0.2)


def case(walk: Trace | None = None, hypothesis: Hypothesis | None = None, **fields: Any) -> Case:
    """Return a case for IMAGE; a hypothesis brings a failure with it unless one is given."""
    text = fields.setdefault("image_text", IMAGE)
    if "image" not in fields:
        try:
            fields["image"] = parse(text)
        except InvalidReference:
            fields["image"] = None
    if hypothesis is not None:
        fields.setdefault("failure", failure(image=text))
    fields.setdefault("node", NODE)
    return Case(now=NOW, trace=walk, hypothesis=hypothesis, **fields)
