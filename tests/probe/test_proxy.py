import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import msgspec
import pytest
import trustme
from walking.certificates import pem_of, serve
from walking.plans import failed, plan_for, walked
from walking.server import Answer, RawServer, Server
from walking.shop import Shop

from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Proxies, Resolver, WalkPlan
from pullwhy.secret import Secret
from pullwhy.trace import ConnectResult, HTTPFault, StageResult, TLSFault, Trace

OK = 200
CA = trustme.CA(organization_name="Example Corp")


class Proxy(Server):
    """A proxy that tunnels to one port whatever was asked, or says `status` instead."""

    def __init__(self, target: Server, status: int = 200, *, tls: bool = False) -> None:
        super().__init__(lambda _: Answer(status), serve(CA.issue_cert("proxy.test")) if tls else None)
        self._target = target
        self._status = status

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if not await super()._one(reader, writer) or self._status != OK:
            return False
        onward = await asyncio.open_connection("127.0.0.1", self._target.port)
        try:
            await asyncio.gather(self._copy(reader, onward[1]), self._copy(onward[0], writer))
        finally:
            onward[1].close()
        return False

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


def forwarding(registry: Server) -> Server:
    """Return a proxy for plain HTTP: it is asked by whole URLs."""
    return Server(lambda got: registry.respond(replace(got, target=f"/{got.target.split('/', 3)[3]}")))


def asked(proxy: Server) -> tuple[str, str]:
    """Return the first request's line and proxy credentials."""
    got = proxy.requests[0]
    return f"{got.method} {got.target}", got.headers.get("proxy-authorization", "")


def made() -> Shop:
    shop = Shop()
    shop.image("team/app", "1")
    return shop


def through(
    make: Callable[[Server], Server],
    *,
    scheme: str = "https",
    value: str = "http://proxy.test:{port}",
    change: Callable[[WalkPlan], WalkPlan] = lambda plan: plan,
    no_proxy: str = "",
) -> tuple[Trace, Server]:
    """Walk to a registry that only the proxy can resolve, through what `make` makes."""

    async def go() -> tuple[Trace, Server]:
        async with AsyncExitStack() as stack:
            tls = serve(CA.issue_cert("registry.test")) if scheme == "https" else None
            registry = await stack.enter_async_context(Server(made().respond, tls))
            proxy = await stack.enter_async_context(make(registry))
            setting = Secret(value.format(port=proxy.port))
            plan = replace(
                plan_for(registry.port, scheme=scheme),
                resolver=Resolver(nameservers=(), hosts=(("127.0.0.1", ("proxy.test",)),)),
                proxies=Proxies(setting, setting, no_proxy, "/proc/812/environ"),
                system_trust=pem_of(CA),
            )
            return await walked(change(plan)), proxy

    return asyncio.run(go())


def test_https_goes_through_a_tunnel_and_the_node_need_not_resolve_the_name() -> None:
    trace, proxy = through(Proxy)
    assert asked(proxy)[0].startswith("CONNECT registry.test:")
    assert [(r.stage, r.via, r.outcome) for r in trace.results[:4]] == [
        (Stage.DNS, Via.PROXY, Outcome.PASSED),
        (Stage.CONNECT, Via.PROXY, Outcome.PASSED),
        (Stage.PROXY, Via.PROXY, Outcome.PASSED),
        (Stage.TLS, None, Outcome.PASSED),
    ]
    assert trace.results[-1].outcome is Outcome.PASSED


def test_plain_http_is_asked_of_the_proxy_by_its_whole_url() -> None:
    trace, proxy = through(forwarding, scheme="http")
    assert asked(proxy)[0].startswith("HEAD http://registry.test:")
    assert trace.results[-1].outcome is Outcome.PASSED


def test_a_proxy_may_itself_speak_tls() -> None:
    trace, _ = through(lambda registry: Proxy(registry, tls=True), value="https://proxy.test:{port}")
    assert [(r.via, r.outcome) for r in trace.results if r.stage is Stage.TLS] == [
        (Via.PROXY, Outcome.PASSED),
        (None, Outcome.PASSED),
    ]
    assert trace.results[-1].outcome is Outcome.PASSED


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_proxys_user_info_goes_to_it_and_nowhere_else(scheme: str) -> None:
    trace, proxy = through(
        Proxy if scheme == "https" else forwarding, scheme=scheme, value="http://me:canary@proxy.test:{port}"
    )
    assert asked(proxy)[1].startswith("Basic ")
    assert b"canary" not in msgspec.json.encode(trace)
    assert b"me:" not in msgspec.json.encode(trace)


