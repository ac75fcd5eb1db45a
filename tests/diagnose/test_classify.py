"""From texts to hypotheses: wrappers, natures, images, and what hostile texts cannot do."""

import json
import time
from datetime import UTC, datetime

import pytest
from errortexts import HEADER, IMAGE, MANIFEST_URL, REFUSED, crio, head, resolve, sync
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.diagnose.classify.classifier import classify, classify_failure
from pullwhy.gotext import quote
from pullwhy.model import Answer, Hypothesis, PullFailure, Reason, Stage
from pullwhy.model import CauseId as C


@pytest.mark.parametrize(
    "text",
    [
        'Successfully pulled image "web:1" in 1s',
        'Container image "web:1" already present on machine',
        'Pulling image "web:1"',
        'time="2026-01-01T00:00:00Z" level=info msg="PullImage \\"web:1\\""',
        'time="2026-01-01T00:00:00Z" level=info msg="stop pulling image web:1: active requests=2, bytes read=4"',
        "Back-off restarting failed container",
        'Readiness probe failed: Get "http://192.0.2.1/v2/": dial tcp 192.0.2.1:80: connect: connection refused',
        'MountVolume.SetUp failed for volume "x": rpc error: code = DeadlineExceeded desc = context deadline exceeded',
        "Failed to push image: denied: requested access to the resource is denied",
        'Failed to create pod sandbox: failed to setup network for sandbox: Get "https://192.0.2.1:443/apis": x509: certificate signed by unknown authority',
        "the server has received too many requests and has asked us to try again later",
        "failed to kill container docker://0123456789abcdef: context deadline exceeded",
        "failed to create containerd container: error unpacking image: mismatched image rootfs and manifest layers",
        'Get "https://192.0.2.1:6443/api/v1/nodes": dial tcp 192.0.2.1:6443: connect: connection refused',
        'unable to read "https://x.example/manifests/install.yaml": dial tcp: lookup x.example: no such host',
        "write /var/lib/x: no space left on device",
        "",
        "hello",
    ],
)
def test_other_texts_are_no_pull_failure(text: str) -> None:
    assert classify(text) is None


