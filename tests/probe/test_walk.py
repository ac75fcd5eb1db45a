import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
import trustme
from walking.certificates import DAY, demand_client, pair_of, pem_of, serve
from walking.network import NOW, FakeClock, FakeNetwork, FakeStream
from walking.plans import NAMES, QUICK, failed, plan_for, told, walked
from walking.server import AlertingServer, Answer, Got, RawServer, Server
from walking.shop import API, Shop, digest_of

from pullwhy.image import parse
from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Credential, Endpoint, Resolver, Timeouts, WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import ConnectFailed, RealNetwork, Stream
from pullwhy.probe.walk import walk
from pullwhy.secret import Secret
from pullwhy.trace import BlobResult, ConnectResult, DNSResult, HTTPFault, TLSFault, Trace

CA = trustme.CA(organization_name="Example Corp")
OTHER = trustme.CA(organization_name="Somebody Else")
BIG = b"x" * 100_000


def shop(*layers: bytes) -> Shop:
    made = Shop()
    made.image("team/app", "1", layers=layers or (b"layer",))
    return made


def over(servers: list[Server], make: Callable[..., WalkPlan]) -> Trace:
    """Start servers, make a plan of their ports, and walk it."""

    async def go() -> Trace:
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            return await walked(make(*(server.port for server in servers)))

    return asyncio.run(go())


def outcome(trace: Trace, stage: Stage, via: Via | None = None) -> list[Outcome]:
    return [result.outcome for result in trace.results if result.stage is stage and result.via is via]


# --- the way


def test_a_name_that_does_not_resolve_ends_the_way_and_the_rest_is_skipped() -> None:
    plan = replace(plan_for(443), resolver=Resolver(nameservers=("192.0.2.1",)))
    network = FakeNetwork(datagrams={"192.0.2.1": ConnectFailed(ConnectResult.TIMED_OUT, "no answer")})
    trace = asyncio.run(walked(plan, network))
    assert told(trace) == [
        "DNS Failed",
        "Connect Skipped",
        "Auth Skipped",
        "Manifest Skipped",
        "Platform Skipped",
        "Blob Skipped",
    ]
    dns = trace.results[0].dns
    assert dns is not None
    assert dns.decisive is not None
    assert dns.decisive.result is DNSResult.TIMED_OUT


def test_a_refused_connection_is_told_per_address() -> None:
    plan = replace(plan_for(5000), resolver=Resolver(hosts=(("192.0.2.1", NAMES), ("fd00::1", NAMES))))
    network = FakeNetwork(
        streams={
            ("192.0.2.1", 5000): [ConnectFailed(ConnectResult.REFUSED, "connection refused")],
            ("fd00::1", 5000): [ConnectFailed(ConnectResult.UNREACHABLE, "network is unreachable")],
        }
    )
    result = failed(asyncio.run(walked(plan, network)))
    assert result.stage is Stage.CONNECT
    assert [attempt.result for attempt in result.connect] == [ConnectResult.REFUSED, ConnectResult.UNREACHABLE]


def test_an_untrusted_registry_fails_at_tls_and_passes_with_its_authority() -> None:
    server = Server(shop().respond, serve(CA.issue_cert("registry.test")))
    result = failed(over([server], lambda port: plan_for(port, scheme="https")))
    assert result.tls is not None
    assert (result.stage, result.tls.fault) == (Stage.TLS, TLSFault.UNTRUSTED)

    def trusting(port: int) -> WalkPlan:
        endpoint = Endpoint("https", "registry.test", port, ca=(pem_of(CA),))
        return replace(plan_for(port), endpoints=(endpoint,))

    again = Server(shop().respond, serve(CA.issue_cert("registry.test")))
    trace = over([again], trusting)
    assert trace.results[-1].outcome is Outcome.PASSED
    assert outcome(trace, Stage.TLS) == [Outcome.PASSED]


def test_the_systems_trust_counts_too_and_no_verification_is_imitated() -> None:
    for change in (
        lambda plan: replace(plan, system_trust=pem_of(CA)),
        lambda plan: replace(plan, endpoints=(replace(plan.endpoints[0], skip_verify=True),)),
    ):
        server = Server(shop().respond, serve(CA.issue_cert("registry.test")))
        trace = over([server], lambda port, change=change: change(plan_for(port, scheme="https")))
        assert trace.results[-1].outcome is Outcome.PASSED


