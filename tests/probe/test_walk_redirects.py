"""Where redirects and realms lead a walk, and where they do not."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import msgspec
import pytest
from walking.network import FakeNetwork, FakeStream
from walking.plans import failed, plan_for, walked
from walking.server import Answer, Got, RawServer, Server
from walking.shop import digest_of
from walking.walks import outcome, over, shop

from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Credential, Resolver
from pullwhy.probe.network import RealNetwork, Stream
from pullwhy.secret import Secret
from pullwhy.trace import BlobResult, ConnectResult, HTTPFault, Trace

BIG = b"x" * 100_000


def redirecting(to: str, status: int = 307, **shop_changes: str) -> Callable[[Got], Answer]:
    made = shop(BIG)

    def respond(got: Got) -> Answer:
        if digest_of(BIG) in got.path:
            return Answer(status, {"Location": to, **shop_changes})
        return made.respond(got)

    return respond


def blobs() -> Server:
    return Server(lambda _: Answer(206, {"Content-Range": f"bytes 0-0/{len(BIG)}"}, b"x"))


TRUSTED = ("blobs.test", "auth.test")


def test_a_layer_behind_a_redirect_is_asked_for_without_authorization() -> None:
    store = blobs()

    def challenged(to: str) -> Callable[[Got], Answer]:
        respond = redirecting(to)

        def answer(got: Got) -> Answer:
            if got.headers.get("authorization") is None:
                return Answer(401, {"WWW-Authenticate": 'Basic realm="reg"'})
            return respond(got)

        return answer

    async def go() -> Trace:
        async with store, Server(challenged(f"http://blobs.test:{store.port}/x?signature=canary")) as registry:
            credential = Credential("robot", Secret("canary"), "config.json")
            plan = replace(plan_for(registry.port), credentials=(credential,), trusted_hosts=TRUSTED)
            return await walked(plan)

    trace = asyncio.run(go())
    last = trace.results[-1]
    assert last.blob is not None
    assert (last.outcome, last.via) == (Outcome.PASSED, Via.BLOB_HOST)
    assert (last.blob.host, last.blob.redirected) == ("blobs.test", True)
    assert store.requests[0].query == "signature=canary"
    assert "authorization" not in store.requests[0].headers
    assert store.requests[0].headers["range"] == "bytes=0-0"
    assert b"canary" not in msgspec.json.encode(trace)


@pytest.mark.parametrize(
    ("location", "stage"),
    [
        ("http://nowhere.test/x", Stage.DNS),
        ("http://blobs.test:1/x", Stage.CONNECT),
        ("http://registry.test:1/x", Stage.CONNECT),
        ("https://blobs.test:{port}/x", Stage.TLS),
    ],
)
def test_a_blob_host_that_fails_has_its_own_stage(location: str, stage: Stage) -> None:
    async def go() -> Trace:
        async with RawServer(b"rubbish") as store, AsyncExitStack() as stack:
            registry = await stack.enter_async_context(Server(redirecting(location.format(port=store.port))))
            return await walked(replace(plan_for(registry.port), trusted_hosts=TRUSTED))

    trace = asyncio.run(go())
    result = failed(trace)
    assert (result.stage, result.via) == (stage, Via.BLOB_HOST)
    assert trace.results[-1].stage is Stage.BLOB
    assert trace.results[-1].outcome is Outcome.SKIPPED


def test_a_blob_host_that_refuses_is_named() -> None:
    async def go() -> Trace:
        denied = Answer(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        async with Server(lambda _: denied) as store, AsyncExitStack() as stack:
            registry = await stack.enter_async_context(Server(redirecting(f"http://blobs.test:{store.port}/x")))
            return await walked(replace(plan_for(registry.port), trusted_hosts=TRUSTED))

    result = failed(asyncio.run(go()))
    assert result.blob is not None
    assert result.http is not None
    assert (result.via, result.blob.result, result.http.codes) == (Via.BLOB_HOST, BlobResult.REFUSED, ("AccessDenied",))


METADATA = (
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/",
    "http://2852039166/",
    "http://loop.test:1/",
)


class Watched(RealNetwork):
    """Keeps what was dialled."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    async def connect(self, address: str, port: int, within: float) -> Stream:
        self.dialled.append(address)
        return await super().connect(address, port, within)


