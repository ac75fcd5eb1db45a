import json
from collections.abc import Callable, Mapping

import pytest

from pullwhy.image import parse
from pullwhy.runtime.containerd.hosts import Hosts
from pullwhy.runtime.dockerd import FILE, dockerd_hosts
from pullwhy.runtime.host.hostfs import HostFS

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]


def asked(hosts: Hosts) -> list[str]:
    return [f"{each.scheme}://{each.authority}{each.path}" for each in hosts.endpoints]


def test_mirrors_are_for_docker_hub_alone(tree: Tree) -> None:
    fs = tree({FILE: json.dumps({"registry-mirrors": ["https://m.example/", "http://n.example:5000/hub"]})})
    assert asked(dockerd_hosts(parse("busybox"), fs)) == [
        "https://m.example/v2",
        "http://n.example:5000/hub/v2",
        "https://registry-1.docker.io/v2",
    ]
    assert [each.is_mirror for each in dockerd_hosts(parse("busybox"), fs).endpoints] == [True, True, False]
    assert asked(dockerd_hosts(parse("reg.example/a"), fs)) == ["https://reg.example/v2"]


@pytest.mark.parametrize(
    ("image", "insecure"),
    [
        ("reg.example:5000/a", True),
        ("reg.example/a", False),
        ("10.1.1.1/a", True),
        ("127.0.0.1:5000/a", True),
        ("localhost/a", True),
    ],
)
def test_insecure_registries_are_hosts_and_networks(tree: Tree, image: str, insecure: bool) -> None:
    fs = tree({FILE: json.dumps({"insecure-registries": ["reg.example:5000", "10.0.0.0/8"]})})
    (own,) = dockerd_hosts(parse(image), fs).endpoints
    assert (own.skip_verify, own.http_fallback, bool(own.http_port)) == (insecure,) * 3


def test_a_key_without_its_certificate_fails_the_pull(tree: Tree) -> None:
    hosts = dockerd_hosts(parse("reg.example/a"), tree({"/etc/docker/certs.d/reg.example/client.key": "x"}))
    assert hosts.endpoints == ()
    (result,) = hosts.results
    assert result.config is not None
    assert result.config.decides


@pytest.mark.parametrize("text", ["{", "[]", '{"registry-mirrors": "x"}', '{"insecure-registries": [5]}'])
def test_a_bad_daemon_json_is_told_and_left_out(tree: Tree, text: str) -> None:
    hosts = dockerd_hosts(parse("reg.example/a"), tree({FILE: text}))
    assert asked(hosts) == ["https://reg.example/v2"]
    (result,) = hosts.results
    assert result.config is not None
    assert (result.config.file, result.config.decides) == (FILE, False)


def test_a_mirror_that_is_no_address_is_told(tree: Tree) -> None:
    hosts = dockerd_hosts(parse("busybox"), tree({FILE: '{"registry-mirrors": ["m.example"]}'}))
    assert asked(hosts) == ["https://registry-1.docker.io/v2"]
    assert len(hosts.results) == 1
