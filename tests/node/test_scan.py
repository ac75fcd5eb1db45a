"""A stored log as findings."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pullwhy.diagnose.document.finding import finding_id
from pullwhy.gotext import quote
from pullwhy.model import CauseId, Confidence, Factor, Finding, State
from pullwhy.node.scan import Scan
from pullwhy.watch.lines import LogLine
from pullwhy.watch.logtext import read_log

DATA = Path(__file__).parent.parent / "data"
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HEADER = "E1122 08:10:35.850846   20212 "
REFUSED = "dial tcp 192.0.2.1:443: connect: connection refused"
ABSENT = 'failed to pull and unpack image "r.example/web:1": failed to resolve image: r.example/web:1: not found'


def sync(reason: str, message: str, pod: str = "web-0", container: str = "app") -> str:
    error = f'failed to "StartContainer" for {quote(container)} with {reason}: {quote(message)}'
    return f'{HEADER}pod_workers.go:1] "Error syncing pod, skipping" err={quote(error)} pod="shop/{pod}" podUID="{pod}"'


def failed(tail: str, pod: str = "web-0", image: str = "r.example/web:1") -> str:
    url = "https://r.example/v2/web/manifests/1"
    return sync(
        "ErrImagePull", f'failed to pull and unpack image "{image}": failed to do request: Head "{url}": {tail}', pod
    )


def findings(texts: Iterable[str], seconds: float = 10.0) -> list[Finding]:
    scan = Scan()
    scan.take(
        LogLine(NOW + timedelta(seconds=seconds * number), "kubelet.service", text) for number, text in enumerate(texts)
    )
    return scan.findings("node-a")


def test_a_back_off_repeats_the_words_and_the_reason_of_the_pull_before() -> None:
    for back_off in ('Back-off pulling image "web:1"', 'Back-off pulling image "web:1": ErrImagePull: not found'):
        scan = Scan()
        texts = [sync("ErrImagePull", ABSENT), sync("ImagePullBackOff", back_off)]
        scan.take(read_log(io.BufferedReader(io.BytesIO("\n".join(texts).encode())), "kubelet.log", NOW))
        [said, *_] = scan.findings("")[0].diagnosis.evidence
        assert said.fact.startswith("ErrImagePull: ")
        assert said.source == "log file"


def test_pods_with_one_image_and_cause_are_one_finding() -> None:
    [found] = findings([failed(REFUSED), failed(REFUSED, "web-1"), failed(REFUSED)])
    assert (found.image, found.registry, found.node) == ("r.example/web:1", "r.example", "node-a")
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (CauseId.CONNECTION_REFUSED, Confidence.LIKELY)
    assert (found.count, found.state, found.first_seen, found.last_seen) == (
        3,
        State.ACTIVE,
        NOW,
        NOW + timedelta(seconds=20),
    )
    assert [(pod.namespace, pod.name, pod.container, pod.attempts) for pod in found.pods] == [
        ("shop", "web-0", "app", 2),
        ("shop", "web-1", "app", 1),
    ]
    assert found.kubelet.attempts == 2
    assert found.kubelet.backoff_seconds > 0
    assert found.kubelet.next_retry_at is not None


def test_a_later_cause_supersedes() -> None:
    latest, former = findings([failed(REFUSED), sync("ErrImagePull", ABSENT)])
    assert (latest.diagnosis.cause, latest.state) == (CauseId.TAG_NOT_FOUND, State.ACTIVE)
    assert (former.diagnosis.cause, former.state, former.resolved_at) == (
        CauseId.CONNECTION_REFUSED,
        State.SUPERSEDED,
        NOW,
    )


def test_a_back_off_counts_no_attempt_and_alone_tells_no_cause() -> None:
    back_off = sync("ImagePullBackOff", 'Back-off pulling image "r.example/web:1"')
    [found] = findings([back_off, back_off])
    assert (found.diagnosis.cause, found.count, found.pods[0].attempts) == (CauseId.UNDETERMINED, 1, 0)
    [found] = findings([back_off, sync("ErrImagePull", ABSENT), back_off])
    assert (found.diagnosis.cause, found.pods[0].attempts) == (CauseId.TAG_NOT_FOUND, 1)


def test_a_failure_without_an_image_takes_it_from_the_same_container() -> None:
    texts = [
        sync("ErrImagePull", "pull QPS exceeded"),
        sync("ImagePullBackOff", 'Back-off pulling image "r.example/web:1"'),
    ]
    [found] = findings(texts)
    assert (found.image, found.diagnosis.cause) == ("r.example/web:1", CauseId.KUBELET_PULL_RATE_LIMITED)


def test_a_later_success_of_the_runtime_recovers() -> None:
    pulled = 'time="x" level=info msg="PullImage \\"docker.io/library/web:1\\" returns image reference \\"sha256:ab\\""'
    [found] = findings([failed(REFUSED, image="web:1"), pulled])
    assert (found.state, found.resolved_at) == (State.RECOVERED, NOW + timedelta(seconds=10))
    [found] = findings([pulled, failed(REFUSED, image="web:1")])
    assert found.state is State.ACTIVE


def test_what_only_the_runtime_tells_is_told_without_pods() -> None:
    runtime = f'time="x" level=error msg="PullImage \\"r.example/web:1\\" failed" error={quote(ABSENT)}'
    [found] = findings([runtime])
    assert (found.image, found.diagnosis.cause, found.pods) == ("r.example/web:1", CauseId.TAG_NOT_FOUND, ())
    [found] = findings([runtime, sync("ErrImagePull", ABSENT)])
    assert len(found.pods) == 1


PULL = 'time="x" level=info msg="PullImage \\"r.example/web:1\\""'
NEXT = 'time="x" level=info msg="trying next host after status: 503 Service Unavailable" host=mirror.example'
UNREAD = 'time="x" level=error msg="failed to decode hosts.toml" error="invalid `host` tree"'


def test_what_the_runtime_logged_of_its_hosts_is_evidence() -> None:
    [found] = findings([PULL, NEXT, failed(REFUSED)])
    assert found.diagnosis.cause is CauseId.CONNECTION_REFUSED
    assert Factor.MIRROR_SKIPPED in found.diagnosis.factors
    assert any("mirror.example (a mirror): answered 503" in fact.fact for fact in found.diagnosis.evidence)


def test_a_file_that_the_runtime_could_not_read_is_one_finding_whatever_the_default_host_says() -> None:
    [found] = findings([PULL, UNREAD, failed(REFUSED), failed("http: server gave HTTP response to HTTPS client")])
    assert (found.diagnosis.cause, found.state) == (CauseId.RUNTIME_CONFIG_INVALID, State.ACTIVE)


def test_a_quiet_log_has_no_findings() -> None:
    assert findings([f'{HEADER}kubelet.go:1] "Skipping pod synchronization" err="PLEG is not healthy"']) == []


@pytest.mark.parametrize("name", ["kubelet-1.27.7", "kubelet-1.31.14", "kubelet-1.36.2"])
def test_recorded_kubelets(name: str) -> None:
    pods = json.loads((DATA / "kubelet-pods.json").read_text())
    scan = Scan()
    with (DATA / f"{name}.export.gz").open("rb") as file:
        scan.take(read_log(file, name, NOW))
    told: dict[str, set[str]] = {}
    for found in scan.findings(""):
        assert found.diagnosis.confidence is Confidence.LIKELY
        for pod in found.pods:
            assert found.image == pods[pod.name]["image"]
            told.setdefault(pod.name, set()).add(found.diagnosis.cause)
    assert told.keys() == {pod for pod, known in pods.items() if name in known["fails_in"]}
    # What a version tolerates where others do not, and the kubelet's own limiter, are not in the table of faults.
    known = {pod: {*pods[pod]["causes"], "KubeletPullRateLimited"} for pod in told if pods[pod]["causes"]}
    wrong = {pod: causes - known[pod] for pod, causes in told.items() if pod in known and causes - known[pod]}
    assert len(wrong) <= 3, wrong


def test_recorded_sandbox_and_lost_runtime() -> None:
    scan = Scan()
    with (DATA / "kubelet-1.36.2-sandbox.export.gz").open("rb") as file:
        scan.take(read_log(file, "x", NOW))
    causes = {(found.diagnosis.cause, found.diagnosis.via) for found in scan.findings("")}
    assert (CauseId.TAG_NOT_FOUND, "SandboxImage") in causes
    assert (CauseId.RUNTIME_UNAVAILABLE, None) in causes


PROVIDER = (
    f"{HEADER}plugin.go:440] Failed getting credential from external registry credential provider: error execing "
    "credential provider plugin p for image r.example/web: exit status 1: no identity"
)
DENIED = (
    'failed to pull and unpack image "r.example/web:1": failed to resolve reference "r.example/web:1": failed to authorize: '
    "failed to fetch anonymous token: unexpected status: 401 Unauthorized"
)


def test_a_provider_that_the_kubelet_told_of_is_the_cause_and_the_findings_id_is_of_it() -> None:
    [found] = findings([PROVIDER, sync("ErrImagePull", DENIED)])
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (
        CauseId.CREDENTIAL_PROVIDER_FAILED,
        Confidence.LIKELY,
    )
    assert found.id == finding_id("node-a", "r.example/web:1", CauseId.CREDENTIAL_PROVIDER_FAILED)
    assert "no identity" in found.diagnosis.summary


def test_a_provider_for_another_image_changes_nothing() -> None:
    [found] = findings([PROVIDER.replace("r.example/web", "r.example/db"), sync("ErrImagePull", DENIED)])
    assert found.diagnosis.cause is CauseId.CREDENTIALS_MISSING
