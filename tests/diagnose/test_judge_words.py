"""What a diagnosis says beside the cause: platforms, resolvers, trust, proxies and schemes."""

from dataclasses import replace

import pytest
from diagnose.builders import (
    HOST,
    NODE,
    PROVED,
    UNTIL_AUTH,
    UNTIL_MANIFEST,
    C,
    S,
    case,
    connect,
    failed,
    http,
    passing,
    platform,
    tls,
    told,
    trace,
)

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.judge import judge
from pullwhy.diagnose.remedies.rendering import render
from pullwhy.model import CauseId, Outcome, Stage, Via
from pullwhy.trace import (
    ConnectAttempt,
    ConnectResult,
    DNSFacts,
    DNSResult,
    HTTPFacts,
    HTTPFault,
    NameserverAnswer,
    StageResult,
    TLSFault,
)


def test_the_platform_that_was_looked_for_is_named_where_it_is_known() -> None:
    asked = judge(case(trace(passing(*UNTIL_MANIFEST), platform("linux/arm64"))))
    assert "has no variant for the platform linux/amd64; it has linux/arm64" in asked.summary
    told_only = judge(case(hypothesis=told(CauseId.PLATFORM_NOT_AVAILABLE, Stage.PLATFORM)))
    assert told_only.summary.endswith("has no variant for this node's platform")


def test_a_certificate_that_go_does_not_take_is_to_be_issued_anew_and_no_node_is_to_trust_it() -> None:
    remedy = render(judge(case(trace(passing(Stage.DNS, Stage.CONNECT), tls(TLSFault.UNACCEPTABLE)))).remedy)
    assert "anew" in remedy.text
    assert "cures" in remedy.text
    assert not any("ca.crt" in command.run for command in remedy.commands)


def behind_resolved(answer: DNSResult, stub: DNSResult = DNSResult.SERVFAIL) -> Case:
    """A lookup at which systemd-resolved fails, and what the nameserver behind it says."""
    decisive = NameserverAnswer("127.0.0.53", "reg.example.", stub)
    upstream = NameserverAnswer("10.0.0.53", "reg.example.", answer, upstream=True)
    facts = DNSFacts("reg.example", "dns", (), (decisive, upstream), decisive)
    return case(trace(StageResult(S.DNS, "reg.example", Outcome.FAILED, endpoint=0, dns=facts)))


def test_resolved_itself_is_told_from_the_nameservers_behind_it() -> None:
    own = judge(behind_resolved(DNSResult.ANSWERED))
    assert own.cause is C.DNS_SERVER_FAILURE
    assert "10.0.0.53, which systemd-resolved asks, says: answered" in own.summary
    assert "resolvectl" in " ".join(command.run for command in render(own.remedy).commands)
    upstream = render(judge(behind_resolved(DNSResult.TIMED_OUT)).remedy)
    assert "10.0.0.53" in upstream.text
    assert "resolvectl" not in " ".join(command.run for command in upstream.commands)


def test_trust_that_the_runtime_has_not_loaded_yet_asks_for_a_restart() -> None:
    store = StageResult(S.TLS, "/etc/ssl/certs/ca-certificates.crt", Outcome.SKIPPED, stale_trust=True)
    walked = trace([store], passing(*UNTIL_MANIFEST))
    found = judge(case(walked, told(C.CERTIFICATE_UNTRUSTED, S.TLS)))
    assert (found.cause, found.confidence) == (C.CERTIFICATE_UNTRUSTED, PROVED)
    remedy = render(found.remedy)
    assert remedy.restart_required
    assert "/etc/ssl/certs/ca-certificates.crt" in remedy.text
    refused = judge(
        case(trace([store], passing(S.DNS, S.CONNECT), tls(TLSFault.UNTRUSTED)), told(C.CERTIFICATE_UNTRUSTED, S.TLS))
    )
    assert "loads that store once" not in render(refused.remedy).text
    fresh = judge(case(trace(passing(*UNTIL_MANIFEST)), told(C.CERTIFICATE_UNTRUSTED, S.TLS)))
    assert fresh.cause is C.UNDETERMINED


@pytest.mark.parametrize(
    ("seen", "said"),
    [(ConnectResult.CONNECTED, "NO_PROXY lacks it"), (ConnectResult.TIMED_OUT, "NO_PROXY is no way out")],
)
def test_whether_the_proxy_is_needed_is_said_with_its_fault(seen: ConnectResult, said: str) -> None:
    attempt = ConnectAttempt("10.0.0.1", 443, seen, 0.1)
    refused = StageResult(S.PROXY, "proxy:3128", Outcome.FAILED, endpoint=0, via=Via.PROXY, detail="CONNECT: 403")
    past = StageResult(S.PROXY, HOST, Outcome.SKIPPED, endpoint=0, via=Via.PROXY, connect=(attempt,))
    found = judge(case(trace([refused, past])))
    assert found.cause is C.PROXY_FAILED
    assert said in render(found.remedy).text


@pytest.mark.parametrize(
    ("hostname", "told"),
    [("", "hosts"), ("n0", "hosts"), ("regi", "hosts"), ("registry", ""), (HOST, ""), (f"{HOST}.lan", "")],
)
def test_the_nodes_own_name_is_not_taken_for_an_entry_that_is_out_of_date(hostname: str, told: str) -> None:
    looked_up = passing(S.DNS, dns=DNSFacts(HOST, "hosts", ("10.0.0.7",)))
    seen = trace(looked_up, connect(("10.0.0.7", ConnectResult.REFUSED)))
    found = judge(replace(case(seen), node=replace(NODE, hostname=hostname)))
    assert found.cause is C.CONNECTION_REFUSED
    assert found.remedy.arguments.get("resolved_by", "") == told


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [http(404, html=True), http(fault=HTTPFault.GARBLED)], ids=["web page", "no HTTP"])
def test_what_answers_is_looked_at_by_the_scheme_that_the_walk_spoke(scheme: str, answer: HTTPFacts) -> None:
    facts = replace(answer, url=f"{scheme}://{HOST}:5000/v2/shop/web/manifests/1.4")
    found = judge(case(trace(passing(*UNTIL_AUTH), failed(S.MANIFEST, http=facts))))
    assert found.cause is C.NOT_A_REGISTRY
    (look,) = render(found.remedy).commands
    assert look.run == f"curl --silent --show-error --head {scheme}://{HOST}:5000/v2/"