def test_a_client_certificate_that_is_asked_for_late_takes_back_the_handshake() -> None:
    context = demand_client(serve(CA.issue_cert("registry.test")), CA, ssl.TLSVersion.TLSv1_3)
    trace = over(
        [AlertingServer(context)], lambda port: replace(plan_for(port, scheme="https"), system_trust=pem_of(CA))
    )
    results = [result for result in trace.results if result.stage is Stage.TLS]
    assert len(results) == 1
    assert results[0].tls is not None
    assert results[0].tls.fault is TLSFault.CLIENT_CERTIFICATE_REQUIRED
    assert outcome(trace, Stage.MANIFEST) == [Outcome.SKIPPED]


def test_a_bad_client_pair_is_the_fault_of_tls() -> None:
    one, two = pair_of(CA.issue_cert("a.test")), pair_of(CA.issue_cert("b.test"))
    pair = replace(one, key=two.key)

    def paired(port: int) -> WalkPlan:
        endpoint = Endpoint("https", "registry.test", port, client=(pair,))
        return replace(plan_for(port), endpoints=(endpoint,))

    result = failed(over([RawServer(None)], paired))
    assert result.tls is not None
    assert result.tls.fault is TLSFault.CLIENT_CERTIFICATE_REQUIRED


def test_plain_http_behind_https_is_told() -> None:
    result = failed(over([Server(shop().respond)], lambda port: plan_for(port, scheme="https")))
    assert result.tls is not None
    assert result.tls.fault in (TLSFault.PLAIN_HTTP, TLSFault.TIMED_OUT)
    result = failed(over([RawServer(b"HTTP/1.1 400 Bad\r\n\r\n")], lambda port: plan_for(port, scheme="https")))
    assert result.tls is not None
    assert result.tls.fault is TLSFault.PLAIN_HTTP


class Both(Server):
    """Answers plain HTTP, and a TLS hello with an error in plain HTTP."""

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == b"\x16":
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.")
            await writer.drain()
            return False
        reader._buffer[:0] = first  # type: ignore[attr-defined]
        return await super()._one(reader, writer)


def test_the_runtimes_fallback_to_plain_http_is_taken() -> None:
    made = shop()

    def fallback(port: int) -> WalkPlan:
        endpoint = Endpoint("https", "registry.test", port, http_fallback=True)
        return replace(plan_for(port), endpoints=(endpoint,))

    trace = over([Both(made.respond)], fallback)
    assert outcome(trace, Stage.TLS) == [Outcome.SKIPPED]
    assert trace.results[-1].outcome is Outcome.PASSED
    assert not [result for result in trace.results if result.outcome is Outcome.FAILED]


def test_where_nobody_listens_for_https_an_insecure_registry_is_asked_in_plain_http_on_its_own_port() -> None:
    server = Server(shop().respond)

    def insecure(port: int) -> WalkPlan:
        endpoint = Endpoint("https", "registry.test", 1, http_fallback=True, http_port=port, repository="team/app")
        return replace(plan_for(port, image="busybox:1"), endpoints=(endpoint,))

    trace = over([server], insecure)
    assert outcome(trace, Stage.CONNECT) == [Outcome.SKIPPED, Outcome.PASSED]
    assert trace.results[-1].outcome is Outcome.PASSED
    assert not [result for result in trace.results if result.outcome is Outcome.FAILED]
    assert {got.path.rpartition("/")[0] for got in server.requests} == {"/v2/team/app/manifests", "/v2/team/app/blobs"}


def test_any_failed_handshake_leads_an_insecure_registry_to_plain_http() -> None:
    server = RawServer(b"")

    def insecure(port: int) -> WalkPlan:
        endpoint = Endpoint("https", "registry.test", port, http_fallback=True, http_port=port)
        return replace(plan_for(port), endpoints=(endpoint,))

    trace = over([server], insecure)
    assert outcome(trace, Stage.TLS) == [Outcome.SKIPPED]
    assert failed(trace).http is not None


