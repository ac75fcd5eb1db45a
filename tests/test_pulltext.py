"""Which image a text names."""

import pytest

from pullwhy.pulltext import pod_image, runtime_image, sandbox_image


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ('Back-off pulling image "web:1"', "web:1"),
        ('Failed to apply default image tag "a:bad tag": couldn\'t parse', "a:bad tag"),
        ('Container image "a/b:1" is not present with pull policy of Never', "a/b:1"),
        ('Failed to inspect image "a:1": rpc error', "a:1"),
        ('Failed to pull image "a:1": rpc error', "a:1"),
        ("image pull failed for a/b:1 because the registry is unavailable: x", "a/b:1"),
        ("image pull failed for a/b:1, this may be because there are no credentials", ""),
        ("failed to resolve", ""),
        (r'Back-off pulling image "a\"b"', 'a"b'),
    ],
)
def test_image_as_the_pod_spells_it(text: str, image: str) -> None:
    assert pod_image(text) == image


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ('failed to pull and unpack image "r.example/a:1": failed to resolve', "r.example/a:1"),
        ('failed to parse image reference "": invalid reference format', ""),
        ('cannot parse input: "A:1": repository name must be lowercase', "A:1"),
        ("initializing source docker://r.example:5000/a:1: pinging container registry", "r.example:5000/a:1"),
        (
            "choosing an image from manifest list docker://r.example/a@sha256:ab: no image found",
            "r.example/a@sha256:ab",
        ),
        ('PullImage "a:1" failed', "a:1"),
    ],
)
def test_image_as_the_runtime_spells_it(text: str, image: str) -> None:
    assert runtime_image(text) == image


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ('CreatePodSandboxError: rpc error: failed to get sandbox image "p:1": failed to pull image "p:1": x', "p:1"),
        ("error creating pod sandbox with name x: initializing source docker://p:2: pinging", "p:2"),
        ("CreatePodSandboxError: failed to setup network for sandbox", ""),
        ('failed to pull image "a:1": x', ""),
    ],
)
def test_sandbox_image_needs_a_sandbox_and_a_pull(text: str, image: str) -> None:
    assert sandbox_image(text) == image
