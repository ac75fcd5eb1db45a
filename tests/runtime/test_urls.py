import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.runtime import urls


@pytest.mark.parametrize(
    ("text", "scheme", "authority", "path"),
    [
        ("https://reg.example", "https", "reg.example", ""),
        ("https://reg.example:5000/a//b/", "https", "reg.example:5000", "/a//b/"),
        ("http://u:p@reg.example/x?q#f", "http", "reg.example", "/x"),
        ("https://[::1]:5000/v2", "https", "[::1]:5000", "/v2"),
        ("https://reg.example:", "https", "reg.example:", ""),
        ("httpbin", "", "", "httpbin"),
        ("httpbin.example:5000", "httpbin.example", "", ""),
        ("HTTPS://Reg.example", "https", "Reg.example", ""),
        ("https://reg.example/a%20b", "https", "reg.example", "/a b"),
    ],
)
def test_urls_split_as_in_go(text: str, scheme: str, authority: str, path: str) -> None:
    assert urls.parse_url(text) == urls.Address(scheme, authority, path)


@pytest.mark.parametrize(
    "text",
    [
        "https://reg .example",
        "https://reg.example:5o",
        "https://reg.example/%zz",
        "https://a\x7f",
        ":x",
        "https://[::1",
    ],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        urls.parse_url(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:canary@reg.example/v2", "https://reg.example/v2"),
        ("https://u:can/ary@reg.example/v2", "https://reg.example/v2"),
        ("http/u:canary@reg.example", "reg.example"),
        ("u:canary@reg.example", "reg.example"),
        ("https://reg.example:5000/a@b", "https://reg.example:5000/a@b"),
        ("https://reg.example/a@b", "https://reg.example/a@b"),
    ],
)
def test_user_info_is_taken_out_of_malformed_addresses_too(text: str, shown: str) -> None:
    assert urls.without_user_info(text) == shown


@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [("a:5000", "a", "5000"), ("a", "a", ""), ("[::1]:5000", "::1", "5000"), ("[::1]", "::1", "")],
)
def test_ports_are_split_off(authority: str, host: str, port: str) -> None:
    assert urls.split_port(authority) == (host, port)


@pytest.mark.parametrize(
    ("port", "scheme", "number"), [("", "https", 443), ("", "http", 80), ("5000", "http", 5000), ("0", "http", 0)]
)
def test_ports_default_to_the_schemes(port: str, scheme: str, number: int) -> None:
    assert urls.port_number(port, scheme) == number


@pytest.mark.parametrize("port", ["65536", "99999999999", "٣", "-1"])
def test_impossible_ports_are_refused(port: str) -> None:
    with pytest.raises(ValueError, match="port"):
        urls.port_number(port, "https")


@pytest.mark.parametrize(
    ("path", "clean"),
    [("", ""), ("/", ""), ("/v2/", "/v2"), ("/a//b/./c/../d", "/a/b/d"), ("/../..", ""), ("a", "/a")],
)
def test_paths_are_joined_as_for_a_request(path: str, clean: str) -> None:
    assert urls.clean_path(path) == clean


@pytest.mark.parametrize(
    ("authority", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.8.9.10:80", True),
        ("[::1]:5000", True),
        ("[::1]", False),  # Go's split fails without a port, and the brackets stay
        ("localhost.example", False),
        ("10.0.0.1", False),
    ],
)
def test_local_registries_are_known(authority: str, loopback: bool) -> None:
    assert urls.is_loopback(authority) is loopback


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10.0), ("1m30s", 90.0), ("300ms", 0.3), ("1.5h", 5400.0), ("0", 0.0), ("-1s", -1.0), ("+2us", 2e-6)],
)
def test_go_durations(text: str, seconds: float) -> None:
    assert urls.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "10 s", "1x", "."])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        urls.seconds(text)


@pytest.mark.parametrize(
    ("text", "without"),
    [("https://u:p@a/b", "https://a/b"), ("u@a", "a"), ("https://a/b@c", "https://a/b@c"), ("a:5000/b", "a:5000/b")],
)
def test_user_info_is_dropped(text: str, without: str) -> None:
    assert urls.without_user_info(text) == without


@settings(deadline=None)
@given(st.text(max_size=100))
def test_arbitrary_text_splits_or_is_refused(text: str) -> None:
    try:
        address = urls.parse_url(text)
    except ValueError:
        return
    assert "@" not in address.authority