def test_a_mirror_that_names_the_repository_is_asked_for_that_and_for_no_namespace() -> None:
    server = Server(shop().respond)
    trace = over(
        [server, Server(Shop().respond)],
        lambda a, b: two(mirror(a, repository="team/app"), upstream(b), "registry.test/other:1"),
    )
    assert trace.results[-1].outcome is Outcome.PASSED
    assert {got.query for got in server.requests} == {""}


def test_what_is_not_reached_names_the_failure_and_not_the_handshake_that_the_fallback_skipped() -> None:
    def fallback(port: int) -> WalkPlan:
        endpoint = Endpoint("https", "registry.test", port, http_fallback=True)
        return replace(plan_for(port, image="team/app:absent"), endpoints=(endpoint,))

    trace = over([Both(shop().respond)], fallback)
    assert outcome(trace, Stage.TLS) == [Outcome.SKIPPED]
    details = {result.stage: result.detail for result in trace.results}
    assert details[Stage.PLATFORM] == details[Stage.BLOB] == "not reached: Manifest failed"


def test_where_nothing_failed_what_is_not_reached_names_what_was_skipped_last() -> None:
    plan = replace(plan_for(5000), local_addresses_allowed=False)
    trace = asyncio.run(walked(plan, FakeNetwork()))
    assert trace.results[-1].detail == "not reached: Connect skipped"


def test_a_realm_behind_https_is_not_asked_in_plain_http_though_its_host_fell_back() -> None:
    made = shop()
    server = Both(made.respond)

    def fallback(port: int) -> WalkPlan:
        made.challenge = f'Bearer realm="https://registry.test:{port}/token"'
        endpoint = Endpoint("https", "registry.test", port, http_fallback=True)
        return replace(plan_for(port), endpoints=(endpoint,), credentials=(Credential("u", Secret("canary"), "f"),))

    trace = over([server], fallback)
    assert failed(trace).stage is Stage.TLS
    assert {got.path for got in server.requests} == {"/v2/team/app/manifests/1"}
    assert not [got for got in server.requests if "authorization" in {name.lower() for name in got.headers}]


# --- endpoints


def two(first: Endpoint, second: Endpoint, image: str = "registry.test/team/app:1") -> WalkPlan:
    return replace(plan_for(1), image=parse(image), endpoints=(first, second))


def mirror(port: int, **changes: object) -> Endpoint:
    return replace(Endpoint("http", "mirror.test", port, is_mirror=True), **changes)  # type: ignore[arg-type]


def upstream(port: int) -> Endpoint:
    return Endpoint("http", "registry.test", port)


def test_a_mirror_that_serves_ends_the_walk_and_is_told_whose_image_is_meant() -> None:
    first, second = Server(shop().respond), Server(shop().respond)
    trace = over([first, second], lambda a, b: two(mirror(a), upstream(b), f"registry.test:{b}/team/app:1"))
    assert not second.requests
    assert {got.query for got in first.requests} == {f"ns=registry.test%3A{second.port}"}
    assert {result.via for result in trace.results if result.stage is not Stage.DNS} == {Via.MIRROR}
    assert {result.endpoint for result in trace.results} == {0}


@pytest.mark.parametrize("broken", [Server(Shop().respond), RawServer(b"rubbish"), RawServer(None)])
def test_a_mirror_that_fails_leads_to_the_next_endpoint(broken: Server) -> None:
    second = Server(shop().respond)
    trace = over([broken, second], lambda a, b: two(mirror(a), upstream(b)))
    assert [result.via for result in trace.results if result.outcome is Outcome.FAILED] == [Via.MIRROR]
    assert trace.results[-1].outcome is Outcome.PASSED
    assert trace.results[-1].endpoint == 1
    assert not [got for got in second.requests if got.query]


def test_hosts_without_the_capability_are_passed_over_as_the_runtime_does() -> None:
    first, second = Server(shop().respond), Server(Shop().respond)
    trace = over([first, second], lambda a, b: two(mirror(a, resolve=False), upstream(b)))
    assert not first.requests
    assert told(trace)[0] == "Manifest Skipped"
    assert "no resolve capability" in trace.results[0].detail

    made = shop()
    digest = made.image("team/app", "1")
    third, fourth = Server(Shop().respond), Server(made.respond)
    image = f"registry.test/team/app@{digest}"
    over([third, fourth], lambda a, b: two(mirror(a, resolve=False), upstream(b), image))
    assert third.requests
    over(
        [Server(Shop().respond), fifth := Server(made.respond)],
        lambda a, b: two(mirror(a, pull=False), upstream(b), image),
    )
    assert fifth.requests


