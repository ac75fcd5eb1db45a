import base64
import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullwhy.image import parse
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.kubelet.credentials import InvalidCredentials, Match, node_credentials, supplied_credentials
from pullwhy.runtime.kubelet.settings import Kubelet

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]


def auths(*keys: str) -> str:
    entries = {key: {"auth": base64.b64encode(f"user{n}:canary{n}".encode()).decode()} for n, key in enumerate(keys)}
    return json.dumps({"auths": entries})


def match(image: str, *keys: str) -> Match:
    return supplied_credentials(parse(image), auths(*keys).encode(), "f.json")


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("reg.example/a/b", "reg.example"),
        ("reg.example/a/b", "https://reg.example"),
        ("reg.example/a/b", "http://reg.example/"),
        ("reg.example/a/b", "https://reg.example/v1/"),
        ("reg.example/a/b", "https://reg.example/v2/"),
        ("reg.example/a/b", "reg.example/a"),
        ("reg.example/a/b", "reg.example/a/b"),
        ("reg.example/alpha/b", "reg.example/al"),
        ("reg.example/a/b", "https://reg.example/v2/a"),
        ("reg.example/a/b", "*.example"),
        ("reg.example:5000/a", "reg.example:5000"),
        ("reg.example:5000/a", "*.example:5000"),
        ("busybox", "docker.io"),
        ("busybox", "index.docker.io"),
        ("busybox", "https://index.docker.io/v1/"),
        ("busybox", "docker.io/library/busybox"),
    ],
)
def test_keys_that_the_kubelet_matches(image: str, key: str) -> None:
    (found,) = match(image, key).credentials
    assert (found.username, found.password.reveal(), found.source) == ("user0", "canary0", f"f.json ({key})")
    assert found.supplied
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("image", "key", "why"),
    [
        ("reg.example/a", "https://reg.example/v2", "/v2 without a slash"),
        ("reg.example/a", "reg.example:443", "port is 443"),
        ("reg.example:5000/a", "reg.example", "port is absent"),
        ("reg.example/a", "reg.example/b", "no prefix of a"),
        ("reg.example/a", "Reg.example", "case"),
        ("a.reg.example/a", "reg.example", "as many labels"),
        ("busybox", "registry-1.docker.io", "https://index.docker.io/v1/"),
        ("busybox", "hub.docker.com", "https://index.docker.io/v1/"),
        ("reg.example/a", "https://reg example", "no address"),
        ("reg.example/a", "other.test", ""),
        ("reg.example/a", "*.*.example", ""),
    ],
)
def test_near_misses_are_told_apart_from_strangers(image: str, key: str, why: str) -> None:
    found = match(image, key)
    assert found.credentials == ()
    assert [why in miss for miss in found.near_misses] == ([True] if why else [])


def test_the_most_specific_key_comes_first() -> None:
    found = match("reg.example/a/b", "reg.example", "reg.example/a/b", "reg.example/a", "https://reg.example/v1/")
    sources = [credential.source for credential in found.credentials]
    assert sources == [
        "f.json (reg.example/a/b)",
        "f.json (reg.example/a)",
        "f.json (reg.example)",
        "f.json (https://reg.example/v1/)",
    ]
    assert found.near_misses == ()


def test_a_key_with_a_password_in_it_is_shown_without() -> None:
    for key in ("https://u:canary@reg.example", "https://u:canary@reg.example:1"):
        assert "canary" not in repr(match("reg.example/a", key))


def test_docker_hubs_default_key_counts_only_where_no_other_matches() -> None:
    both = match("busybox", "https://index.docker.io/v1/", "docker.io")
    assert [credential.source for credential in both.credentials] == ["f.json (docker.io)"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no `auths`"),
        ("{}", "no `auths`"),
        ('{"auths": []}', "no `auths`"),
        ('{"auths": {"a": 3}}', "no table of texts"),
        ('{"auths": {"a": {"auth": "%%%"}}}', "no base64"),
        ('{"auths": {"a": {"auth": "eA=="}}}', "no user:password"),
        ('{"auths": {"a": {"auth": 3}}}', "no table of texts"),
    ],
)
def test_a_malformed_file_is_a_clear_error(text: str, why: str) -> None:
    with pytest.raises(InvalidCredentials, match=r"f\.json") as raised:
        supplied_credentials(parse("a"), text.encode(), "f.json")
    assert why in raised.value.why


def test_user_name_and_password_may_stand_apart_and_auth_wins() -> None:
    apart = {"auths": {"reg.example": {"username": "u", "password": "p"}}}
    (found,) = supplied_credentials(parse("reg.example/a"), json.dumps(apart).encode(), "f").credentials
    assert (found.username, found.password.reveal()) == ("u", "p")
    apart["auths"]["reg.example"]["auth"] = base64.b64encode(b"x:y:z").decode()
    (found,) = supplied_credentials(parse("reg.example/a"), json.dumps(apart).encode(), "f").credentials
    assert (found.username, found.password.reveal()) == ("x", "y:z")


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"/k/config.json": auths("reg.example"), "/root/.docker/config.json": auths("*.example")}, "/k/config.json"),
        ({"/root/.docker/config.json": auths("reg.example")}, "/root/.docker/config.json"),
        ({"/k/config.json": "{", "/.docker/config.json": auths("reg.example")}, "/.docker/config.json"),
        ({"/k/.dockercfg": json.dumps(json.loads(auths("reg.example"))["auths"])}, "/k/.dockercfg"),
        ({"/k/config.json": '{"credHelpers": {"reg.example": "x"}}'}, ""),
        ({}, ""),
    ],
)
def test_the_nodes_own_file_is_the_first_usable_one(tree: Tree, files: dict[str, str], source: str) -> None:
    found = node_credentials(parse("reg.example/a"), tree(files), Kubelet(root="/k"))
    expected = [f"{source} (reg.example)"] if source else []
    assert [credential.source for credential in found.credentials] == expected
    assert not any(credential.supplied for credential in found.credentials)


