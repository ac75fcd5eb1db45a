import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.probe.answers import MAX_CODES, MAX_HEADER_VALUE, date_of, facts, registry_errors
from pullwhy.probe.http import Answered
from pullwhy.trace import HTTPFacts, HTTPFault


def kept(status: int = 404, body: bytes = b"", **headers: str) -> HTTPFacts:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return facts("GET", "https://registry.test/v2/a", Answered(status, pairs, body, complete=True))


def errors(*codes: str, message: str = "", detail: object = None) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail} for code in codes]}).encode()


def test_codes_are_kept_as_spelled_and_the_body_is_not() -> None:
    seen = kept(body=errors("MANIFEST_UNKNOWN", "not_found", message="canary"))
    assert seen.codes == ("MANIFEST_UNKNOWN", "not_found")
    assert seen.registry_api
    assert "canary" not in repr(seen)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"errors": {}}',
        b'{"errors": [1, null, "x", {}]}',
        b'{"errors": [{"code": 5}]}',
        b'{"errors": [{"code": "a\\u001b[31mb"}]}',
        b'{"errors": [{"code": "' + b"X" * 65 + b'"}]}',
        b"[" * 60_000,
        b'{"errors":' * 20_000,
        b"\x1f\x8b\x08garbled gzip",
        b"\xff\xfe",
    ],
)
def test_a_body_without_usable_codes_gives_none(body: bytes) -> None:
    assert kept(body=body).codes == ()


@pytest.mark.parametrize(
    ("message", "expired"),
    [
        ("Your authorization token has expired. Reauthenticate and try again.", True),
        ("invalid token: token is expired by 3h2m", True),
        ("expired_token", True),
        ("the image expired. Ask for a token.", False),
        ("requested access to the resource is denied", False),
        ("token " * 9_000, False),
    ],
)
def test_that_a_token_has_expired_is_kept_as_a_fact(message: str, expired: bool) -> None:
    assert kept(403, body=errors("DENIED", message=message)).says_expired is expired


def test_codes_are_counted() -> None:
    assert len(kept(body=errors(*["DENIED"] * 100)).codes) == MAX_CODES


def test_an_object_stores_code_is_read_from_its_xml() -> None:
    seen = kept(403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>canary</Message></Error>")
    assert (seen.codes, seen.registry_api) == (("AccessDenied",), False)


def test_a_good_answer_has_no_codes() -> None:
    assert kept(200, errors("DENIED")).codes == ()


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("client with IP '203.0.113.7' is not allowed access", True),
        ("Client with IP 2001:db8::1:2 is not allowed", True),
        ("denied for source address 203.0.113.7", True),
        ("requested access to the resource is denied", False),
        ("version 1.2.3.4 of the image is denied", False),
        ("client certificate required", False),
    ],
)
def test_a_registrys_firewall_is_known_by_the_address_that_it_names(message: str, named: bool) -> None:
    assert kept(403, errors("DENIED", message=message)).names_client_address is named
    assert "203.0.113.7" not in repr(kept(403, errors("DENIED", message=message)))


def test_only_listed_headers_are_kept_and_they_are_bounded() -> None:
    seen = kept(
        retry_after="120",
        ratelimit_remaining="0;w=21600",
        x_ratelimit_reset="60",
        docker_ratelimit_source="203.0.113.7",
        set_cookie="canary",
        www_authenticate="canary",
        location="https://cdn/?signature=canary",
        server="x" * 5000 + "\x1b[31m",
    )
    assert seen.headers is not None
    limits = {"retry-after", "ratelimit-remaining", "x-ratelimit-reset", "docker-ratelimit-source"}
    assert set(seen.headers) == {*limits, "server"}
    assert len(seen.headers["server"]) <= MAX_HEADER_VALUE
    assert "canary" not in repr(seen)
    assert "\x1b" not in kept(server="a\x1b[31mb").headers["server"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "body", "html"),
    [
        ("text/html; charset=utf-8", b"", True),
        ("Text/HTML", b"x", True),
        ("", b"\n <!DOCTYPE html><html>", True),
        ("application/json", b"<html>", True),
        ("application/json", b"{}", False),
        ("text/plain", b"404 page not found", False),
    ],
)
def test_a_web_page_is_known_by_its_type_or_its_start(kind: str, body: bytes, html: bool) -> None:
    assert kept(body=body, content_type=kind).html is html


@pytest.mark.parametrize(
    "body",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<center>The plain HTTP request was sent to HTTPS port</center>",
    ],
)
def test_a_server_that_wants_tls_is_known_by_what_it_says(body: bytes) -> None:
    assert kept(400, body).fault is HTTPFault.TLS_EXPECTED


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Sun, 22 Nov 2026 12:00:00 GMT", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 13:00:00 +0100", datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("", None),
        ("soon", None),
        ("x" * 1000, None),
        ("Sun, 99 Nov 99999 12:00:00 GMT", None),
    ],
)
def test_the_servers_date_is_read_where_it_is_one(header: str, expected: datetime | None) -> None:
    assert date_of(Answered(200, (("date", header),), b"", complete=True)) == expected


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    codes, _ = registry_errors(body)
    assert len(codes) <= MAX_CODES