@pytest.mark.parametrize("capability", ["resolve", "pull"])
def test_a_host_that_was_passed_over_is_asked_for_the_content_before_the_one_that_named_it(capability: str) -> None:
    made = shop()
    first, second = Server(made.respond), Server(made.respond)
    trace = over([first, second], lambda a, b: two(mirror(a, **{capability: False}), upstream(b)))
    assert [got.method for got in second.requests] == ["HEAD"]
    assert all("sha256:" in got.path for got in first.requests)
    assert "Manifest Skipped" not in told(trace)
    assert trace.results[-1].endpoint == 0
    assert trace.results[-1].outcome is Outcome.PASSED

    third, fourth = Server(Shop().respond), Server(made.respond)
    trace = over([third, fourth], lambda a, b: two(mirror(a, **{capability: False}), upstream(b)))
    assert third.requests
    assert trace.results[-1].endpoint == 1
    assert trace.results[-1].outcome is Outcome.PASSED


def test_once_a_host_has_named_the_digest_later_ones_are_asked_by_it() -> None:
    made = shop()

    def only_the_name(got: Got) -> Answer:
        return made.respond(got) if got.method == "HEAD" else Answer(404)

    first, second = Server(only_the_name), Server(made.respond)
    over([first, second], lambda a, b: two(mirror(a), replace(upstream(b), resolve=False)))
    assert second.requests
    assert all("sha256:" in got.path for got in second.requests)


def test_a_path_of_the_endpoint_comes_before_every_request() -> None:
    made = shop()

    def below(got: Got) -> Answer:
        assert got.path.startswith("/proxy/v2/")
        return made.respond(replace(got, target=got.target.removeprefix("/proxy")))

    trace = over(
        [Server(below)], lambda port: replace(plan_for(port), endpoints=(replace(upstream(port), path="/proxy/v2"),))
    )
    assert trace.results[-1].outcome is Outcome.PASSED


# --- redirects and realms


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


# --- deadlines, clocks, secrets, hostility


def test_the_overall_deadline_keeps_what_was_seen() -> None:
    timeouts = replace(QUICK, overall=0.3, answer=5.0)
    trace = over([RawServer(None)], lambda port: replace(plan_for(port), timeouts=timeouts))
    assert not trace.complete
    assert told(trace)[:2] == ["DNS Passed", "Connect Passed"]
    assert all(result.outcome is not Outcome.FAILED for result in trace.results)


def test_a_server_that_drips_is_cut_at_the_answers_deadline() -> None:
    class Dripping(Server):
        async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await reader.readuntil(b"\r\n\r\n")
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.05)

    class Slow(Server):
        async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    result = failed(over([Slow(shop().respond)], plan_for))
    assert result.http is not None
    assert result.http.fault is HTTPFault.TIMED_OUT
    assert over([Dripping(shop().respond)], plan_for).seconds < 2


