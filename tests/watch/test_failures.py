"""From lines to failures, with the kubelet's exact lines."""

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watch.kubeletlines import HEADER, NOW, POD, REFUSED, line, one, pull, sync, without_credentials

from pullwhy.gotext import quote
from pullwhy.model import PullFailure, Reason
from pullwhy.watch.failures import (
    Recognised,
    Recogniser,
    RuntimeEvent,
)
from pullwhy.watch.logtext import read_log

DATA = Path(__file__).parent.parent / "data"


def recognised(*texts: str) -> list[Recognised]:
    recogniser = Recogniser()
    return [found for text in texts for found in recogniser.feed(line(text))]


def failure(
    reason: Reason, message: str, image: str, container: str = "app", sent: bool | None = None, told_as: str = ""
) -> PullFailure:
    tries = 1 if sent is True else 0
    return PullFailure(
        NOW, "kubelet.service", reason, message, POD, container, image, sent, tries=tries, told_as=told_as
    )


def backed_off(image: str, sent: bool | None = None) -> PullFailure:
    return failure(Reason.IMAGE_PULL_BACK_OFF, REFUSED, image, sent=sent, told_as="ErrImagePull")


def test_a_failed_pull() -> None:
    assert recognised(sync(one("ErrImagePull", REFUSED))) == [
        failure(Reason.ERR_IMAGE_PULL, REFUSED, "docker.io/library/web:1")
    ]


def test_the_pods_own_spelling_comes_from_the_line_with_the_same_error() -> None:
    texts = [pull(f"rpc error: code = Unknown desc = {REFUSED}", "web:1"), sync(one("ErrImagePull", REFUSED))]
    assert recognised(*texts) == [failure(Reason.ERR_IMAGE_PULL, REFUSED, "web:1", sent=True)]


def test_a_line_with_the_same_error_long_ago_does_not_count() -> None:
    recogniser = Recogniser()
    recogniser.feed(line(pull(REFUSED, "web:1")))
    assert recogniser.feed(line(sync(one("ErrImagePull", REFUSED)), after=60.0)) == [
        PullFailure(
            NOW + timedelta(seconds=60),
            "kubelet.service",
            Reason.ERR_IMAGE_PULL,
            REFUSED,
            POD,
            "app",
            "docker.io/library/web:1",
        )
    ]


def test_pods_that_fail_in_the_same_words_at_once_are_not_confused() -> None:
    error = 'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing"'
    other = sync(one("ErrImagePull", error)).replace("shop/web-0", "shop/db-0").replace("0b5e", "77aa")
    in_turn = recognised(pull(error, "web:1"), sync(one("ErrImagePull", error)), pull(error, "db:1"), other)
    assert [found.image for found in in_turn if isinstance(found, PullFailure)] == ["web:1", "db:1"]
    interleaved = recognised(pull(error, "web:1"), pull(error, "db:1"), sync(one("ErrImagePull", error)), other)
    assert [found.image for found in interleaved if isinstance(found, PullFailure)] == ["", ""]


def test_whether_credentials_were_sent_is_told_by_the_lines_before() -> None:
    with_prefix = f"rpc error: code = Unknown desc = {REFUSED}"
    tried, none_matched = pull(with_prefix, "web:1"), without_credentials(REFUSED, "web:1")
    for before, sent in (((tried, none_matched), False), ((tried, tried), True), ((), None)):
        [found] = recognised(*before, sync(one("ErrImagePull", REFUSED)))
        assert isinstance(found, PullFailure)
        assert found.credentials_sent is sent


def test_a_back_off_keeps_what_the_last_pull_told_of_credentials() -> None:
    lines = (
        (pull(REFUSED, "web:1"), True),
        (without_credentials(REFUSED, "web:1"), False),
        ("", None),
    )
    for told, sent in lines:
        for text in ('Back-off pulling image "web:1"', f'Back-off pulling image "web:1": ErrImagePull: {REFUSED}'):
            found = recognised(
                pull("earlier", "web:1"),
                sync(one("ErrImagePull", "earlier")),
                told,
                sync(one("ErrImagePull", REFUSED)),
                sync(one("ImagePullBackOff", text)),
            )
            assert found[-1] == backed_off("web:1", sent)


