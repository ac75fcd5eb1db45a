import asyncio
from collections.abc import Callable
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walking.network import FakeClock, FakeNetwork, FakeStream

from pullwhy.plan import LookupStep, Resolver
from pullwhy.probe.dns import MAX_NAMES, candidates, resolve
from pullwhy.probe.nameserver import MAX_ADDRESSES, Asking
from pullwhy.probe.network import ConnectFailed
from pullwhy.trace import ConnectResult, DNSFacts, DNSResult

Zone = dict[str, list[str] | dns.rcode.Rcode]


def zone(records: Zone, *, flags: int = dns.flags.RA, cname: str = "") -> Callable[[bytes], bytes]:
    """Answer from a table: names (with the final dot) to addresses or to an rcode; unknown names are NXDOMAIN."""

    def answer(wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        response = dns.message.make_response(query)
        response.flags |= flags
        found = records.get(question.name.to_text(), dns.rcode.NXDOMAIN)
        if isinstance(found, dns.rcode.Rcode):
            response.set_rcode(found)
            return response.to_wire()
        wanted = [item for item in found if (":" in item) == (question.rdtype == dns.rdatatype.AAAA)]
        name = question.name.to_text()
        if cname:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", cname))
            name = cname
        if wanted:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", dns.rdatatype.to_text(question.rdtype), *wanted))
        return response.to_wire(max_size=60_000)

    return answer


def asking(network: FakeNetwork, *, attempts: int = 1, tcp: bool = False) -> Asking:
    return Asking(network, FakeClock(), 1.0, attempts, tcp, iter(range(7, 60_000)).__next__)


def resolved(host: str, resolver: Resolver, network: FakeNetwork) -> DNSFacts:
    return asyncio.run(resolve(host, resolver, asking(network, tcp=resolver.use_tcp)))


DNS_FILES = (LookupStep("dns"), LookupStep("files"))
ONE = Resolver(nameservers=("192.0.2.1",))
TWO = Resolver(nameservers=("192.0.2.1", "192.0.2.2"))


@pytest.mark.parametrize("literal", ["10.0.0.1", "fd00::1"])
def test_an_address_is_not_asked_for(literal: str) -> None:
    network = FakeNetwork()
    facts = resolved(literal, ONE, network)
    assert (facts.source, facts.addresses, network.dialled) == ("literal", (literal,), [])


def test_the_hosts_file_comes_first_unless_the_node_says_otherwise() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.": ["10.0.0.1"]})})
    listed = replace(ONE, hosts=(("10.9.9.9", ("Reg.Test", "other")), ("fd00::9", ("reg.test",))))
    assert resolved("reg.test", listed, network) == DNSFacts("reg.test", "hosts", ("10.9.9.9", "fd00::9"))
    assert resolved("reg.test", replace(listed, steps=DNS_FILES), network).addresses == ("10.0.0.1",)
    assert resolved("other", replace(listed, steps=DNS_FILES), network).source == "hosts"


def test_a_criterion_ends_the_search() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.": ["10.0.0.1"]})})
    strict = replace(ONE, steps=(LookupStep("files", ("notfound",)), LookupStep("dns")))
    assert resolved("reg.test", strict, network) == DNSFacts("reg.test", "hosts", ())
    unknown = replace(ONE, steps=(LookupStep("ldap", ("notfound",)), LookupStep("dns")))
    assert resolved("reg.test", unknown, network).addresses == ("10.0.0.1",)
    denied = replace(
        ONE, steps=(LookupStep("dns", ("notfound",)), LookupStep("files")), hosts=(("10.9.9.9", ("no.test",)),)
    )
    assert resolved("no.test", denied, network).addresses == ()


RESOLVED = (LookupStep("resolve", ("notfound", "tryagain")), LookupStep("files"), LookupStep("dns"))
BEHIND = replace(ONE, steps=RESOLVED, upstreams=("192.0.2.9",), libc=True)


def test_the_nameservers_behind_resolved_are_asked_where_it_does_not_answer() -> None:
    upstream = zone({"reg.test.": ["10.0.0.1"]})
    for stub, asked in ((zone({"reg.test.": dns.rcode.SERVFAIL}), True), (zone({"reg.test.": ["10.0.0.2"]}), False)):
        network = FakeNetwork(datagrams={"127.0.0.53": stub, "192.0.2.9": upstream})
        facts = resolved("reg.test", BEHIND, network)
        assert facts.addresses == (() if asked else ("10.0.0.2",))
        assert [answer.server for answer in facts.answers if answer.upstream] == (["192.0.2.9"] if asked else [])


def test_resolved_without_a_stub_is_stood_in_for_by_its_nameservers_and_reads_the_hosts_file() -> None:
    network = FakeNetwork(
        datagrams={
            "127.0.0.53": ConnectFailed(ConnectResult.REFUSED, "refused"),
            "192.0.2.9": zone({"reg.test.": ["10.0.0.1"]}),
        }
    )
    assert resolved("reg.test", BEHIND, network).addresses == ("10.0.0.1",)
    assert resolved("no.test", BEHIND, network).addresses == ()
    listed = replace(BEHIND, hosts=(("10.9.9.9", ("reg.test",)),))
    assert resolved("reg.test", listed, FakeNetwork()).addresses == ("10.9.9.9",)


def test_both_families_are_asked_for_and_taken_together() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.": ["10.0.0.1", "10.0.0.2", "fd00::1"]})})
    facts = resolved("reg.test", ONE, network)
    assert sorted(facts.addresses[:2]) == ["10.0.0.1", "10.0.0.2"]
    assert facts.addresses[2:] == ("fd00::1",)
    assert facts.decisive is not None
    assert facts.decisive.server == "192.0.2.1"
    assert network.dialled == [("192.0.2.1", 53), ("192.0.2.1", 53)]


def test_addresses_at_the_end_of_an_alias_count() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.": ["10.0.0.1"]}, cname="cdn.test.")})
    assert resolved("reg.test", ONE, network).addresses == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (zone({}), DNSResult.NXDOMAIN),
        (zone({"reg.test.": []}), DNSResult.NODATA),
        (zone({"reg.test.": dns.rcode.SERVFAIL}), DNSResult.SERVFAIL),
        (zone({"reg.test.": dns.rcode.REFUSED}), DNSResult.REFUSED),
        (zone({"reg.test.": dns.rcode.NOTIMP}), DNSResult.OTHER_RCODE),
        (zone({"reg.test.": []}, flags=0), DNSResult.OTHER_RCODE),
        (lambda wire: wire[:2] + b"\x81\x80junk", DNSResult.GARBLED),
        (lambda wire: wire[:2], DNSResult.GARBLED),
        (ConnectFailed(ConnectResult.TIMED_OUT, "no answer"), DNSResult.TIMED_OUT),
        (ConnectFailed(ConnectResult.REFUSED, "refused"), DNSResult.PORT_REFUSED),
        (ConnectFailed(ConnectResult.UNREACHABLE, "no route"), DNSResult.UNREACHABLE),
        (ConnectFailed(ConnectResult.PROHIBITED, "not permitted"), DNSResult.UNREACHABLE),
    ],
)
def test_every_way_not_to_answer_has_its_own_result(
    said: Callable[[bytes], bytes] | ConnectFailed, result: DNSResult
) -> None:
    facts = resolved("reg.test", ONE, FakeNetwork(datagrams={"192.0.2.1": said}))
    assert facts.addresses == ()
    assert facts.decisive is not None
    assert facts.decisive.result is result


