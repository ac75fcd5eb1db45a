import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.probe.manifests import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MAX_PLATFORMS,
    OCI_INDEX,
    OCI_MANIFEST,
    Index,
    Manifest,
    UnsupportedManifest,
    config_platform,
    is_digest,
    media_type,
    parse,
    unsupported_type,
    verified,
)
from pullwhy.probe.platforms import parse as platform

DIGEST = "sha256:" + "a" * 64


CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 7}


def entry(text: str | None, digit: str = "a") -> dict[str, object]:
    found: dict[str, object] = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + digit * 64, "size": 7}
    if text is not None:
        parts = dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))
        found["platform"] = parts
    return found


def index(*entries: dict[str, object]) -> Index:
    read = parse(json.dumps({"manifests": entries}).encode(), OCI_INDEX)
    assert isinstance(read, Index)
    return read


@pytest.mark.parametrize(
    ("node", "entries", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/386"], "linux/386"),
        ("linux/amd64", ["linux/386", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/amd64", ["windows/amd64", "darwin/amd64"], None),
        ("linux/arm64", ["linux/arm64/v8"], "linux/arm64"),
        ("linux/arm64", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm64"], None),
        ("linux/amd64", ["unknown/unknown"], None),
        ("linux/amd64", [], None),
    ],
)
def test_an_index_gives_what_containerd_would_take(node: str, entries: list[str], chosen: str | None) -> None:
    found = index(*(entry(text) for text in entries)).choose(platform(node))
    assert (str(found.platform) if found is not None else None) == chosen


def test_an_entry_without_a_platform_is_taken_where_none_matches() -> None:
    silent = index(entry("linux/arm64", "a"), entry(None, "b"))
    found = silent.choose(platform("linux/amd64"))
    assert found is not None
    assert found.digest == "sha256:" + "b" * 64


def test_the_platforms_of_an_index_are_listed_without_attestations_and_bounded() -> None:
    assert index(entry("linux/s390x"), entry("linux/arm64"), entry("unknown/unknown")).platforms() == (
        "linux/arm64",
        "linux/s390x",
    )
    assert len(index(*(entry(f"linux/cpu{i}") for i in range(500))).platforms()) == MAX_PLATFORMS
    assert "\x1b" not in index(entry("linux/\x1b[31m")).platforms()[0]


def test_a_manifest_tells_its_config_layers_and_size() -> None:
    layers = [{"mediaType": "x", "digest": DIGEST, "size": size} for size in (10, 500, 30)]
    read = parse(json.dumps({"config": CONFIG, "layers": layers}).encode(), DOCKER_MANIFEST)
    assert isinstance(read, Manifest)
    assert read.size == 547
    largest = read.largest_layer()
    assert largest is not None
    assert largest.size == 500


ENCRYPTED = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "digest": DIGEST, "size": 1}


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (b"{}", "application/vnd.example.thing", "unknown manifest type application/vnd.example.thing"),
        (b"{}", "", "unknown manifest type (none)"),
        (b"not json", OCI_MANIFEST, "not a JSON object"),
        (b"[]", OCI_INDEX, "not a JSON object"),
        (b"{}", OCI_INDEX, "lists no manifests"),
        (b"{}", DOCKER_LIST, "lists no manifests"),
        (b'{"layers": []}', OCI_MANIFEST, "no config"),
        (b'{"config": {}, "layers": []}', OCI_MANIFEST, "no usable digest"),
        (b'{"manifests": ["x"]}', OCI_INDEX, "not a JSON object"),
        (json.dumps({"config": CONFIG | {"size": -1}, "layers": []}).encode(), OCI_MANIFEST, "no usable size"),
        (
            json.dumps({"config": CONFIG | {"size": 1 << 60}, "layers": []}).encode(),
            OCI_MANIFEST,
            "no usable size",
        ),
        (json.dumps({"config": CONFIG, "layers": [ENCRYPTED]}).encode(), OCI_MANIFEST, "encrypted"),
        (b"[" * 100_000, OCI_MANIFEST, "not a JSON object"),
        (
            json.dumps({"config": CONFIG | {"mediaType": "application/vnd.oci.empty.v1+json"}, "layers": []}).encode(),
            OCI_MANIFEST,
            "an artifact that is no image",
        ),
    ],
)
def test_what_no_runtime_can_use_is_said_to_be_so(body: bytes, kind: str, why: str) -> None:
    with pytest.raises(UnsupportedManifest, match=why.replace("(", r"\(").replace(")", r"\)")):
        parse(body, kind)


def test_media_types_lose_their_parameters() -> None:
    assert media_type(f"{OCI_INDEX}; charset=utf-8") == OCI_INDEX
    assert unsupported_type(OCI_INDEX) == ""


@pytest.mark.parametrize(
    ("digest", "good"),
    [
        ("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", True),
        ("sha256:" + "0" * 64, False),
        ("md5:5d41402abc4b2a76b9719d911017c592", False),
        ("", False),
    ],
)
def test_content_is_verified_against_its_digest(digest: str, good: bool) -> None:
    assert verified(b"hello", digest) is good


def test_a_digest_has_one_spelling() -> None:
    assert is_digest(DIGEST)
    assert not is_digest(DIGEST.upper())
    assert not is_digest(DIGEST + "\n")


def test_a_config_names_its_platform() -> None:
    assert str(config_platform(b'{"os": "linux", "architecture": "arm64"}')) == "linux/arm64"
    assert config_platform(b'{"os": "linux"}') is None
    assert config_platform(b"<html>") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["manifests", "layers", "config", "digest", "size", "platform", "os", "mediaType"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON, st.sampled_from([OCI_INDEX, OCI_MANIFEST]))
def test_any_json_is_a_manifest_or_said_to_be_none(decoded: object, kind: str) -> None:
    try:
        read = parse(json.dumps(decoded).encode(), kind)
    except UnsupportedManifest:
        return
    assert isinstance(read, Index | Manifest)