def test_where_nothing_was_pulled_nothing_is_said_of_credentials() -> None:
    texts = [pull(REFUSED, "web:1"), sync(one("ErrImagePull", "pull QPS exceeded"))]
    assert recognised(*texts) == [failure(Reason.ERR_IMAGE_PULL, "pull QPS exceeded", "")]
    never = 'Container image "web:1" is not present with pull policy of Never'
    assert recognised(pull(never, "web:1"), sync(one("ErrImageNeverPull", never))) == [
        failure(Reason.ERR_IMAGE_NEVER_PULL, never, "web:1")
    ]


def test_back_off_of_new_kubelets_carries_its_cause() -> None:
    text = f'Back-off pulling image "web:1": ErrImagePull: {REFUSED}'
    assert recognised(sync(one("ImagePullBackOff", text))) == [backed_off("web:1")]


def test_back_off_of_old_kubelets_is_completed_from_memory() -> None:
    texts = [sync(one("ErrImagePull", REFUSED)), sync(one("ImagePullBackOff", 'Back-off pulling image "web:1"'))]
    assert recognised(*texts)[1:] == [backed_off("web:1")]


def test_back_off_without_a_known_cause_says_no_more_than_that() -> None:
    text = 'Back-off pulling image "web:1"'
    assert recognised(sync(one("ImagePullBackOff", text))) == [failure(Reason.IMAGE_PULL_BACK_OFF, text, "web:1")]


def test_several_containers_are_several_failures() -> None:
    never = 'Container image "a:1" is not present with pull policy of Never'
    parts = [
        one("ErrImagePull", REFUSED, "init"),
        one("CrashLoopBackOff", "back-off", "x"),
        one("ErrImageNeverPull", never, "side"),
    ]
    error = f"[{', '.join(parts)}]"
    found = recognised(sync(error))
    assert [(f.reason, f.container, f.image) for f in found if isinstance(f, PullFailure)] == [
        (Reason.ERR_IMAGE_PULL, "init", "docker.io/library/web:1"),
        (Reason.ERR_IMAGE_NEVER_PULL, "side", "a:1"),
    ]


@pytest.mark.parametrize(
    ("reason", "message", "image"),
    [
        (
            "InvalidImageName",
            'Failed to apply default image tag "A/b:1": couldn\'t parse image name "A/b:1": x',
            "A/b:1",
        ),
        ("ImageInspectError", 'Failed to inspect image "a:1": rpc error: code = Unknown desc = x', "a:1"),
        ("RegistryUnavailable", "image pull failed for a:1 because the registry is unavailable: x", "a:1"),
        ("SignatureValidationFailed", "image pull failed for a:1 because the signature validation failed: x", "a:1"),
        ("ImageVolumeMountFailed", 'failed to pull and unpack image "a:1": x', "a:1"),
    ],
)
def test_every_reason_of_a_pull(reason: str, message: str, image: str) -> None:
    assert recognised(sync(one(reason, message))) == [failure(Reason(reason), message, image)]


@pytest.mark.parametrize(
    "reason", ["CreateContainerError", "CrashLoopBackOff", "RunContainerError", "CreateContainerConfigError"]
)
def test_other_reasons_are_no_pull_failure(reason: str) -> None:
    assert recognised(sync(one(reason, 'failed to pull and unpack image "a:1": x'))) == []


def test_sandbox_image() -> None:
    message = (
        'Failed to create sandbox for pod "web-0": rpc error: code = NotFound desc = failed to pull image "p:1": x'
    )
    error = one("CreatePodSandboxError", message, "web-0_shop(0b5e)", "CreatePodSandbox")
    assert recognised(sync(error)) == [failure(Reason.CREATE_POD_SANDBOX_ERROR, message, "p:1", "")]


def test_sandbox_without_a_pull_is_no_pull_failure() -> None:
    message = 'failed to setup network for sandbox "x": plugin type="calico" failed (add): pulling the plug: x509: y'
    assert recognised(sync(one("CreatePodSandboxError", message, "web-0", "CreatePodSandbox"))) == []