def test_the_clock_is_compared_with_the_servers() -> None:
    class Ahead(SystemClock):
        def now(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return NOW + timedelta(hours=1)

    dated = Answer(404, {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"})

    async def go(headers: Answer) -> Trace:
        async with Server(lambda _: headers) as server:
            return await walk(plan_for(server.port), RealNetwork(), Ahead())

    assert asyncio.run(go(dated)).clock_skew_seconds == 3600
    assert asyncio.run(go(Answer(404))).clock_skew_seconds is None


@pytest.mark.parametrize(("days", "fault"), [(-400, TLSFault.NOT_YET_VALID), (400, TLSFault.EXPIRED)])
def test_a_certificate_out_of_its_time_has_the_servers_clock_asked(days: int, fault: TLSFault) -> None:
    now = datetime.now(UTC)
    authority = trustme.CA()
    dated = Answer(401, headers={"Date": format_datetime(now, usegmt=True)})

    async def go() -> tuple[Trace, list[Got]]:
        context = serve(authority.issue_cert("registry.test", not_before=now - DAY, not_after=now + DAY))
        async with Server(lambda _: dated, context) as server:
            plan = replace(plan_for(server.port, scheme="https"), system_trust=pem_of(authority))
            return await walk(plan, RealNetwork(), FakeClock(now + days * DAY)), server.requests

    trace, requests = asyncio.run(go())
    assert failed(trace).tls is not None
    assert getattr(failed(trace).tls, "fault", None) is fault
    assert trace.clock_skew_seconds == pytest.approx(days * 86_400, abs=2)
    assert [(got.method, got.path, "authorization" in got.headers) for got in requests] == [("HEAD", "/v2/", False)]


def test_a_fault_of_ours_is_an_error_and_the_walk_goes_on() -> None:
    class Broken(RealNetwork):
        async def connect(self, address: str, port: int, within: float) -> Stream:
            if port == 1:
                raise KeyError("canary")
            return await super().connect(address, port, within)

    async def go() -> Trace:
        async with Server(shop().respond) as server:
            return await walked(two(mirror(1), upstream(server.port)), Broken())

    trace = asyncio.run(go())
    errors = [result for result in trace.results if result.outcome is Outcome.ERROR]
    assert len(errors) == 1
    assert "KeyError" in errors[0].detail
    assert "canary" not in repr(trace)
    assert trace.results[-1].outcome is Outcome.PASSED


def test_a_resolution_is_made_once_a_walk() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": ConnectFailed(ConnectResult.REFUSED, "refused")})
    plan = replace(
        two(Endpoint("http", "registry.test", 1), Endpoint("http", "registry.test", 2)),
        resolver=Resolver(nameservers=("192.0.2.1",)),
    )
    trace = asyncio.run(walked(plan, network))
    assert len(network.dialled) == 2
    assert outcome(trace, Stage.DNS) == [Outcome.FAILED, Outcome.FAILED]


ESCAPES = "\x1b[31m\u202e"


def test_no_text_of_a_stranger_reaches_the_trace_unescaped() -> None:
    headers = {"Server": "\x1b[31mred", "Content-Type": "a\x1b[0m", **API}
    body = ('{"errors":[{"code":"DENIED","message":"' + ESCAPES + "\\nI1122 forged line" + '"}]}').encode()
    trace = over([Server(lambda _: Answer(404, headers, body))], plan_for)
    text = msgspec.json.encode(trace).decode()
    assert "\\u001b" not in text
    assert "\u202e" not in text
    assert "forged" not in text


def test_secrets_are_in_no_trace_whatever_happens() -> None:
    def make(port: int) -> WalkPlan:
        credential = Credential("canary-user", Secret("canary-password"), "config.json")
        endpoint = replace(upstream(port), headers=(("X-Key", Secret("canary-header")),))
        return replace(plan_for(port), endpoints=(endpoint,), credentials=(credential,))

    echo: list[Callable[[Got], Answer]] = [
        lambda got: Answer(401, {"WWW-Authenticate": f'Basic realm="{got.headers.get("authorization", "")}"'}),
        lambda got: Answer(500, {"Server": "x"}, got.headers.get("x-key", "").encode()),
        lambda got: Answer(307, {"Location": f"http://blobs.test:1/?k={got.headers.get('x-key', '')}"}),
        lambda got: Answer(raw=got.headers.get("x-key", "").encode()),
    ]
    for respond in echo:
        assert b"canary" not in msgspec.json.encode(over([Server(respond)], make))


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.15])
def test_a_walk_that_is_cancelled_leaves_no_socket(seconds: float) -> None:
    async def go() -> None:
        async with RawServer(None) as server:
            task: Awaitable[Trace] = asyncio.create_task(walked(plan_for(server.port)))
            await asyncio.sleep(seconds)
            task.cancel()  # type: ignore[attr-defined]
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())


def test_a_plan_without_endpoints_sees_nothing() -> None:
    trace = asyncio.run(walk(replace(plan_for(1), endpoints=()), FakeNetwork(), FakeClock()))
    assert trace == Trace((), 0.0, 0, complete=True, clock_skew_seconds=None)


def test_the_default_deadlines_leave_room_for_one_endpoint() -> None:
    default = Timeouts()
    assert default.dns + default.connect + default.handshake + default.answer < default.overall
