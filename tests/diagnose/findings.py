"""A finding with every field set."""

from datetime import timedelta

from diagnose.builders import NOW, UNTIL_TLS, case, failure, manifest, passing, result, told, trace

from pullwhy.diagnose.document.finding import finding_id
from pullwhy.diagnose.judge import judge
from pullwhy.model import CauseId, FailingPod, Finding, KubeletState, Reproduction, Scope, ScopeVerdict, Stage, State
from pullwhy.trace import AuthFacts, AuthResult, ManifestFacts

FACTS = ManifestFacts(tag_listed=False, similar_tags=("1.40",), repository_answers=True)
WALK = trace(
    passing(*UNTIL_TLS),
    result(Stage.AUTH, auth=AuthFacts(AuthResult.NOT_NEEDED)),
    manifest(404, "MANIFEST_UNKNOWN", facts=FACTS),
)
DIAGNOSIS = judge(
    case(WALK, told(CauseId.TAG_NOT_FOUND, Stage.MANIFEST), failure=failure("registry.example/shop/web:1.4: not found"))
)

FINDING = Finding(
    id=finding_id("node-a", "registry.example/shop/web:1.4", CauseId.TAG_NOT_FOUND),
    node="node-a",
    image="registry.example/shop/web:1.4",
    registry="registry.example",
    diagnosis=DIAGNOSIS,
    first_seen=NOW - timedelta(minutes=5),
    last_seen=NOW,
    count=4,
    state=State.RECOVERED,
    resolved_at=NOW + timedelta(minutes=1),
    cluster="c1",
    zone="z1",
    pool="p1",
    agent_version="0.1.0",
    pods=(FailingPod("shop", "web-7d9c", "u1", "web", "ReplicaSet/web", 4, NOW + timedelta(seconds=80)),),
    kubelet=KubeletState(4, "not found", 80.0, NOW + timedelta(seconds=80)),
    reproduction=Reproduction("Failed", "ErrImagePull", "NotFound", "not found", 0.4),
    trace=tuple(result.line() for result in WALK.results),
    scope=Scope(ScopeVerdict.IMAGE_WIDE, 3, 0, 1, ("zone z1",)),
)
