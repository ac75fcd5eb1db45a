import asyncio
import gc
import ssl
import tracemalloc
from dataclasses import replace

import pytest
import trustme
from walking.certificates import Plain, dated, demand_client, pair_of, pem_of, serve
from walking.network import FakeStream
from walking.server import AlertingServer, Answer, RawServer, Server

from pullwhy.clientpair import UnusableClientPair
from pullwhy.plan import ClientPair
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.http import Connection, Request
from pullwhy.probe.network import RealNetwork, StreamReset
from pullwhy.probe.tls import MAX_HANDSHAKE, HandshakeFailed, handshake
from pullwhy.probe.trust import Contexts, Trust, certificates
from pullwhy.secret import Secret
from pullwhy.trace import TLSFacts, TLSFault

HOST = "registry.test"
CA = trustme.CA(organization_name="Example Corp", organization_unit_name="Root")
OTHER = trustme.CA(organization_name="Somebody Else")
CONTEXTS = Contexts()
TRUSTING = Trust((pem_of(CA),))


def hello(server: Server, trust: Trust = TRUSTING, host: str = HOST) -> TLSFacts:
    """Make a handshake with `server` and one exchange, and return what the handshake showed."""

    async def go() -> TLSFacts:
        async with server:
            stream = await RealNetwork().connect("127.0.0.1", server.port, 1.0)
            try:
                secure = await handshake(stream, host, CONTEXTS.get(trust), 0.6, SystemClock())
                await Connection(secure).exchange(Request("GET", "/", (("Host", Secret(host)),)), 100, 1.0)
            except HandshakeFailed as error:
                return error.facts
            else:
                return secure.facts
            finally:
                stream.close()

    return asyncio.run(go())


def web(context: ssl.SSLContext) -> Server:
    return Server(lambda _: Answer(body=b"ok"), context)


def test_a_trusted_certificate_passes_with_its_version_told() -> None:
    facts = hello(web(serve(CA.issue_cert(HOST))))
    assert facts == TLSFacts(HOST, None, "TLSv1.3")


def test_an_address_is_verified_as_one() -> None:
    assert hello(web(serve(CA.issue_cert("127.0.0.1"))), host="127.0.0.1").fault is None
    assert hello(web(serve(CA.issue_cert(HOST))), host="127.0.0.1").fault is TLSFault.NAME_MISMATCH


def test_an_unknown_authority_is_told_with_the_chain_that_was_sent() -> None:
    facts = hello(web(serve(OTHER.issue_cert(HOST))))
    assert facts.fault is TLSFault.UNTRUSTED
    assert facts.chain[0].names == (HOST,)
    assert "Somebody Else" in facts.chain[0].issuer
    assert facts.faulty == 0
    assert "signed by unknown authority" in facts.error


def test_a_self_signed_certificate_is_untrusted_and_named_so() -> None:
    facts = hello(web(Plain(HOST, host=HOST).serve()))
    assert facts.fault is TLSFault.UNTRUSTED
    assert facts.chain[0].self_signed


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("begins", "ends", "fault"), [(-9, -1, TLSFault.EXPIRED), (1, 9, TLSFault.NOT_YET_VALID)])
def test_dates_are_faults_of_their_own(begins: int, ends: int, fault: TLSFault, version: ssl.TLSVersion) -> None:
    context = dated(CA, HOST, begins, ends)
    context.maximum_version = version
    facts = hello(web(context))
    assert (facts.fault, facts.faulty) == (fault, 0)
    assert facts.chain[0].not_before < facts.chain[0].not_after


def test_the_leafs_dates_come_before_trust_as_in_go() -> None:
    assert hello(web(dated(OTHER, HOST, -9, -1))).fault is TLSFault.EXPIRED


def test_the_name_comes_before_trust_as_in_go() -> None:
    facts = hello(web(serve(OTHER.issue_cert("else.test"))))
    assert facts.fault is TLSFault.NAME_MISMATCH
    assert facts.chain[0].names == ("else.test",)


def test_a_name_in_the_common_name_alone_does_not_count() -> None:
    leaf = Plain(HOST, signer=(root := Plain("Corp Root CA")))
    assert hello(web(leaf.serve()), Trust((root.pem,))).fault is TLSFault.NAME_MISMATCH


def test_a_missing_intermediate_is_told_from_an_unknown_authority() -> None:
    root = Plain("Corp Root CA", "Corp")
    issuing = Plain("Corp Issuing CA 01", "Corp", root)
    leaf = Plain("leaf", signer=issuing, host=HOST)
    assert hello(web(leaf.serve()), Trust((root.pem,))).fault is TLSFault.CHAIN_INCOMPLETE
    assert hello(web(leaf.serve(issuing)), Trust((root.pem,))).fault is None
    assert hello(web(leaf.serve()), Trust((Plain("Else Root CA", "Else").pem,))).fault is TLSFault.UNTRUSTED


