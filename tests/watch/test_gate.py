"""What passes the gate, and what it costs where nothing does."""

import time

import pytest
from watch.kubeletlines import HEADER, REFUSED, one, pull, sync, without_credentials

from pullwhy.model import Reason
from pullwhy.watch.gate import gate


@pytest.mark.parametrize(
    "text",
    [
        pull(REFUSED, "web:1"),
        without_credentials(REFUSED, "web:1"),
        f'{HEADER}kuberuntime_image.go:43] "Failed to pull image" err=<',
        ' > image="web:1"',
        '{"ts":1795335652115.3,"caller":"kuberuntime/kuberuntime_image.go:43","msg":"Failed to pull image","err":"x"}',
    ],
)
def test_lines_about_single_pulls_pass_the_gate(text: str) -> None:
    assert gate(text.encode())


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.CREATE_POD_SANDBOX_ERROR, Reason.PULL_HANGS}))
def test_a_sync_error_about_a_pull_passes_by_its_reason_or_its_words(reason: Reason) -> None:
    told_by_words = reason in {Reason.REGISTRY_UNAVAILABLE, Reason.SIGNATURE_VALIDATION_FAILED}
    words = "image pull failed for web:1 because x" if told_by_words else "x"
    assert gate(sync(one(reason.value, words)).encode())


@pytest.mark.parametrize(
    "message",
    [
        'Failed to create sandbox for pod "web-0": failed to get sandbox image "p:1": x',
        'Failed to create sandbox for pod "web-0": failed to pull image "p:1": x',
    ],
)
def test_a_sync_error_about_a_sandbox_image_passes(message: str) -> None:
    error = one("CreatePodSandboxError", message, "web-0_shop(0b5e)", "CreatePodSandbox")
    assert gate(sync(error).encode())


LONGEST_HEADER = "1122 08:10:35.850846 4194304 a_file_with_a_name_of_forty_characters.go:12345] "


@pytest.mark.parametrize(
    "text",
    [
        f'I{LONGEST_HEADER}"Unable to retrieve pull secret, the image pull may not succeed." pod="shop/web-0"',
        f"W{LONGEST_HEADER}Unable to retrieve pull secret shop/cred for shop/web-0 due to x. The image pull may not succeed.",
        f"E{LONGEST_HEADER}Failed getting credential from external registry credential provider: x",
        f'E{LONGEST_HEADER}"Failed to provide credentials for image" err="x"',
    ],
)
def test_lines_about_credentials_pass_with_any_header(text: str) -> None:
    assert gate(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        'I1122 08:10:35.850846   20212 kubelet.go:1] "SyncLoop (PLEG): event for pod" pod="shop/web-0"',
        'E1122 08:10:35.850846   20212 kubelet.go:1] "Skipping pod synchronization" err="PLEG is not healthy"',
        "",
    ],
)
def test_noise_does_not_pass_the_gate(text: str) -> None:
    assert not gate(text.encode())


def test_noise_costs_next_to_nothing() -> None:
    noise = (
        b'I1122 08:10:35.850846   20212 kubelet.go:1] "SyncLoop (PLEG): event for pod" pod="shop/web-0" ' + b"x" * 200
    )
    start = time.process_time()
    for _ in range(100_000):
        gate(noise)
    assert time.process_time() - start < 0.5
