import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walking.mint import NOW, Row
from walking.network import FakeClock
from walking.oddcertificates import ROWS
from walking.server import Answer, Server

from pullwhy.plan import GoBuild
from pullwhy.probe import gocert
from pullwhy.probe.destinations import parse_address
from pullwhy.probe.gochain import Refusal, Roots, refusal
from pullwhy.probe.gonames import covers
from pullwhy.probe.network import RealNetwork
from pullwhy.probe.tls import HandshakeFailed, OnlyOpenSSLRefuses, handshake
from pullwhy.probe.trust import Contexts, Trust
from pullwhy.trace import TLSFacts

from lab.certserver import context_of

HOST = "reg.lab.test"
GOOD = ROWS["good-chain"].make(HOST)


def build(row: Row, minor: int) -> GoBuild:
    return GoBuild(minor, True, tuple([row.debug.partition("=")[::2]] if row.debug else []))


def verdict(row: Row, minor: int) -> Refusal | None:
    host = f"reg.{row.below}" if row.below else HOST
    served = row.make(host)
    return refusal(served.ders, host, Roots.of([one.der for one in served.roots]), NOW, build(row, minor))


@pytest.mark.parametrize("minor", [19, 24, 27])
@pytest.mark.parametrize("name", ROWS)
def test_each_odd_certificate_is_judged_as_go_judges_it(name: str, minor: int) -> None:
    row = ROWS[name]
    found = verdict(row, minor)
    if not row.says or minor < row.since:
        assert found is None
        return
    assert found is not None
    assert row.says in found.text
    assert found.fault == row.fault


async def shaken(row: Row, folder: Path, host: str) -> tuple[TLSFacts, bool]:
    """Make handshakes with a server of the row as the walk does; tell the facts, and whether OpenSSL alone refused."""
    served = row.make(host)
    pem = folder / "served.pem"
    pem.write_bytes(b"".join(one.pem for one in served.chain) + served.key_pem)
    trust = Trust(tuple(one.pem.decode() for one in served.roots))
    contexts, refused = Contexts(), False
    async with Server(lambda _: Answer(), context_of(pem)) as server:
        for openssl in (True, False):
            stream = await RealNetwork().connect("127.0.0.1", server.port, 2.0)
            context = contexts.get(Trust(trust.authorities, openssl=openssl))
            try:
                secure = await handshake(stream, host, context, 2.0, FakeClock(NOW), build(row, 27))
            except OnlyOpenSSLRefuses:
                refused = True
                continue
            except HandshakeFailed as error:
                return error.facts, refused
            finally:
                stream.close()
            return secure.facts, refused
    raise AssertionError("refused by OpenSSL though it was not asked")


@pytest.mark.parametrize("name", ROWS)
def test_a_handshake_ends_as_a_go_clients_does(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    facts, only_openssl = asyncio.run(shaken(row, tmp_path, f"reg.{row.below}" if row.below else HOST))
    assert (facts.fault or "") == row.fault
    assert only_openssl == (row.openssl is False)
    if row.fault:
        assert row.says in facts.error


@pytest.mark.parametrize(
    ("host", "name", "expected"),
    [
        ("a.test", "a.test", True),
        ("A.Test.", "a.test", True),
        ("a.test", "a.test.", False),
        ("a.test", "*.test", True),
        ("b.a.test", "*.test", False),
        ("a.test", "*.a.test", False),
        ("test", "*.test", False),
        ("test", "*", False),
        ("a.test", "a*.test", False),
        ("a_b.test", "a_b.test", True),
        ("-a.test", "*.test", False),
        ("a.test", "", False),
        ("*.test", "*.test", True),
    ],
)
def test_names_cover_hosts_as_gos_verifier_says(host: str, name: str, expected: bool) -> None:
    assert covers(name, host) is expected
    assert parse_address(host) is None


def test_without_verification_only_what_cannot_be_read_is_refused() -> None:
    untrusted = ROWS["wrong-key"].make(HOST)
    assert refusal(untrusted.ders, HOST, Roots.of([]), NOW, GoBuild(), verify=False) is None
    unreadable = ROWS["name-not-ascii"].make(HOST)
    assert refusal(unreadable.ders, HOST, Roots.of([]), NOW, GoBuild(), verify=False) is not None
    assert refusal([], HOST, Roots.of([]), NOW, GoBuild()) is not None


def test_a_trusted_certificate_at_fault_is_named_though_it_was_not_sent() -> None:
    served = ROWS["expired-root"].make(HOST)
    found = refusal(served.ders, HOST, Roots.of([one.der for one in served.roots]), NOW, GoBuild())
    assert found is not None
    assert (found.at, found.authority) == (None, served.roots[0].der)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_certificates_are_refused_or_read_and_never_break_the_reader(data: st.DataObject) -> None:
    served = GOOD
    damaged = bytearray(served.ders[0])
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=6)):
        damaged[position] = data.draw(st.integers(0, 255))
    roots = Roots.of([one.der for one in served.roots])
    found = refusal([bytes(damaged), *served.ders[1:]], HOST, roots, NOW, GoBuild())
    assert found is not None or bytes(damaged) == served.ders[0]


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_no_certificate(noise: bytes) -> None:
    with pytest.raises(gocert.GoRefuses):
        gocert.read(noise, GoBuild())
    assert gocert.subject_of(noise) == b""