@pytest.mark.parametrize("denial", [zone({}), zone({"reg.test.": []})])
def test_go_stops_at_a_denial_though_another_server_would_answer(denial: Callable[[bytes], bytes]) -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": denial, "192.0.2.2": zone({"reg.test.": ["10.0.0.1"]})})
    facts = resolved("reg.test", TWO, network)
    assert facts.addresses == ()
    assert facts.decisive is not None
    assert facts.decisive.server == "192.0.2.1"
    assert [answer.result for answer in facts.answers if answer.server == "192.0.2.2"] == [DNSResult.ANSWERED]


@pytest.mark.parametrize(
    "fault", [zone({"reg.test.": dns.rcode.SERVFAIL}), zone({"reg.test.": dns.rcode.REFUSED}), None]
)
def test_go_asks_the_next_server_after_a_fault(fault: Callable[[bytes], bytes] | None) -> None:
    datagrams = {"192.0.2.2": zone({"reg.test.": ["10.0.0.1"]}), **({"192.0.2.1": fault} if fault else {})}
    facts = resolved("reg.test", TWO, FakeNetwork(datagrams=dict(datagrams)))
    assert facts.addresses == ("10.0.0.1",)
    assert facts.decisive is not None
    assert facts.decisive.server == "192.0.2.2"


