"""Which hosts go past the proxy: asked of real containerds whose proxy is not there, and of the walk's reading of NO_PROXY."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullwhy.plan import Proxies
from pullwhy.probe.noproxy import InvalidProxy, proxy_for
from pullwhy.secret import Secret

from lab.lab import Lab, generations

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

PULLS = Path(__file__).with_name("pulls.py")
CLOSED = "http://10.90.0.2:3128"
HOSTS = (
    ("a.proxied.test", 443),
    ("b.a.proxied.test", 443),
    ("xa.proxied.test", 443),
    ("a.proxied.test", 5000),
    ("10.90.0.3", 443),
    ("10.90.0.3", 5000),
    ("fd90::3", 5000),
)
LISTS = (
    "",
    "*",
    "a.proxied.test",
    ".a.proxied.test",
    "*.a.proxied.test",
    "A.PROXIED.TEST",
    " b.a.proxied.test , other.test",
    "a.proxied.test:5000",
    ".proxied.test:443",
    "10.90.0.3",
    "10.90.0.3:5000",
    "10.90.0.0/16",
    "10.90.0.3/16,fd90::/16",
    "10.90.0.0/255.255.0.0",
    "fd90::3",
    "[fd90::3]",
    "[fd90::3]:5000",
    "::ffff:10.90.0.3",
    "proxied.test,*",
    ":443,,",
    "a.proxied.test.",
)
VALUES = (CLOSED, "10.90.0.2:3128", "http://10.90.0.2:31x8", " http://10.90.0.2:3128", "ftp://10.90.0.2:3128")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as running:
        for name in ("a.proxied.test", "b.a.proxied.test", "xa.proxied.test"):
            running.dns.add(name, "10.90.0.3")
        yield running


def asked_through(text: str) -> str:
    """Return where containerd's error says that it went: to a proxy at some address or name, or directly."""
    if "proxyconnect" not in text:
        return "direct"
    named = re.search(r"proxyconnect tcp: dial tcp(?:: lookup (\S+)| (\S+):\d+)", text)
    assert named is not None, text
    return named[1] or named[2]


@pytest.mark.parametrize(("value", "no_proxy"), [*((CLOSED, each) for each in LISTS), *((each, "") for each in VALUES)])
def test_containerd_goes_past_the_proxy_where_the_walk_does(lab: Lab, value: str, no_proxy: str) -> None:
    node = lab.nodes.get("no-proxy") or lab.node("no-proxy", containerd=generations(lab.components)[-1])
    node.containerd.set_proxy(HTTPS_PROXY=value, NO_PROXY=no_proxy)
    images = {pair: f"{_authority(*pair)}/team/app:1" for pair in HOSTS}
    said = json.loads(node.run([sys.executable, PULLS, *images.values()], seconds=120).stdout)
    theirs = {pair: asked_through(said[image]) for pair, image in images.items()}
    assert {pair: _ours(value, no_proxy, *pair) for pair in HOSTS} == theirs


def _authority(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == 443 else f"{name}:{port}"


def _ours(value: str, no_proxy: str, host: str, port: int) -> str:
    try:
        found = proxy_for("https", host, port, Proxies(Secret(""), Secret(value), no_proxy))
    except InvalidProxy:
        return "invalid"
    return "direct" if found is None else found.host
