import asyncio
import ssl
from dataclasses import replace

import trustme
from walking.certificates import demand_client, pair_of, pem_of, serve
from walking.network import FakeNetwork
from walking.plans import NAMES, failed, plan_for, told, walked
from walking.server import AlertingServer, RawServer, Server
from walking.shop import Shop
from walking.walks import mirror, outcome, over, shop, two, upstream

from pullwhy.model import Outcome, Stage
from pullwhy.plan import Credential, Endpoint, Resolver, WalkPlan
from pullwhy.probe.network import ConnectFailed
from pullwhy.secret import Secret
from pullwhy.trace import ConnectResult, DNSResult, TLSFault

CA = trustme.CA(organization_name="Example Corp")
OTHER = trustme.CA(organization_name="Somebody Else")


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
