"""What agents send is checked before it is stored, and every fault is named."""

import msgspec
import pytest
from collector.samples import NOW, encoded, finding

from pullwhy.collector.intake import ingest
from pullwhy.collector.intake.ingest import Refused
from pullwhy.collector.records import KnownPod, Speaker
from pullwhy.diagnose.document.codec import MAX_DOCUMENT
from pullwhy.diagnose.document.decoding import decode
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import FailingPod
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_SEQUENCE

WHO = Speaker("", "node-a", "outbox1")


def hello(**changed: str) -> pb.Hello:
    fields = {
        "node": "node-a",
        "cluster": "blue",
        "schema": "pullwhy/v1",
        "outbox_id": "0a",
        "agent_version": "0.1.0",
    } | changed
    return pb.Hello(**fields)  # type: ignore[arg-type]  # each of these fields is a string


def test_a_speaker_is_who_the_hello_says() -> None:
    assert ingest.speaker(hello()) == Speaker("blue", "node-a", "0a", "0.1.0")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema": "pullwhy/v9"}, "'pullwhy/v9' is not known here, pullwhy/v1 is: upgrade the collector"),
        ({"schema": ""}, "'' is not known"),
        ({"node": ""}, "the node's name"),
        ({"node": "n" * 254}, "the node's name"),
        ({"node": "a\x1b[2Jb"}, "the node's name"),
        ({"cluster": "\u202ename"}, "the cluster's name"),
        ({"outbox_id": ""}, "outbox_id"),
        ({"outbox_id": "a b"}, "outbox_id"),
        ({"outbox_id": "x" * 65}, "outbox_id"),
    ],
)
def test_a_hello_that_tells_no_sound_name_is_refused(changed: dict[str, str], told: str) -> None:
    with pytest.raises(Refused, match=r"^the |outbox_id") as refused:
        ingest.speaker(hello(**changed))
    assert told in str(refused.value)


def test_a_status_is_cut_and_made_safe_to_show() -> None:
    status = pb.NodeStatus(
        zone="z\x1b[2J", kubelet_version="v" * 500, impairments=["i" * 900] * 100, outbox_dropped=2**64 - 1
    )
    facts = ingest.facts(status)
    assert facts.zone == "z\\x1b[2J"
    assert (len(facts.kubelet_version), len(facts.impairments), len(facts.impairments[0])) == (64, 32, 500)
    assert facts.outbox_dropped == MAX_SEQUENCE


def test_facts_that_did_not_change_are_those_of_before() -> None:
    before = ingest.facts(pb.NodeStatus(labels={"rack": "r1"}, configuration={"proxy": "set"}, registries=["r.test"]))
    now = ingest.facts(pb.NodeStatus(zone="z2", facts_unchanged=True), before)
    assert (now.zone, now.labels, now.configuration, now.registries) == (
        "z2", {"rack": "r1"}, {"proxy": "set"}, ("r.test",)
    )  # fmt: skip
    assert ingest.facts(pb.NodeStatus(zone="z2"), before).labels == {}


@pytest.mark.parametrize("sequences", [[0], [2, 1], [1, 1], [2**63], [2**64 - 1]])
def test_sequence_numbers_must_grow_within_bounds(sequences: list[int]) -> None:
    with pytest.raises(Refused, match="they must grow"):
        ingest.in_order([pb.Report(sequence=each) for each in sequences])


def test_the_last_sequence_number_is_what_is_acknowledged() -> None:
    assert ingest.in_order([pb.Report(sequence=each) for each in (1, 7, MAX_SEQUENCE)]) == MAX_SEQUENCE
    assert ingest.in_order([]) == 0


def test_a_record_carries_what_findings_are_looked_for_by() -> None:
    pods = (
        FailingPod("shop", "web-1", "u", "main"),
        FailingPod("shop", "web-1", "u", "side"),
        FailingPod("ops", "x", "v", "main"),
    )
    data = encode(finding(1, image="web", registry="docker.io", pods=pods))
    record = ingest.record(pb.Report(sequence=4, finding_id=finding(1).id, document=data), WHO)
    assert (record.sequence, record.id, record.cause, record.state) == (4, finding(1).id, "TagNotFound", "Active")
    assert (record.image, record.repository, record.registry) == (
        "docker.io/library/web:latest",
        "docker.io/library/web",
        "docker.io",
    )
    assert sorted(record.pods) == [("ops", "x"), ("shop", "web-1")]
    assert record.document == data
    assert record.last_seen <= NOW


HOSTILE = {
    "not JSON": (b"\x00\xff", "malformed"),
    "empty": (b"", "truncated"),
    "another type": (b"[]", "Expected `object`"),
    "too large": (b"[" * (600 * 1024), "bytes, more than"),
    "too deep": (b'{"a":' * 100_000 + b"1", ""),
    "another node": (encoded(1, node="node-b"), "'node-b', another than its agent's"),
    "another cluster": (encoded(1, cluster="green"), "another than its agent's"),
    "another id": (encoded(2), "of another finding, 0000000000000002"),
    "an id that steers a terminal": (encoded(1, id="\x1b[2J"), "of another finding, \\x1b[2J"),
    "an unknown cause": (encoded(1).replace(b"TagNotFound", b"Gremlins"), "cause"),
    "a time without a zone": (encoded(1).replace(b"12:00:00Z", b"12:00:00").replace(b"11:00:00Z", b"11:00:00"), "zone"),
    "a count that no one reads": (encoded(1).replace(b'"count":1', b'"count":1e400'), ""),
    "a long text": (msgspec.json.encode(finding(1, image="i" * 100_000)), "$.image"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "told"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_is_refused_with_its_reason(data: bytes, told: str) -> None:
    with pytest.raises(Refused, match=r"^finding 0000000000000001: ") as refused:
        ingest.record(pb.Report(sequence=1, finding_id=finding(1).id, document=data), WHO)
    assert told in str(refused.value)
    assert str(refused.value).isprintable()


def test_what_the_api_told_does_not_make_a_document_too_large_to_be_read() -> None:
    pods = tuple(FailingPod("shop", f"web-{number}", f"uid-{number}", "main") for number in range(3))
    plain = finding(pods=pods)
    report = pb.Report(sequence=1, finding_id=plain.id, document=encode(plain))
    known = {0: KnownPod(here=True, owner="Deployment/web", fact="pod shop/web-0: …"), 1: KnownPod(here=False)}

    told = decode(ingest.record(report, WHO, lambda _: known).document)
    assert [(pod.name, pod.owner) for pod in told.pods] == [("web-0", "Deployment/web"), ("web-2", "")]
    assert told.diagnosis.evidence[-1].fact == "pod shop/web-0: …"
    assert sorted(ingest.record(report, WHO, lambda _: known).pods) == [("shop", "web-0"), ("shop", "web-2")]

    known[0] = KnownPod(here=True, owner="x" * MAX_DOCUMENT)
    told = decode(ingest.record(report, WHO, lambda _: known).document)
    assert [(pod.name, pod.owner) for pod in told.pods] == [("web-0", ""), ("web-2", "")]