@pytest.mark.parametrize("status", [403, 407, 502, 503])
def test_a_proxy_that_refuses_the_tunnel_is_the_fault(status: int) -> None:
    result = failed(through(lambda registry: Proxy(registry, status))[0])
    assert (result.stage, result.via) == (Stage.PROXY, Via.PROXY)
    assert result.http is not None
    assert result.http.status == status


def test_a_proxy_that_wants_other_credentials_for_plain_http_is_the_fault() -> None:
    result = failed(through(lambda registry: Proxy(registry, 407), scheme="http")[0])
    assert (result.stage, result.via) == (Stage.PROXY, Via.PROXY)


@pytest.mark.parametrize(
    ("said", "fault"), [(None, HTTPFault.TIMED_OUT), (b"", HTTPFault.RESET), (b"SSH-2.0\r\n\r\n", HTTPFault.GARBLED)]
)
def test_a_proxy_that_does_not_answer_is_the_fault(said: bytes | None, fault: HTTPFault) -> None:
    result = failed(through(lambda _: RawServer(said))[0])
    assert (result.stage, result.via) == (Stage.PROXY, Via.PROXY)
    assert result.http is not None
    assert result.http.fault is fault


def test_a_proxy_that_cannot_be_resolved_or_reached_is_the_fault() -> None:
    result = failed(through(Proxy, value="http://nowhere.test:3128")[0])
    assert (result.stage, result.via, result.target) == (Stage.DNS, Via.PROXY, "nowhere.test")
    result = failed(through(Proxy, value="http://proxy.test:1")[0])
    assert (result.stage, result.via) == (Stage.CONNECT, Via.PROXY)
    assert result.connect[0].result is ConnectResult.REFUSED


def test_a_proxy_whose_certificate_is_refused_is_the_fault() -> None:
    result = failed(
        through(
            lambda registry: Proxy(registry, tls=True),
            value="https://proxy.test:{port}",
            change=lambda plan: replace(plan, system_trust=""),
        )[0]
    )
    assert result.tls is not None
    assert (result.via, result.tls.fault) == (Via.PROXY, TLSFault.UNTRUSTED)


def test_a_proxy_setting_that_is_no_url_is_told_without_its_value() -> None:
    trace, _ = through(Proxy, value="http://me:canary@[broken")
    assert "not a URL" in trace.results[0].detail
    assert (failed(trace).via, failed(trace).target) == (Via.PROXY, "http")
    assert b"canary" not in msgspec.json.encode(trace)


def past_it(trace: Trace) -> StageResult:
    """Return what was seen of the way without the proxy."""
    return [result for result in trace.results if result.stage is Stage.PROXY][-1]


def test_a_proxy_that_fails_is_compared_with_the_way_without_it() -> None:
    unresolved, _ = through(lambda registry: Proxy(registry, 403))
    assert "has no address here" in past_it(unresolved).detail
    assert past_it(unresolved).connect == ()

    def resolvable(plan: WalkPlan) -> WalkPlan:
        return replace(plan, resolver=replace(plan.resolver, hosts=(("127.0.0.1", ("proxy.test", "registry.test")),)))

    reached, proxy = through(lambda registry: Proxy(registry, 403), change=resolvable)
    past = past_it(reached)
    assert (past.outcome, past.via) == (Outcome.SKIPPED, Via.PROXY)
    assert [attempt.result for attempt in past.connect] == [ConnectResult.CONNECTED]
    assert len(proxy.requests) == 1


def test_a_socks_proxy_is_not_asked_and_nothing_is_claimed() -> None:
    trace, _ = through(Proxy, value="socks5://proxy.test:1080")
    assert trace.results[0].stage is Stage.PROXY
    assert {result.outcome for result in trace.results} == {Outcome.SKIPPED}


def test_no_proxy_means_the_nodes_own_way() -> None:
    trace, proxy = through(Proxy, no_proxy="registry.test")
    assert not proxy.requests
    assert failed(trace).target == "registry.test"


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.google.internal", "10.0.0.9"])
def test_a_proxy_is_no_way_to_forbidden_places(host: str) -> None:
    def elsewhere(plan: WalkPlan) -> WalkPlan:
        endpoint = replace(plan.endpoints[0], host=host)
        return replace(plan, endpoints=(endpoint,), local_addresses_allowed=False)

    trace, proxy = through(Proxy, change=elsewhere)
    assert not proxy.requests
    assert {result.outcome for result in trace.results} == {Outcome.SKIPPED}
