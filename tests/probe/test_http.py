import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walking.network import FakeStream

from pullwhy.probe.http import MAX_HEAD, MAX_HEADERS, MAX_INTERIM, Answered, Connection, HTTPFailed, Request
from pullwhy.probe.network import StreamReset, StreamTimedOut
from pullwhy.secret import Secret
from pullwhy.trace import HTTPFault

HEADERS = (("Host", Secret("registry.test")), ("Authorization", Secret("Bearer canary")))


def ask(*chunks: bytes | Exception, method: str = "GET", limit: int = 1000) -> Answered:
    return asyncio.run(Connection(FakeStream(list(chunks))).exchange(Request(method, "/v2/", HEADERS), limit, 1.0))


def fault(*chunks: bytes | Exception, limit: int = 1000) -> HTTPFailed:
    with pytest.raises(HTTPFailed) as caught:
        ask(*chunks, limit=limit)
    return caught.value


def test_an_answer_is_read_in_whatever_pieces_it_comes() -> None:
    whole = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 5\r\n\r\nhello"
    for size in (1, 7, 1000):
        answer = ask(*(whole[i : i + size] for i in range(0, len(whole), size)))
        assert (answer.status, answer.body, answer.complete) == (200, b"hello", True)
        assert (answer.header("x-one"), answer.all("x-one")) == ("1", ("1", "2"))
        assert answer.header("absent") == ""


def test_a_head_has_no_body_whatever_its_length_says() -> None:
    answer = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", method="HEAD")
    assert (answer.body, answer.complete) == (b"", True)


def test_a_body_is_cut_at_the_limit_and_said_to_be() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"64\r\n" + b"x" * 100 + b"\r\n"
    answer = ask(endless, *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 50, limit=250)
    assert (len(answer.body), answer.complete) == (250, False)


def test_a_body_that_ends_before_its_length_is_said_to_be_cut() -> None:
    answer = ask(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nten bytes.", b"")
    assert (answer.body, answer.complete, answer.cut) == (b"ten bytes.", False, True)


def test_a_connection_serves_again_only_after_a_whole_answer() -> None:
    async def twice(first: bytes) -> bool:
        connection = Connection(FakeStream([first]))
        await connection.exchange(Request("GET", "/", HEADERS), 3, 1.0)
        return connection.reusable

    assert asyncio.run(twice(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert not asyncio.run(twice(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nlonger..."))
    assert not asyncio.run(twice(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [
        ((b"",), HTTPFault.RESET),
        ((b"HTTP/1.1 200 OK\r\nContent-Le", b""), HTTPFault.RESET),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", b""), HTTPFault.RESET),
        ((StreamReset("connection reset by peer"),), HTTPFault.RESET),
        ((b"HTTP/1.1 200 OK\r\n", StreamReset("connection reset by peer")), HTTPFault.RESET),
        ((StreamTimedOut("silence"),), HTTPFault.TIMED_OUT),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nten bytes.",), HTTPFault.TIMED_OUT),
        ((b"\x15\x03\x01\x00\x02\x02\x28", b""), HTTPFault.TLS_EXPECTED),
        ((b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b""), HTTPFault.GARBLED),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",), HTTPFault.GARBLED),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1),), HTTPFault.GARBLED),
        ((b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD,), HTTPFault.TOO_LARGE),
        ((b"HTTP/1.1 200 OK\r\nX: ", *[b"y" * 16_000] * 20), HTTPFault.TOO_LARGE),
    ],
)
def test_every_way_not_to_answer_has_its_fault(chunks: tuple[bytes | Exception, ...], kind: HTTPFault) -> None:
    error = fault(*chunks)
    assert error.fault is kind
    assert "canary" not in str(error)


def test_a_fault_tells_how_much_had_come() -> None:
    error = fault(b"HTTP/1.1 200 OK\r\n", StreamReset("connection reset by peer"))
    assert (error.received, error.detail) == (17, "connection reset by peer after 17 bytes")


def test_headers_are_counted() -> None:
    many = b"".join(b"X-%d: y\r\n" % i for i in range(MAX_HEADERS + 50))
    answer = ask(b"HTTP/1.1 200 OK\r\n" + many + b"Content-Length: 0\r\n\r\n")
    assert len(answer.headers) == MAX_HEADERS


def test_a_server_that_answers_before_it_reads_is_heard() -> None:
    class Deaf(FakeStream):
        async def write(self, data: bytes, within: float) -> None:  # noqa: ARG002 - the seam's signature
            raise StreamReset("broken pipe")

    stream = Deaf([b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"])
    assert asyncio.run(Connection(stream).exchange(Request("GET", "/", HEADERS), 10, 1.0)).status == 400


def test_a_tunnel_ends_where_the_other_protocol_begins() -> None:
    answer = ask(b"HTTP/1.1 200 Connection established\r\n\r\n", method="CONNECT")
    assert (answer.status, answer.body) == (200, b"")
    refused = ask(b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", method="CONNECT")
    assert refused.status == 407


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_nothing_that_a_server_sends_escapes(chunks: list[bytes]) -> None:
    try:
        answer = ask(*chunks, b"")
    except HTTPFailed as error:
        assert error.fault in HTTPFault  # noqa: PT017 - either outcome is right
    else:
        assert answer.status >= 100
