import pytest

from pullwhy.plan import Endpoint
from pullwhy.probe.url import MAX_LENGTH, URL, InvalidURL, of_endpoint, parse

BASE = URL("https", "registry.test", 443, "/v2/a/blobs/x", "ns=b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://cdn.test/x?sig=1#part", URL("https", "cdn.test", 443, "/x", "sig=1")),
        ("http://cdn.test:8080", URL("http", "cdn.test", 8080, "/")),
        ("https://user:secret@cdn.test/x", URL("https", "cdn.test", 443, "/x")),
        ("/other", URL("https", "registry.test", 443, "/other")),
        ("next?y=2", URL("https", "registry.test", 443, "/v2/a/blobs/next", "y=2")),
        ("//cdn.test/x", URL("https", "cdn.test", 443, "/x")),
        ("https://[fd00::1]:5000/x", URL("https", "fd00::1", 5000, "/x")),
        ("https://CDN.test/a b\u00e9", URL("https", "cdn.test", 443, "/a%20b%C3%A9")),
        ("https://cdn.test/?q=a b\u202e", URL("https", "cdn.test", 443, "/", "q=a%20b%E2%80%AE")),
    ],
)
def test_a_location_is_read_relative_to_where_it_came_from(text: str, expected: URL) -> None:
    assert parse(text, BASE) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://cdn.test/",
        "file:///etc/shadow",
        "javascript:alert(1)",
        "https://",
        "https://b\u00fccher.test/",
        "https://a$b/",
        "https://cdn.test:99999/",
        "https://[::1/",
        "https://cdn.test/" + "x" * MAX_LENGTH,
    ],
)
def test_what_may_not_be_asked_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidURL) as caught:
        parse(text)
    assert "cdn" not in str(caught.value)


def test_the_text_form_leaves_the_query_out() -> None:
    url = parse("https://cdn.test:8443/x?signature=canary")
    assert str(url) == "https://cdn.test:8443/x"
    assert url.target == "/x?signature=canary"


def test_an_endpoints_path_comes_before_what_is_asked() -> None:
    endpoint = Endpoint("https", "Registry.Test", 5000, "/mirror/v2")
    url = of_endpoint(endpoint, "a/b/manifests/1", "ns=x")
    assert (url.host, url.target) == ("registry.test", "/mirror/v2/a/b/manifests/1?ns=x")
    assert of_endpoint(Endpoint("https", "[fd00::1]", 443), "x").authority == "[fd00::1]"


def test_a_port_is_named_where_it_is_written_out() -> None:
    written = of_endpoint(Endpoint("https", "registry.test", 443, names_port=True), "x")
    assert written.authority == "registry.test:443"
    assert written.in_plain().authority == "registry.test:443"
    assert of_endpoint(Endpoint("https", "registry.test", 443), "x").in_plain().port == 80
    assert of_endpoint(Endpoint("https", "registry.test", 5000), "x").in_plain().port == 5000