def test_when_all_fail_the_last_servers_fault_decides() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.": dns.rcode.SERVFAIL})})
    facts = resolved("reg.test", TWO, network)
    assert facts.decisive is not None
    assert (facts.decisive.server, facts.decisive.result) == ("192.0.2.2", DNSResult.TIMED_OUT)


def test_one_family_that_fails_does_not_hide_the_other() -> None:
    good = zone({"reg.test.": ["10.0.0.1"]})

    def only_four(wire: bytes) -> bytes:
        if dns.message.from_wire(wire).question[0].rdtype == dns.rdatatype.AAAA:
            return zone({"reg.test.": dns.rcode.SERVFAIL})(wire)
        return good(wire)

    facts = resolved("reg.test", ONE, FakeNetwork(datagrams={"192.0.2.1": only_four}))
    assert facts.addresses == ("10.0.0.1",)
    assert facts.decisive is not None
    assert "AAAA: SERVFAIL" in facts.decisive.detail


@pytest.mark.parametrize(
    ("host", "ndots", "search", "expected"),
    [
        ("reg", 1, ("a.test", "b.test"), ("reg.a.test.", "reg.b.test.", "reg.")),
        ("reg.test", 1, ("a.test",), ("reg.test.", "reg.test.a.test.")),
        ("reg.test", 5, ("a.test",), ("reg.test.a.test.", "reg.test.")),
        ("reg.test.", 5, ("a.test",), ("reg.test.",)),
        ("x.onion", 1, ("a.test",), ("x.onion.a.test.",)),
        ("", 1, ("a.test",), ()),
        ("a" * 255, 1, (), ()),
    ],
)
def test_search_domains_are_tried_in_gos_order(
    host: str, ndots: int, search: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert candidates(host, Resolver(search=search, ndots=ndots)) == expected


def test_the_search_domain_that_answered_is_named() -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.corp.test.": ["10.0.0.1"]})})
    facts = resolved("reg.test", replace(ONE, search=("lab.test", "corp.test")), network)
    assert (facts.addresses, facts.search_domain) == (("10.0.0.1",), "corp.test")
    assert [answer.name for answer in facts.answers] == ["reg.test.", "reg.test.lab.test.", "reg.test.corp.test."]


def test_names_are_bounded_and_silence_is_waited_for_once() -> None:
    network = FakeNetwork()
    facts = resolved("reg.test", replace(ONE, search=tuple(f"s{i}.test" for i in range(50))), network)
    assert len(facts.answers) == 1
    denied = FakeNetwork(datagrams={"192.0.2.1": zone({})})
    assert (
        len(resolved("reg.test", replace(ONE, search=tuple(f"s{i}" for i in range(50))), denied).answers) == MAX_NAMES
    )


def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    good = zone({"reg.test.": ["10.0.0.1"]})

    def truncated(wire: bytes) -> bytes:
        return wire[:2] + bytes([0x82, 0x80]) + wire[4:]

    class OverTCP(FakeStream):
        async def read(self, limit: int, within: float) -> bytes:
            if not self.chunks and self.written:
                answer = good(self.written[2:])
                framed = len(answer).to_bytes(2, "big") + answer
                self.chunks = [framed[:1], framed[1:9], framed[9:]]
                self.written = b""
            return await super().read(limit, within)

    network = FakeNetwork(
        datagrams={"192.0.2.1": truncated}, streams={("192.0.2.1", 53): [OverTCP([]), OverTCP([]), OverTCP([])]}
    )
    assert resolved("reg.test", ONE, network).addresses == ("10.0.0.1",)
    only_tcp = FakeNetwork(streams={("192.0.2.1", 53): [OverTCP([]), OverTCP([]), OverTCP([])]})
    assert resolved("reg.test", replace(ONE, use_tcp=True), only_tcp).addresses == ("10.0.0.1",)


def test_a_tcp_answer_that_never_ends_is_given_up() -> None:
    endless = FakeStream([b"\xff\xff" + b"x" * 16_000, b"x" * 16_000, b"x" * 16_000, b"x" * 16_000, b"x" * 16_000])
    network = FakeNetwork(streams={("192.0.2.1", 53): [endless]})
    facts = resolved("reg.test", replace(ONE, use_tcp=True), network)
    assert facts.decisive is not None
    assert facts.decisive.result is DNSResult.GARBLED
    assert endless.closed


def test_an_answer_to_another_question_is_no_answer() -> None:
    def other(wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        forged = dns.message.make_response(dns.message.make_query("evil.test", "A", id=query.id))
        forged.answer.append(dns.rrset.from_text("evil.test.", 60, "IN", "A", "10.6.6.6"))
        return forged.to_wire()

    facts = resolved("reg.test", ONE, FakeNetwork(datagrams={"192.0.2.1": other}))
    assert facts.decisive is not None
    assert (facts.addresses, facts.decisive.result) == ((), DNSResult.GARBLED)


def test_a_record_of_another_class_is_no_address() -> None:
    def strange(wire: bytes) -> bytes:
        answer = zone({"reg.test.": ["10.0.0.1"]})(wire)
        record = b"\xc0\x0c\x00\x01"
        return answer.replace(record + b"\x00\x01", record + b"\x10\x01")

    facts = resolved("reg.test", ONE, FakeNetwork(datagrams={"192.0.2.1": strange}))
    assert facts.addresses == ()


def test_the_addresses_of_one_answer_are_bounded() -> None:
    many = [f"10.1.{i // 250}.{i % 250 + 1}" for i in range(100)]
    network = FakeNetwork(datagrams={"192.0.2.1": zone({"reg.test.": many})})
    assert len(resolved("reg.test", ONE, network).addresses) == MAX_ADDRESSES


@pytest.mark.parametrize("host", ["reg..test", "a" * 64 + ".test", "r\x00eg.test"])
def test_a_name_that_dns_cannot_carry_does_not_exist(host: str) -> None:
    facts = resolved(host, ONE, FakeNetwork(datagrams={"192.0.2.1": zone({})}))
    assert facts.addresses == ()


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_nothing_that_a_nameserver_sends_breaks_the_resolver(noise: bytes) -> None:
    network = FakeNetwork(datagrams={"192.0.2.1": lambda wire: wire[:2] + noise})
    facts = resolved("reg.test", ONE, network)
    assert facts.decisive is None or facts.decisive.result in DNSResult


@settings(deadline=None)
@given(st.data())
def test_damaged_answers_do_not_break_the_resolver(data: st.DataObject) -> None:
    def damaged(wire: bytes) -> bytes:
        answer = bytearray(zone({"reg.test.": ["10.0.0.1", "fd00::1"]})(wire))
        for position in data.draw(st.lists(st.integers(2, len(answer) - 1), max_size=8)):
            answer[position] = data.draw(st.integers(0, 255))
        return bytes(answer)

    resolved("reg.test", ONE, FakeNetwork(datagrams={"192.0.2.1": damaged}))
