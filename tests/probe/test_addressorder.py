import pytest

from pullwhy.probe.addressorder import ordered, winner
from pullwhy.trace import ConnectAttempt, ConnectResult

V4, GLOBAL6, LOCAL6 = "192.0.2.9", "2001:db8::9", "fd00::9"


@pytest.mark.parametrize(
    ("addresses", "sources", "expected"),
    [
        ((V4, GLOBAL6), {V4: "192.0.2.1", GLOBAL6: "2001:db8::1"}, (GLOBAL6, V4)),
        ((V4, GLOBAL6), {V4: "192.0.2.1"}, (V4, GLOBAL6)),
        ((GLOBAL6, V4), {V4: "192.0.2.1"}, (V4, GLOBAL6)),
        # a node that has only a unique local address: its label is another than a global one's
        ((GLOBAL6, V4), {V4: "192.0.2.1", GLOBAL6: "fd00::1"}, (V4, GLOBAL6)),
        ((LOCAL6, V4), {V4: "192.0.2.1", LOCAL6: "fd00::1"}, (V4, LOCAL6)),
        (("::1", "127.0.0.1"), {"::1": "::1", "127.0.0.1": "127.0.0.1"}, ("::1", "127.0.0.1")),
        ((V4, "192.0.2.8"), {V4: "192.0.2.1", "192.0.2.8": "192.0.2.1"}, (V4, "192.0.2.8")),
        (
            ("2001:db8:ffff::1", GLOBAL6),
            dict.fromkeys(("2001:db8:ffff::1", GLOBAL6), "2001:db8::1"),
            (GLOBAL6, "2001:db8:ffff::1"),
        ),
        ((V4, GLOBAL6), {}, (V4, GLOBAL6)),
        (("fe80::1%eth0", GLOBAL6), {GLOBAL6: "2001:db8::1"}, (GLOBAL6, "fe80::1%eth0")),
    ],
)
def test_addresses_are_dialled_in_gos_order(
    addresses: tuple[str, ...], sources: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert ordered(addresses, lambda address: sources.get(address, "")) == expected


def attempt(address: str, seconds: float, result: ConnectResult = ConnectResult.CONNECTED) -> ConnectAttempt:
    return ConnectAttempt(address, 443, result, seconds)


OUT, REFUSED = ConnectResult.TIMED_OUT, ConnectResult.REFUSED


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((attempt(GLOBAL6, 0.1), attempt(V4, 0.01)), 0),
        ((attempt(GLOBAL6, 0.5), attempt(V4, 0.01)), 1),
        ((attempt(GLOBAL6, 0.0, REFUSED), attempt(V4, 0.1)), 1),
        ((attempt(GLOBAL6, 5.0, OUT), attempt(V4, 0.1)), 1),
        ((attempt(V4, 5.0, OUT), attempt("192.0.2.8", 0.1)), 1),
        ((attempt(V4, 0.2), attempt("192.0.2.8", 0.1)), 0),
        ((attempt(GLOBAL6, 0.0, ConnectResult.NOT_ALLOWED), attempt(V4, 0.1)), 1),
        ((attempt(V4, 0.0, REFUSED),), None),
        ((), None),
    ],
)
def test_the_connection_is_the_one_that_go_would_have(
    attempts: tuple[ConnectAttempt, ...], expected: int | None
) -> None:
    assert winner(attempts) == expected