def test_image_from_the_struct_of_old_kubelets_without_its_environment() -> None:
    struct = "&Container{Name:app,Image:web:1,Env:[]EnvVar{EnvVar{Name:A,Value:hunter2,},},ImagePullPolicy:Always,}"
    started = f"container {struct} start failed in pod web-0_shop(0b5e): ErrImagePull: pull QPS exceeded"
    for text in (
        f"{HEADER}kuberuntime_manager.go:1222] {started}",
        f'{HEADER}kuberuntime_manager.go:1274] "Unhandled Error" err={quote(started)} logger="UnhandledError"',
    ):
        found = recognised(text, sync(one("ErrImagePull", "pull QPS exceeded")))
        assert found == [failure(Reason.ERR_IMAGE_PULL, "pull QPS exceeded", "web:1")]


def test_multi_line_error_in_pieces() -> None:
    error = (
        'failed to pull and unpack image "r.example/web:1": unexpected status: 429 Too Many Requests\ntoomanyrequests'
    )
    texts = [
        f'{HEADER}remote_image.go:250] "PullImage from image service failed" err=<',
        *(f"\t{part}" for part in f"rpc error: code = Unknown desc = {error}".split("\n")),
        ' > image="web:1"',
        sync(one("ErrImagePull", error)),
    ]
    assert recognised(*texts) == [failure(Reason.ERR_IMAGE_PULL, error, "web:1", sent=True)]


def test_a_registrys_line_break_forges_no_line_within_a_value() -> None:
    texts = [
        f'{HEADER}remote_image.go:250] "PullImage from image service failed" err=<',
        "\trpc error: x",
        "\t" + sync(one("ErrImagePull", "forged")),
        ' > image="web:1"',
    ]
    assert recognised(*texts) == []


def test_secrets_do_not_stay_in_a_message() -> None:
    found = recognised(sync(one("ErrImagePull", 'Get "https://cdn.example/x?X-Amz-Signature=hunter2": EOF')))
    assert "hunter2" not in str(found)


def test_runtime_lines_are_events() -> None:
    found = recognised('time="x" level=info msg="trying next host" error=EOF host=m.example')
    assert [type(each) for each in found] == [RuntimeEvent]


FORGED = 'time="2026-11-22T08:00:00Z" level=info msg="PullImage \\"10.0.0.5:8080/x:1\\""'


def test_the_kubelet_cannot_be_made_to_speak_for_the_runtime() -> None:
    torn = f'{HEADER}remote_image.go:250] "PullImage from image service failed" err=<'
    assert recognised(torn, FORGED) == []
    assert recognised(sync(one("ErrImagePull", REFUSED)), FORGED)[1:] == []
    assert len(recognised(FORGED)) == 1


@pytest.mark.parametrize("name", ["kubelet-1.27.7", "kubelet-1.31.14", "kubelet-1.36.2"])
def test_recorded_kubelets(name: str) -> None:
    pods = json.loads((DATA / "kubelet-pods.json").read_text())
    recogniser = Recogniser()
    seen: dict[str, set[str]] = {}
    with (DATA / f"{name}.export.gz").open("rb") as file:
        for each in read_log(file, name, NOW):
            for found in recogniser.feed(each):
                assert isinstance(found, PullFailure)
                assert found.pod is not None
                assert found.pod.namespace == pods[found.pod.name]["namespace"]
                assert found.container
                assert found.message
                seen.setdefault(found.pod.name, set()).add(found.image)
    assert seen.keys() == {pod for pod, told in pods.items() if name in told["fails_in"]}
    # Without the kubelet's struct, a pull that the kubelet itself put off names its image only when it is tried again.
    assert all(images - {""} == {pods[pod]["image"]} for pod, images in seen.items())


@given(
    st.lists(
        st.one_of(
            st.text(max_size=60), st.sampled_from([sync(one("ErrImagePull", "x")), HEADER + 'a.go:1] "m" err=<', "\tx"])
        )
    )
)
@settings(max_examples=60)
def test_any_lines_are_borne(texts: list[str]) -> None:
    recognised(*texts)


@pytest.mark.parametrize(
    "unit", ["failed to ", "&Container{Name:a,Image:b,", '\\"', "Back-off pulling image ", "\\\\", "{"]
)
def test_hostile_lines_cost_linear_time(unit: str) -> None:
    body = unit * (250_000 // len(unit))
    start = time.process_time()
    for text in (sync(body), HEADER + "a.go:1] " + body, sync(one("ErrImagePull", body)), "{" + body):
        recognised(text + "pull")
    assert time.process_time() - start < 4.0
