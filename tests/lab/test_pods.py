"""The kubelet's rules about names, policies, credentials and back-off."""

import pytest

from lab.kubelet.pods import Backoff, Container, Credential, Pod, decode, encode, matching, with_default_tag

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        (f"nginx@{DIGEST}", "IfNotPresent"),
        (f"nginx:latest@{DIGEST}", "Always"),
        ("reg.lab.test:5000/app", "Always"),
    ],
)
def test_the_policy_defaults_by_the_tag(image: str, policy: str) -> None:
    assert Container("app", image).effective_policy == policy


@pytest.mark.parametrize(
    ("image", "tagged"),
    [
        ("nginx", "nginx:latest"),
        ("reg.lab.test:5000/app", "reg.lab.test:5000/app:latest"),
        ("reg.lab.test:5000/app:1", "reg.lab.test:5000/app:1"),
        (f"nginx@{DIGEST}", f"nginx@{DIGEST}"),
    ],
)
def test_latest_is_added_where_neither_tag_nor_digest_stands(image: str, tagged: str) -> None:
    assert with_default_tag(image) == tagged


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("reg.lab.test/App:1", "invalid reference format: repository name (App) must be lowercase"),
        ("https://reg.lab.test/app:1", "invalid reference format"),
        ("reg.lab.test/a//b:1", "invalid reference format"),
        ("reg.lab.test/app:bad tag", "invalid reference format"),
        ("reg.lab.test/app@sha256:123", "invalid reference format"),
        ("", "invalid reference format"),
    ],
)
def test_a_bad_name_is_refused_in_the_kubelets_words(image: str, problem: str) -> None:
    with pytest.raises(ValueError, match="default image tag") as raised:
        with_default_tag(image)
    assert str(raised.value) == (
        f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {problem}'
    )


def test_old_kubelets_word_it_another_way() -> None:
    with pytest.raises(ValueError, match=r"image reference .*: repository name must be lowercase"):
        with_default_tag("reg.lab.test/App:1", old_words=True)


@pytest.mark.parametrize(
    ("key", "image", "fits"),
    [
        ("reg.lab.test", "reg.lab.test/app:1", True),
        ("https://reg.lab.test/v2/", "reg.lab.test/app:1", True),
        ("https://reg.lab.test/v2", "reg.lab.test/app:1", False),
        ("reg.lab.test", "reg.lab.test:5000/app:1", False),
        ("reg.lab.test:5000/team", "reg.lab.test:5000/team/app:1", True),
        ("reg.lab.test:5000/team", "reg.lab.test:5000/other/app:1", False),
        ("*.lab.test", "reg.lab.test/app:1", True),
        ("*.test", "reg.lab.test/app:1", False),
        ("https://index.docker.io/v1/", "nginx:1.25", True),
        ("registry-1.docker.io", "nginx:1.25", False),
    ],
)
def test_a_credential_matches_by_host_port_and_path(key: str, image: str, fits: bool) -> None:
    assert bool(matching(image, [Credential(key, "u", "p")])) is fits


def test_the_most_specific_credential_comes_first() -> None:
    keys = ["reg.lab.test", "reg.lab.test/team/app", "reg.lab.test/team"]
    found = matching("reg.lab.test/team/app:1", [Credential(key, "u", "p") for key in keys])
    assert [one.registry for one in found] == ["reg.lab.test/team/app", "reg.lab.test/team", "reg.lab.test"]


def test_backoff_doubles_from_10_to_300_and_begins_anew_after_twice_the_maximum() -> None:
    backoff, now, waits = Backoff(), 0.0, []
    for _ in range(7):
        backoff.failed("key", now)
        began = now
        while backoff.active("key", now):
            now += 1
        waits.append(now - began)
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    backoff.failed("key", now + 601)
    assert not backoff.active("key", now + 601 + 10)
    assert not backoff.active("other", now)


def test_a_pod_survives_the_way_through_its_file() -> None:
    pod = Pod("a", "b", "c", (Container("d", "e", "Never", {"F": "g"}, init=True),), (Credential("h", "i", "j"),))
    assert decode(encode(pod)) == pod
    assert "j'" not in repr(pod)
