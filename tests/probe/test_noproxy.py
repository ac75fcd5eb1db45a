import pytest

from pullwhy.plan import Proxies
from pullwhy.probe.noproxy import InvalidProxy, bypassed, exempted, parse_proxy, proxy_for
from pullwhy.secret import Secret


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("", "registry.example", 443, False),
        ("", "localhost", 443, True),
        ("", "127.9.9.9", 443, True),
        ("", "::1", 443, True),
        ("*", "registry.example", 443, True),
        ("registry.example", "registry.example", 443, True),
        ("registry.example", "sub.registry.example", 443, True),
        ("registry.example", "otherregistry.example", 443, False),
        (".registry.example", "registry.example", 443, False),
        (".registry.example", "sub.registry.example", 443, True),
        ("*.registry.example", "sub.registry.example", 443, True),
        ("*.registry.example", "registry.example", 443, False),
        ("REGISTRY.Example", "registry.example", 443, True),
        (" other.example , registry.example ", "registry.example", 443, True),
        ("registry.example:443", "registry.example", 443, True),
        ("registry.example:443", "registry.example", 5000, False),
        ("10.0.0.1", "10.0.0.1", 443, True),
        ("10.0.0.0/8", "10.20.30.40", 443, True),
        ("10.0.0.0/8", "name-in-that-network.example", 443, False),
        ("10.0.0.1:5000", "10.0.0.1", 5000, True),
        ("10.0.0.1:5000", "10.0.0.1", 443, False),
        ("fd00::/8", "fd00::1", 443, True),
        ("fd00::1", "fd00::1", 443, True),
        ("[fd00::1]:5000", "fd00::1", 5000, True),
        ("[fd00::1]:5000", "fd00::1", 443, False),
        ("[fd00::1]", "fd00::1", 443, False),
        ("10.0.0.0/255.0.0.0", "10.20.30.40", 443, False),
        ("10.20.30.40/8", "10.1.2.3", 443, True),
        ("::ffff:10.0.0.1", "10.0.0.1", 443, True),
        ("registry.example:443:1", "registry.example", 443, False),
        (":443", "registry.example", 443, False),
        (",,", "registry.example", 443, False),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(no_proxy: str, host: str, port: int, direct: bool) -> None:
    assert bypassed(host, port, no_proxy) is direct


def test_https_and_http_have_their_own_variable() -> None:
    proxies = Proxies(http=Secret("http://one:1"), https=Secret("http://two:2"), no_proxy="direct.example")
    https = proxy_for("https", "registry.example", 443, proxies)
    http = proxy_for("http", "registry.example", 80, proxies)
    assert https is not None
    assert https.authority == "two:2"
    assert http is not None
    assert http.authority == "one:1"
    assert proxy_for("https", "direct.example", 443, proxies) is None
    assert proxy_for("https", "registry.example", 443, None) is None
    assert proxy_for("https", "registry.example", 443, Proxies(Secret(""), Secret(""))) is None


@pytest.mark.parametrize(
    ("value", "scheme", "host", "port"),
    [
        ("http://proxy:3128", "http", "proxy", 3128),
        ("proxy:3128", "http", "proxy", 3128),
        ("proxy", "http", "proxy", 80),
        ("https://proxy", "https", "proxy", 443),
        ("http://[fd00::1]:3128/", "http", "fd00::1", 3128),
        ("socks5://proxy", "socks5", "proxy", 1080),
        ("http://proxy:31x8", "http", "http", 80),
        ("http://user:canary@[broken", "http", "http", 80),
        ("ftp://proxy:21", "http", "proxy", 21),
    ],
)
def test_a_proxy_without_a_scheme_is_http(value: str, scheme: str, host: str, port: int) -> None:
    proxy = parse_proxy(Secret(value), "HTTPS_PROXY")
    assert proxy is not None
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)


def test_user_info_is_decoded_and_never_shown() -> None:
    proxy = parse_proxy(Secret("http://us%40er:p%3Ass@proxy:3128"), "HTTPS_PROXY")
    assert proxy is not None
    assert proxy.username == "us@er"
    assert proxy.password.reveal() == "p:ss"
    assert "p:ss" not in repr(proxy)
    assert proxy.authority == "proxy:3128"


@pytest.mark.parametrize("value", ["ftp://canary@proxy", "http://canary@:3128", "http://canary@x:99999"])
def test_an_unusable_proxy_is_told_without_its_value(value: str) -> None:
    with pytest.raises(InvalidProxy) as caught:
        parse_proxy(Secret(value), "HTTPS_PROXY")
    assert "HTTPS_PROXY" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("value", [" http://proxy:3128", "http://proxy:3128 ", "http://pro xy", "[canary"])
def test_a_proxy_that_go_cannot_read_counts_for_nothing(value: str) -> None:
    assert parse_proxy(Secret(value), "HTTPS_PROXY") is None
    assert proxy_for("https", "registry.example", 443, Proxies(Secret(""), Secret(value))) is None


def test_a_host_that_no_proxy_alone_exempts_is_told() -> None:
    proxies = Proxies(http=Secret(""), https=Secret("http://two:2"), no_proxy="direct.example")
    assert exempted("https", "direct.example", 443, proxies)
    assert not exempted("https", "registry.example", 443, proxies)
    assert not exempted("https", "localhost", 443, proxies)
    assert not exempted("http", "direct.example", 80, proxies)
    assert not exempted("https", "direct.example", 443, None)
