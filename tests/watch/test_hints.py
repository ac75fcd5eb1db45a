"""What the kubelet says about credentials reaches the failure that it explains, and no other."""

from dataclasses import replace
from datetime import timedelta

import pytest
from watch.kubeletlines import HEADER, NOW, POD, line, one, pull, sync

from pullwhy.model import HintKind, KubeletHint, PodRef, PullFailure
from pullwhy.watch.failures import Recogniser
from pullwhy.watch.gate import gate
from pullwhy.watch.hints import AGE, MAX_HINTS, MAX_OF_ONE, NEAR, Hints

K = HintKind
REFUSED = 'failed to pull and unpack image "r.example:5000/web:1": failed to fetch anonymous token: 401'
PROVIDER_ERROR = (
    "Failed getting credential from external registry credential provider: error execing credential provider plugin "
    "cr-provider for image r.example:5000/web: exit status 1"
)
NO_SECRET = "Unable to retrieve pull secret, the image pull may not succeed."
UNREADABLE = f'{HEADER}image_pull_manager.go:1] "Unable to access cache records about image pulls" err="open: denied"'


def no_secret(error: str, secret: str = "") -> str:
    quoted = error.replace('"', '\\"')
    return f'I{HEADER[1:]}kubelet_pods.go:1] "{NO_SECRET}" pod="shop/web-0" secret="{secret}" err="{quoted}"'


def hint(kind: HintKind, message: str, **fields: object) -> KubeletHint:
    return replace(KubeletHint(NOW, "kubelet.service", kind, message), **fields)  # type: ignore[arg-type]


LINES = [
    (
        f"{HEADER}plugin.go:440] {PROVIDER_ERROR}",
        hint(K.CREDENTIAL_PROVIDER_FAILED, PROVIDER_ERROR, image="r.example:5000/web", provider="cr-provider"),
    ),
    (
        (
            f'{HEADER}plugin.go:1] "Failed to provide credentials for image" err="exit status 1" provider="p" '
            'image="r.example:5000/web" pod="shop/web-0" podUID="0b5e"'
        ),
        hint(
            K.CREDENTIAL_PROVIDER_FAILED,
            "Failed to provide credentials for image: exit status 1",
            pod=PodRef("shop", "web-0", "0b5e"),
            image="r.example:5000/web",
            provider="p",
        ),
    ),
    *(
        (no_secret(error, given), hint(K.PULL_SECRET_UNAVAILABLE, error, pod=PodRef("shop", "web-0"), secret=secret))
        for error, given, secret in (
            ("denied", "shop/cred", "shop/cred"),
            ('secret "cred" not found', "", "shop/cred"),
            ('object "shop"/"cred" not registered', "", "shop/cred"),
            ("failed to sync secret cache: timed out", "", ""),
        )
    ),
    (UNREADABLE, hint(K.PULL_RECORDS_UNREADABLE, "open: denied")),
]


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_lines_about_credentials_pass_the_gate_and_are_hints(text: str, expected: KubeletHint) -> None:
    assert gate(text.encode())
    assert Recogniser().feed(line(text)) == [expected]


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_a_hint_goes_along_with_the_failure_that_it_explains(text: str, expected: KubeletHint) -> None:
    assert failed(text, pull(REFUSED, "r.example:5000/web:1"), sync(one("ErrImagePull", REFUSED))).hints == (expected,)


def failed(*texts: str) -> PullFailure:
    recogniser = Recogniser()
    found = [each for text in texts for each in recogniser.feed(line(text))][-1]
    assert isinstance(found, PullFailure)
    return found


def test_a_back_off_keeps_the_hints_of_the_last_pull() -> None:
    text, expected = LINES[0]
    last = sync(one("ImagePullBackOff", f'Back-off pulling image "r.example:5000/web:1": ErrImagePull: {REFUSED}'))
    assert failed(text, sync(one("ErrImagePull", REFUSED)), last).hints == (expected,)


def test_each_credential_that_was_tried_is_counted() -> None:
    told = pull(REFUSED, "r.example:5000/web:1")
    assert failed(told, told, sync(one("ErrImagePull", REFUSED))).tries == 2
    assert failed(sync(one("ErrImagePull", REFUSED))).tries == 0


OWN = hint(K.CREDENTIAL_PROVIDER_FAILED, "x", image="r.example/web")


@pytest.mark.parametrize(
    ("said", "seconds", "image", "belongs"),
    [
        (OWN, 1, "r.example/web:1", True),
        (OWN, 1, "r.example/web", True),
        (OWN, 1, "r.example/db:1", False),
        (OWN, AGE.total_seconds() + 1, "r.example/web:1", False),
        (hint(K.CREDENTIAL_PROVIDER_FAILED, "x", image="docker.io/library/web"), 1, "web", True),
        (hint(K.CREDENTIAL_PROVIDER_FAILED, "x", image="%%"), 1, "web", False),
        (hint(K.PULL_RECORDS_UNREADABLE, "x"), 1, "web", True),
        (hint(K.PULL_RECORDS_UNREADABLE, "x"), NEAR.total_seconds() + 1, "web", False),
        (hint(K.PULL_SECRET_UNAVAILABLE, "x", pod=PodRef("shop", "web-0")), 60, "web", True),
        (hint(K.PULL_SECRET_UNAVAILABLE, "x", pod=PodRef("shop", "web-1")), 60, "web", False),
        (hint(K.PULL_SECRET_UNAVAILABLE, "x", pod=PodRef("test", "web-0")), 60, "web", False),
    ],
)
def test_pod_image_and_moment_tell_whose_hint_it_is(
    said: KubeletHint, seconds: float, image: str, belongs: bool
) -> None:
    hints = Hints()
    hints.add(said)
    assert hints.of(NOW + timedelta(seconds=seconds), POD, image) == ((said,) if belongs else ())


def test_memory_is_bounded_and_the_latest_stays() -> None:
    hints = Hints()
    for number in range(2 * MAX_HINTS):
        hints.add(hint(K.PULL_SECRET_UNAVAILABLE, "x", pod=PodRef("shop", "web-0"), secret=f"shop/s{number}"))
    told = hints.of(NOW, POD, "web")
    assert [each.secret for each in told] == [f"shop/s{2 * MAX_HINTS - n}" for n in range(MAX_OF_ONE, 0, -1)]


def test_a_providers_words_are_redacted_and_bounded() -> None:
    text = f"{HEADER}plugin.go:440] {PROVIDER_ERROR}: token=hunter2canary {'x' * 9000}"
    (found,) = Recogniser().feed(line(text))
    assert isinstance(found, KubeletHint)
    assert "hunter2canary" not in found.message
    assert len(found.message) <= 1000