def test_files_that_the_kubelet_passes_over_are_said(tree: Tree) -> None:
    (result,) = node_credentials(
        parse("a"), tree({"/k/config.json": '{"credsStore": "x"}'}), Kubelet(root="/k")
    ).results
    assert result.target == "/k/config.json"
    assert "passes over" in result.detail


DOCKERCONFIG = auths("reg.example")
OLDER = json.dumps(json.loads(DOCKERCONFIG)["auths"])


def secret(kind: object, key: str, content: str, **fields: object) -> dict[str, object]:
    data = {key: base64.b64encode(content.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "type": kind, "data": data, **fields}


JSON_SECRET = secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", DOCKERCONFIG)
OLDER_SECRET = secret("kubernetes.io/dockercfg", ".dockercfg", OLDER)
OPAQUE = secret("Opaque", ".dockerconfigjson", DOCKERCONFIG)
PLAIN = {"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": DOCKERCONFIG}}


@pytest.mark.parametrize(
    "text",
    [
        OLDER,
        json.dumps(JSON_SECRET),
        json.dumps(OLDER_SECRET),
        json.dumps(PLAIN),
        json.dumps({"kind": "List", "items": [OPAQUE, 3, OLDER_SECRET]}),
        f"kind: Secret\ntype: kubernetes.io/dockercfg\ndata:\n  .dockercfg: {base64.b64encode(OLDER.encode()).decode()}\n",
    ],
)
def test_a_pull_secret_is_taken_in_every_form_that_the_kubelet_reads(text: str) -> None:
    (found,) = supplied_credentials(parse("reg.example/a"), text.encode(), "f").credentials
    assert (found.password.reveal(), found.source) == ("canary0", "f (reg.example)")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (OPAQUE, "a Secret of the type 'Opaque'; the kubelet reads only kubernetes.io/dockerconfigjson"),
        ({**OPAQUE, "type": None}, "a Secret of no type"),
        ({**OPAQUE, "type": {}}, "a Secret of no type"),
        ({"kind": {}, "a": 3}, "no `auths`"),
        (
            {"kind": "List", "items": [{"type": []}]},
            "a list without a Secret of the type kubernetes.io/dockerconfigjson",
        ),
        ({**JSON_SECRET, "data": {}}, "without the key .dockerconfigjson"),
        ({**JSON_SECRET, "data": {".dockerconfigjson": "%%"}}, "is no base64"),
        ({**JSON_SECRET, "data": {".dockerconfigjson": base64.b64encode(b"{").decode()}}, "is no JSON"),
    ],
)
def test_a_secret_that_the_kubelet_passes_over_is_a_clear_error(document: object, why: str) -> None:
    with pytest.raises(InvalidCredentials) as raised:
        supplied_credentials(parse("a"), json.dumps(document).encode(), "f")
    assert why in raised.value.why


def test_what_the_kubelet_does_not_read_of_an_entry_is_told() -> None:
    text = json.dumps({"auths": {"reg.example": {"identitytoken": "canary"}}})
    found = supplied_credentials(parse("reg.example/a"), text.encode(), "f")
    assert found.credentials == ()
    (miss,) = found.near_misses
    assert "identity tokens the kubelet does not read" in miss
    assert "canary" not in miss


def test_a_token_brings_its_end() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1_790_000_000}).encode()).decode().rstrip("=")
    text = json.dumps({"auths": {"reg.example": {"username": "u", "password": f"x.{claims}.y"}}})
    (found,) = supplied_credentials(parse("reg.example/a"), text.encode(), "f").credentials
    assert found.kind == "a JSON web token"
    assert found.expires is not None
    assert found.expires.timestamp() == 1_790_000_000


@pytest.mark.parametrize(
    ("kubelet", "source"),
    [
        (Kubelet(working_directory="/run/k"), "/run/k/config.json"),
        (Kubelet(home="/home/k"), "/home/k/.docker/config.json"),
        (Kubelet(home="", working_directory="/run/x"), "/run/x/.docker/config.json"),
        (Kubelet(home=""), "/.docker/config.json"),
        (Kubelet(root="/data"), "/data/config.json"),
    ],
)
def test_the_kubelets_own_places_are_looked_at(tree: Tree, kubelet: Kubelet, source: str) -> None:
    (found,) = node_credentials(parse("reg.example/a"), tree({source: DOCKERCONFIG}), kubelet).credentials
    assert found.source == f"{source} (reg.example)"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["auths", "auth", "a", "https://b/v1/", "*.c"]), inner)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(JSON, st.booleans())
def test_any_json_is_usable_or_invalid(document: object, wrapped: bool) -> None:
    data = json.dumps({"auths": document} if wrapped else document).encode()
    try:
        found = supplied_credentials(parse("b/a"), data, "f")
    except InvalidCredentials:
        return
    assert len(found.credentials) <= 4
