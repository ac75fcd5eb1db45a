import asyncio
import ssl
from dataclasses import replace

import pytest
import trustme
from walking.certificates import pem_of, serve
from walking.network import FakeNetwork, FakeStream
from walking.plans import failed, plan_for, walked
from walking.server import Answer, Server

from pullwhy.plan import GoBuild
from pullwhy.probe.hello import HelloLost, client_hello, is_wanted, lost
from pullwhy.probe.network import ConnectFailed, RealNetwork, Stream, StreamReset
from pullwhy.trace import ConnectAttempt, ConnectResult, TLSFault

USED = ConnectAttempt("192.0.2.1", 443, ConnectResult.CONNECTED, 0.01, used=True)
LARGE = GoBuild(24)


def sent(*streams: FakeStream | ConnectFailed) -> HelloLost | None:
    network = FakeNetwork(streams={("192.0.2.1", 443): list(streams)})
    return asyncio.run(lost(network, USED, "registry.test", 1.0))


def test_the_hello_takes_two_segments_and_is_well_formed() -> None:
    hello = client_hello("registry.test")
    assert 1_448 < len(hello) < 1_900
    assert b"registry.test" in hello
    assert int.from_bytes(hello[3:5], "big") == len(hello) - 5
    assert int.from_bytes(hello[6:9], "big") == len(hello) - 9
    assert b"\x00\x00" not in client_hello("10.0.0.1")[76:80]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_real_server_answers_it_with_a_server_hello(version: ssl.TLSVersion) -> None:
    context = serve(trustme.CA().issue_cert("registry.test"))
    context.minimum_version = context.maximum_version = version

    async def go() -> bytes:
        async with Server(lambda _: Answer(), context) as server:
            stream = await RealNetwork().connect("127.0.0.1", server.port, 2.0)
            await stream.write(client_hello("registry.test"), 2.0)
            answer = await stream.read(6, 2.0)
            stream.close()
            return answer

    answer = asyncio.run(go())
    assert (answer[0], answer[5]) == (22, 2)


@pytest.mark.parametrize("first", [b"\x16\x03\x03", b"\x15\x03\x03"])
def test_any_record_of_tls_is_an_answer(first: bytes) -> None:
    assert sent(FakeStream([first])) is None


def test_a_hello_that_is_lost_twice_is_lost() -> None:
    silent = sent(FakeStream([]), FakeStream([]))
    assert silent is not None
    assert silent.silent
    for said in (StreamReset("connection reset by peer"), b"", b"HTTP/1.1 400"):
        cut = sent(FakeStream([said]), FakeStream([said]))
        assert cut is not None
        assert not cut.silent
    assert sent(FakeStream([]), FakeStream([b"\x16"])) is None
    assert sent(ConnectFailed(ConnectResult.REFUSED, "refused")) is None


def test_only_a_runtime_that_sends_it_is_stood_in_for() -> None:
    old = ssl.OPENSSL_VERSION_INFO < (3, 5)
    assert is_wanted(LARGE) is old
    for go in (GoBuild(), GoBuild(22), GoBuild(24, True, (("tlsmlkem", "0"),))):
        assert not is_wanted(go)


class LosesLarge(RealNetwork):
    """A network on which the first packet of a large hello does not arrive."""

    async def connect(self, address: str, port: int, within: float) -> Stream:
        return Losing(await super().connect(address, port, within))


class Losing:
    def __init__(self, inner: Stream) -> None:
        self.inner = inner

    async def read(self, limit: int, within: float) -> bytes:
        return await self.inner.read(limit, within)

    async def write(self, data: bytes, within: float) -> None:
        if len(data) <= 1_400:
            await self.inner.write(data, within)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.skipif(not is_wanted(LARGE), reason="this OpenSSL's own hello is as large")
def test_a_walk_says_that_large_hellos_are_lost_where_the_runtime_sends_them() -> None:
    authority = trustme.CA()

    async def go(build: GoBuild) -> tuple[int, object]:
        async with Server(lambda _: Answer(404), serve(authority.issue_cert("registry.test"))) as server:
            plan = replace(plan_for(server.port, scheme="https"), system_trust=pem_of(authority), go=build)
            trace = await walked(plan, LosesLarge())
            return len(server.requests), failed(trace).tls

    requests, facts = asyncio.run(go(LARGE))
    assert requests == 0
    assert facts is not None
    assert getattr(facts, "fault", None) is TLSFault.TIMED_OUT
    assert getattr(facts, "large_hello", False)
    assert asyncio.run(go(GoBuild(22)))[0] > 0