@pytest.mark.parametrize("location", METADATA)
@pytest.mark.parametrize("where", ["blob", "manifest", "realm"])
def test_no_registry_leads_the_walk_to_forbidden_places(location: str, where: str) -> None:
    def respond(got: Got) -> Answer:
        if where == "realm":
            return Answer(401, {"WWW-Authenticate": f'Bearer realm="{location}",service="x"'})
        if where == "manifest":
            return Answer(307, {"Location": location})
        return redirecting(location)(got)

    async def go() -> tuple[Trace, list[str]]:
        network = Watched()
        async with Server(respond) as registry:
            plan = plan_for(registry.port)
            hosts = (*plan.resolver.hosts, ("127.0.0.1", ("loop.test",)))
            plan = replace(plan, resolver=replace(plan.resolver, hosts=hosts))
            return await walked(plan, network), network.dialled

    trace, dialled = asyncio.run(go())
    assert dialled == ["127.0.0.1"]
    assert not [result for result in trace.results if result.outcome is Outcome.FAILED]
    refused = [r for r in trace.results if r.stage is Stage.CONNECT and r.outcome is Outcome.SKIPPED]
    assert len(refused) == 1
    assert "not dialled" in refused[0].detail


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3"])
def test_local_addresses_are_walked_only_where_the_kubelet_failed_on_them(address: str) -> None:
    plan = replace(
        plan_for(5000), local_addresses_allowed=False, resolver=Resolver(hosts=((address, ("registry.test",)),))
    )
    network = FakeNetwork(streams={(address, 5000): [FakeStream([b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"])]})
    trace = asyncio.run(walked(plan, network))
    assert not network.dialled
    assert trace.results[1].connect[0].result is ConnectResult.NOT_ALLOWED
    asyncio.run(walked(replace(plan, local_addresses_allowed=True), network))
    assert network.dialled[0] == (address, 5000)


@pytest.mark.parametrize(
    "location",
    ["", "/v2/team/app/manifests/1", "file:///etc/shadow", "http://" + "x" * 10_000, "ftp://blobs.test/", "//[::1/"],
)
def test_redirects_that_lead_nowhere_end(location: str) -> None:
    server = Server(lambda _: Answer(307, {"Location": location} if location else {}))
    result = failed(over([server], plan_for))
    assert result.http is not None
    assert result.http.fault is (HTTPFault.REDIRECT_REFUSED if location else None)
    assert len(server.requests) <= 12


def test_a_token_host_that_cannot_be_reached_is_named() -> None:
    challenge = Answer(401, {"WWW-Authenticate": 'Bearer realm="https://nowhere.test/token"'})
    trace = over([Server(lambda _: challenge)], plan_for)
    result = failed(trace)
    assert (result.stage, result.via, result.target) == (Stage.DNS, Via.TOKEN_HOST, "nowhere.test")
    assert outcome(trace, Stage.AUTH) == [Outcome.SKIPPED]


def test_a_token_host_of_its_own_is_asked() -> None:
    made = shop()
    made.authorization = ("Bearer anon",)

    async def go() -> Trace:
        async with Server(lambda _: Answer(200, {}, b'{"token": "anon"}')) as realm, Server(made.respond) as registry:
            made.challenge = f'Bearer realm="http://auth.test:{realm.port}/token",service="reg"'
            return await walked(replace(plan_for(registry.port), trusted_hosts=TRUSTED))

    trace = asyncio.run(go())
    assert outcome(trace, Stage.CONNECT, Via.TOKEN_HOST) == [Outcome.PASSED]
    assert trace.results[-1].outcome is Outcome.PASSED
    granted = next(result.auth for result in trace.results if result.auth is not None)
    assert granted.realm_host.startswith("auth.test")