def test_an_intermediate_in_the_trust_store_is_an_anchor_as_in_go() -> None:
    root = Plain("Corp Root CA", "Corp")
    issuing = Plain("Corp Issuing CA 01", "Corp", root)
    leaf = Plain("leaf", signer=issuing, host=HOST)
    assert hello(web(leaf.serve()), Trust((issuing.pem,))).fault is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_client_certificate_says_so_in_either_version(version: ssl.TLSVersion) -> None:
    context = demand_client(serve(CA.issue_cert(HOST)), CA, version)
    assert hello(AlertingServer(context)).fault is TLSFault.CLIENT_CERTIFICATE_REQUIRED


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_pair_is_shown(version: ssl.TLSVersion) -> None:
    context = demand_client(serve(CA.issue_cert(HOST)), CA, version)
    pair = pair_of(CA.issue_cert("node.test"))
    assert hello(web(context), replace(TRUSTING, client=(pair,))).fault is None


def test_a_client_pair_that_does_not_fit_is_said_without_its_key() -> None:
    one, two = pair_of(CA.issue_cert("a.test")), pair_of(CA.issue_cert("b.test"))
    for pair in (
        ClientPair(one.certificate, two.key),
        ClientPair(one.certificate, Secret("canary")),
        ClientPair("no pem", one.key),
        ClientPair(one.certificate, Secret("x" * 100_000)),
    ):
        with pytest.raises(UnusableClientPair) as caught:
            Contexts().get(replace(TRUSTING, client=(pair,)))
        assert "canary" not in str(caught.value)


def test_a_runtime_that_does_not_verify_is_imitated() -> None:
    assert hello(web(serve(OTHER.issue_cert("else.test"))), replace(TRUSTING, verify=False)).fault is None


def test_a_server_of_an_old_version_fails_the_handshake() -> None:
    context = serve(CA.issue_cert(HOST))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    facts = hello(AlertingServer(context))
    assert facts.fault is TLSFault.HANDSHAKE_FAILED
    assert "PROTOCOL_VERSION" in facts.error


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent", TLSFault.PLAIN_HTTP),
        (b"SSH-2.0-OpenSSH_9.2\r\n", TLSFault.HANDSHAKE_FAILED),
        (b"\x15\x03\x01\x00\x02\x02\x28", TLSFault.HANDSHAKE_FAILED),
        (b"", TLSFault.RESET),
        (None, TLSFault.TIMED_OUT),
    ],
)
def test_what_answers_the_hello_tells_the_fault(said: bytes | None, fault: TLSFault) -> None:
    assert hello(RawServer(said)).fault is fault


def shake(*chunks: bytes | Exception) -> TLSFacts:
    async def go() -> TLSFacts:
        with pytest.raises(HandshakeFailed) as caught:
            await handshake(FakeStream(list(chunks)), HOST, CONTEXTS.get(TRUSTING), 1.0, SystemClock())
        return caught.value.facts

    return asyncio.run(go())


def test_a_reset_in_the_handshake_is_told_with_its_place() -> None:
    facts = shake(StreamReset("connection reset by peer"))
    assert (facts.fault, facts.error) == (TLSFault.RESET, "connection reset by peer in the handshake")
    assert shake(b"\x16\x03\x03\x00\x7a\x02", b"").error == "EOF after 6 bytes of the handshake"


def test_a_handshake_without_end_is_cut() -> None:
    record = b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + b"x" * 16_380
    facts = shake(*[record] * (MAX_HANDSHAKE // len(record) + 3))
    assert facts.fault in (TLSFault.RESET, TLSFault.HANDSHAKE_FAILED)


def test_contexts_are_kept_by_trust_and_forgotten_in_the_end() -> None:
    contexts = Contexts()
    first = contexts.get(TRUSTING)
    assert contexts.get(Trust((pem_of(CA),))) is first
    assert contexts.get(replace(TRUSTING, verify=False)) is not first
    for number in range(20):
        contexts.get(Trust((pem_of(CA), f"# {number}")))
    assert contexts.get(TRUSTING) is not first


def test_what_is_no_certificate_in_a_store_is_passed_over() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    noise = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\nwords\n"
    assert len(certificates(broken + noise + pem_of(CA))) == 2
    assert hello(web(serve(CA.issue_cert(HOST))), Trust((broken + noise, pem_of(CA)))).fault is None
    assert hello(web(serve(CA.issue_cert(HOST))), Trust(("",))).fault is TLSFault.UNTRUSTED


@pytest.mark.slow
def test_refused_handshakes_leave_nothing_behind() -> None:
    async def many(count: int) -> None:
        async with web(serve(OTHER.issue_cert(HOST))) as server:
            for _ in range(count):
                stream = await RealNetwork().connect("127.0.0.1", server.port, 1.0)
                with pytest.raises(HandshakeFailed):
                    await handshake(stream, HOST, CONTEXTS.get(TRUSTING), 1.0, SystemClock())
                stream.close()

    asyncio.run(many(5))
    tracemalloc.start()
    try:
        asyncio.run(many(1))
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        asyncio.run(many(60))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 500_000
    finally:
        tracemalloc.stop()
