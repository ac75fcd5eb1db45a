"""The deprecated mirrors of config.toml; expectations recorded from containerd 1.6.20, 1.7.24 and 2.1.9."""

import base64
from collections.abc import Callable, Mapping

import pytest

from pullwhy.plan import Endpoint
from pullwhy.runtime.containerd.mirrors import inline_hosts
from pullwhy.runtime.containerd.settings import ContainerdConfig, InlineTLS
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import parse_version
from pullwhy.secret import Secret

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
V17 = parse_version("1.7.24")
OWN = "https reg.example:443/v2"
BODY = base64.b64encode(b"\x30\x01a").decode()
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"


def config(**more: object) -> ContainerdConfig:
    return ContainerdConfig(V17, file="/c.toml", local_pull_because="old", **more)  # type: ignore[arg-type]


def shown(endpoint: Endpoint) -> str:
    return f"{endpoint.scheme} {endpoint.host}:{endpoint.port}{endpoint.path}"


@pytest.mark.parametrize(
    ("registry", "mirrors", "expected"),
    [
        ("reg.example", {}, [OWN]),
        ("docker.io", {}, ["https registry-1.docker.io:443/v2"]),
        ("localhost:5001", {}, ["http localhost:5001/v2"]),
        ("127.0.0.1:443", {}, ["http 127.0.0.1:443/v2"]),
        (
            "reg.example",
            {"reg.example": ("http://m1.example:5000", "http://m2.example:5000/", "http://m3.example:5000/v2")},
            ["http m1.example:5000/v2", "http m2.example:5000", "http m3.example:5000/v2", OWN],
        ),
        ("reg.example", {"reg.example": ("m1.example:5001",)}, ["https m1.example:5001/v2", OWN]),
        ("reg.example", {"reg.example": ("localhost:5001",)}, ["http localhost:5001/v2", OWN]),
        (
            "reg.example",
            {"reg.example": ("http://m1.example", "http://reg.example")},
            ["http m1.example:80/v2", "http reg.example:80/v2"],
        ),
        ("reg.example", {"*": ("http://m1.example",)}, ["http m1.example:80/v2", OWN]),
        ("reg.example", {"reg.example": (), "*": ("http://m1.example",)}, [OWN]),
        ("reg.example", {"reg.example": ("http://m1.example/p/q/",)}, ["http m1.example:80/p/q", OWN]),
    ],
)
def test_mirrors_come_first_and_the_registry_last(
    registry: str, mirrors: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    hosts = inline_hosts(registry, config(mirrors=mirrors), HostFS())
    assert [shown(endpoint) for endpoint in hosts.endpoints] == expected


@pytest.mark.parametrize("mirror", ["ftp://m.example", "https://m.example:99999"])
def test_a_mirror_that_cannot_be_asked_is_skipped_and_said_to_be(mirror: str) -> None:
    hosts = inline_hosts("reg.example", config(mirrors={"*": (mirror,)}), HostFS())
    assert [shown(endpoint) for endpoint in hosts.endpoints] == [OWN]
    (result,) = hosts.results
    assert result.config is not None
    assert not result.config.decides
    assert "skips the mirror" in result.config.why


def test_mirrors_are_marked_and_named() -> None:
    hosts = inline_hosts("reg.example", config(mirrors={"*": ("https://m.example",)}), HostFS())
    assert [(endpoint.is_mirror, endpoint.source) for endpoint in hosts.endpoints] == [
        (True, "/c.toml"),
        (False, "/c.toml"),
    ]


def test_a_mirror_that_containerd_cannot_speak_to_is_left_out_with_a_word() -> None:
    hosts = inline_hosts("reg.example", config(mirrors={"*": ("ftp://m.example", "https://n.example")}), HostFS())
    assert [shown(endpoint) for endpoint in hosts.endpoints] == ["https n.example:443/v2", OWN]
    (result,) = hosts.results
    assert result.config is not None
    assert (result.config.file, result.config.decides) == ("/c.toml", False)
    assert "ftp" in result.config.why


def test_headers_and_tls_of_configs_apply(tree: Tree) -> None:
    tls = {"reg.example": InlineTLS(ca_file="/ca.crt"), "m.example": InlineTLS(skip_verify=True)}
    settings = config(
        mirrors={"*": ("https://m.example", "http://reg.example")}, tls=tls, headers=(("X-A", Secret("canary")),)
    )
    mirror, own = inline_hosts("reg.example", settings, tree({"/ca.crt": CERTIFICATE})).endpoints
    assert (mirror.skip_verify, mirror.ca) == (True, ())
    assert (own.scheme, own.http_fallback, own.ca) == ("http", False, ())
    assert mirror.headers == own.headers == (("X-A", Secret("canary")),)
    alone = inline_hosts("reg.example", config(tls=tls), tree({"/ca.crt": CERTIFICATE})).endpoints
    assert alone[0].ca == (CERTIFICATE,)


@pytest.mark.parametrize(
    ("mirrors", "tls", "file"),
    [
        ({"*": ("https://a b",)}, {}, "/c.toml"),
        ({}, {"reg.example": InlineTLS(ca_file="/none.crt")}, "/none.crt"),
        ({}, {"reg.example": InlineTLS(cert_file="/c.cert")}, "/c.toml"),
        ({}, {"reg.example": InlineTLS(key_file="/c.key")}, "/c.toml"),
    ],
)
def test_what_fails_every_pull_decides(
    tree: Tree, mirrors: dict[str, tuple[str, ...]], tls: dict[str, InlineTLS], file: str
) -> None:
    hosts = inline_hosts("reg.example", config(mirrors=mirrors, tls=tls), tree({}))
    (result,) = hosts.results
    assert hosts.endpoints == ()
    assert result.config is not None
    assert (result.config.file, result.config.decides) == (file, True)