@pytest.mark.parametrize(
    "text",
    [
        REFUSED,
        f"rpc error: code = Unknown desc = {REFUSED}",
        f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = {REFUSED}',
        f"  Warning  Failed     2s (x3 over 60s)  kubelet  Failed to pull image {quote(IMAGE)}: {REFUSED}",
        f'{HEADER}remote_image.go:250] "PullImage from image service failed" err={quote(REFUSED)} image={quote(IMAGE)}',
        f'{HEADER}kuberuntime_image.go:43] "Failed to pull image" err={quote(REFUSED)} image={quote(IMAGE)}',
        f"{HEADER}kuberuntime_manager.go:1] container &Container{{Name:app,Image:{IMAGE},}} start failed in pod p_n(u): ErrImagePull: {REFUSED}",
        f'{HEADER}kuberuntime_manager.go:1] "Unhandled Error" err={quote("container app start failed in pod p_n(u): ErrImagePull: " + REFUSED)}',
        sync("ErrImagePull", REFUSED),
        sync("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {REFUSED}'),
        f"Nov 22 08:10:35 node-a kubelet[20212]: {sync('ErrImagePull', REFUSED)}",
        f"kubelet {sync('ErrImagePull', REFUSED)}",
        f'{HEADER}remote_image.go:250] "PullImage from image service failed" err=<\n\t{REFUSED}\n > image="{IMAGE}"',
        json.dumps({"ts": 1.0, "caller": "a.go:1", "msg": "Failed to pull image", "err": REFUSED, "image": IMAGE}),
        f"192.0.2.9: {json.dumps({'ts': 1.0, 'msg': 'Error syncing pod, skipping', 'err': 'x ErrImagePull: ' + REFUSED})}",
        f'time="2026-01-01T00:00:00Z" level=error msg="PullImage \\"{IMAGE}\\" failed" error={quote(REFUSED)}',
        f'time="x" level=info msg={quote(sync("ErrImagePull", REFUSED))} component=kubelet stream=stderr',
        f"[{REFUSED}, {REFUSED}]",
        f"\x1b[31m{REFUSED}\x1b[0m",
    ],
)
def test_any_wrapper_gives_the_same_answer(text: str) -> None:
    assert classify(text) == Hypothesis(
        C.CONNECTION_REFUSED, Stage.CONNECT, Answer.MAYBE, None, IMAGE, "r.example:5000", ()
    )


def test_one_of_several_containers_is_explained() -> None:
    error = ", ".join(
        f'failed to "StartContainer" for "{name}" with {reason}: {quote(message)}'
        for name, reason, message in (
            ("a", "CrashLoopBackOff", "back-off"),
            ("b", "ImagePullBackOff", 'Back-off pulling image "x:1"'),
            ("c", "ErrImagePull", REFUSED),
        )
    )
    found = classify(f'{HEADER}pod_workers.go:1] "Error syncing pod, skipping" err={quote(f"[{error}]")}')
    assert found is not None
    assert (found.cause, found.image) == (C.CONNECTION_REFUSED, IMAGE)


def test_the_pods_spelling_of_the_image_comes_first() -> None:
    found = classify(f'Failed to pull image "web": {resolve("EOF", "docker.io/library/web:latest")}')
    assert found is not None
    assert (found.image, found.registry) == ("web", "docker.io")


def test_a_page_of_events_is_explained_by_the_pull_in_it() -> None:
    page = f"""Events:
  Type     Reason     Age                From     Message
  Normal   Pulled     10s                kubelet  Container image "side:1" already present on machine
  Warning  Unhealthy  9s                 kubelet  Readiness probe failed: connection refused
  Normal   Pulling    8s (x2 over 20s)   kubelet  Pulling image "{IMAGE}"
  Warning  Failed     8s (x2 over 20s)   kubelet  Failed to pull image "{IMAGE}": {head("EOF")}
  Warning  Failed     8s (x2 over 20s)   kubelet  Error: ErrImagePull
  Normal   BackOff    4s (x2 over 18s)   kubelet  Back-off pulling image "{IMAGE}"
"""
    found = classify(page)
    assert found is not None
    assert (found.cause, found.image) == (C.CONNECTION_RESET, IMAGE)


def test_crictl_says_it_twice() -> None:
    line = f'{HEADER}remote_image.go:1] "PullImage from image service failed" err={quote(REFUSED)} image={quote(IMAGE)}'
    found = classify(f"{line}\nFATA[0000] pulling image: rpc error: code = Unknown desc = {REFUSED}")
    assert found is not None
    assert found.cause is C.CONNECTION_REFUSED


def test_mirrors_of_crio_are_named_as_alternative() -> None:
    mirror = "[m.example/shop/web:1: reading manifest: denied]\n[n.example/shop/web:1: EOF]"
    found = classify(crio(f"(Mirrors also failed: {mirror}): {IMAGE}: reading manifest 1 in x: manifest unknown"))
    assert found is not None
    assert found.cause is C.TAG_NOT_FOUND
    assert C.MIRROR_FAILED in found.alternatives


def test_refusals_name_what_they_may_also_mean() -> None:
    found = classify(resolve(f"unexpected status from HEAD request to {MANIFEST_URL}: 403 Forbidden"))
    assert found is not None
    assert {C.CREDENTIALS_REJECTED, C.CREDENTIALS_MISSING, C.SOURCE_DENIED, C.BLOCKED_BY_POLICY} <= set(
        found.alternatives
    )


@pytest.mark.parametrize(
    "name", ["denied/toomanyrequests", "x/no-such-host", "unauthorized/forbidden", "x/eof", "tls/x509"]
)
def test_names_are_no_errors(name: str) -> None:
    image = f"r.example/{name}:not-found"
    url = f"https://r.example/v2/{name}/manifests/not-found"
    found = classify(head("dial tcp 192.0.2.1:443: connect: connection refused", url, image))
    assert found is not None
    assert found.cause is C.CONNECTION_REFUSED


def test_a_registrys_words_do_not_outrank_the_runtimes() -> None:
    answer = "no space left on device: no such host: x509: certificate signed by unknown authority"
    found = classify(
        resolve(f"unexpected status from HEAD request to {MANIFEST_URL}: 500 Internal Server Error\n{answer}")
    )
    assert found is not None
    assert found.cause is C.REGISTRY_SERVER_ERROR


def test_a_recognised_failure_always_has_a_hypothesis() -> None:
    failure = PullFailure(datetime(2026, 1, 1, tzinfo=UTC), "u", Reason.ERR_IMAGE_PULL, "something new", image=IMAGE)
    assert classify_failure(failure) == Hypothesis(
        C.UNDETERMINED, Stage.RUNTIME, Answer.MAYBE, None, IMAGE, "r.example:5000"
    )


def test_a_recognised_failures_own_image_comes_first() -> None:
    failure = PullFailure(datetime(2026, 1, 1, tzinfo=UTC), "u", Reason.ERR_IMAGE_PULL, REFUSED, image="web:1")
    found = classify_failure(failure)
    assert (found.cause, found.image, found.registry) == (C.CONNECTION_REFUSED, "web:1", "docker.io")


@given(st.text())
def test_classifying_never_raises(text: str) -> None:
    classify(text)
    classify(f'Failed to pull image "x": {text}')
    classify(f'{HEADER}a.go:1] "Failed to pull image" err={text}')


@given(st.integers(min_value=0, max_value=400))
def test_cut_texts_are_borne(length: int) -> None:
    assert classify(sync("ErrImagePull", REFUSED)[: len(HEADER) + 120 + length]) is not None


@pytest.mark.parametrize(
    "unit",
    [
        "https://",
        "credential provider ",
        'failed to "',
        "docker://a",
        "(Mirrors also failed: [",
        '{"msg":',
        'err="\\',
        '\\"',
        "dial tcp ",
        "[",
    ],
)
def test_hostile_texts_cost_linear_time(unit: str) -> None:
    start = time.process_time()
    classify(f'Failed to pull image "x": {unit * (100_000 // len(unit))}')
    assert time.process_time() - start < 2.0
