"""What comes over a wire: registries, nameservers, certificates, the walk's child, an agent that is none."""

import asyncio
import contextlib
import dataclasses
from datetime import UTC, datetime
from typing import Final

import dns.message
import dns.rrset
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from walking.network import FakeClock, FakeNetwork, FakeStream
from walking.plans import QUICK

from fuzz.target import Target
from pullwhy.collector.intake import ingest
from pullwhy.collector.records import Speaker
from pullwhy.diagnose.document import decoding
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.image import parse as parse_image
from pullwhy.model import Outcome
from pullwhy.node.walk.pipe import HEADER, BrokenFrame, PlanFrame, TraceFrame, decode, encode
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.plan import Credential, Endpoint, GoBuild, Resolver, WalkPlan
from pullwhy.probe.chain import trust_fault
from pullwhy.probe.challenge import MAX_CHALLENGES, parse
from pullwhy.probe.gochain import Roots, refusal
from pullwhy.probe.manifests import OCI_INDEX, OCI_MANIFEST, UnsupportedManifest
from pullwhy.probe.manifests import parse as parse_manifest
from pullwhy.probe.trust import Contexts
from pullwhy.probe.walk import walk
from pullwhy.probe.x509 import read_chain
from pullwhy.secret import Secret
from pullwhy.trace import Trace

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADDRESS: Final = "192.0.2.9"
NAMESERVER: Final = "192.0.2.53"
CUT: Final = b"\xff\xfe\xfd"
"""Between what one connection brings and what the next one does."""
DIGEST: Final = b"sha256:" + b"a" * 64
MANIFEST: Final = (
    b'{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"'
    + DIGEST
    + b'"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":9,"digest":"'
    + DIGEST
    + b'"}]}'
)
INDEX: Final = (
    b'{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"'
    + DIGEST
    + b'","platform":{"os":"linux","architecture":"amd64"}}]}'
)
ERROR: Final = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}'
BEARER: Final = (
    b'Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull",error="invalid_token"'
)
BASE: Final = WalkPlan(
    image=parse_image(f"{ADDRESS}:80/team/app:1"),
    platform="linux/amd64",
    endpoints=(Endpoint("http", ADDRESS, 80),),
    resolver=Resolver(nameservers=(NAMESERVER,)),
    timeouts=QUICK,
    credentials=(Credential("user", Secret("canary"), "config.json"),),
)
_CONTEXTS: Final = Contexts()


def answer(status: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    """Return an HTTP answer as bytes."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: " + str(len(body)).encode(), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _walked(plan: WalkPlan, network: FakeNetwork) -> Trace:
    trace = asyncio.run(walk(plan, network, FakeClock(), _CONTEXTS, iter(range(1, 60_000)).__next__))
    faults = [result.detail for result in trace.results if result.outcome is Outcome.ERROR]
    assert not faults, faults
    assert "canary" not in repr(trace)
    return trace


def registry(data: bytes) -> None:
    """Walk to a registry that answers so; whatever comes is an observation, never a fault of the walk's own."""
    streams: list[FakeStream | object] = [FakeStream([part, b""]) for part in data.split(CUT)[:16]]
    _walked(BASE, FakeNetwork(streams={(ADDRESS, 80): streams}))  # type: ignore[dict-item]


def nameserver(data: bytes) -> None:
    """Resolve a name of which the nameserver answers so, under the right id."""
    plan = dataclasses.replace(BASE, endpoints=(Endpoint("http", "registry.example", 80),))
    framed = (len(data) + 2).to_bytes(2, "big", signed=False) if len(data) < 65_000 else b"\xff\xff"
    streams: list[FakeStream | object] = [FakeStream([framed, data, b""])]
    network = FakeNetwork(
        streams={(NAMESERVER, 53): streams},  # type: ignore[dict-item]
        datagrams={NAMESERVER: lambda wire: wire[:2] + data},
    )
    _walked(plan, network)


def challenge(data: bytes) -> None:
    """Read WWW-Authenticate headers."""
    headers = tuple(data.decode("latin-1").split("\n"))
    assert len(parse(headers)) <= MAX_CHALLENGES


def manifest(data: bytes) -> None:
    """Read a manifest or an index."""
    for kind in (OCI_MANIFEST, OCI_INDEX):
        with contextlib.suppress(UnsupportedManifest):
            parse_manifest(data, kind)


def certificate(data: bytes) -> None:
    """Read a chain that a server sent, and say what is wrong with it."""
    sent = data.split(CUT)[:10]
    trust_fault(read_chain(sent), ())
    for go in (GoBuild(19), GoBuild()):
        refusal(sent, "registry.example", Roots.of(sent[1:]), NOW, go)


def plan_pipe(data: bytes) -> None:
    """Read a frame of the pipe between the agent and the walk's child."""
    with contextlib.suppress(BrokenFrame):
        plan = decode(data, PlanFrame)
        assert decode(encode(plan)[HEADER:], PlanFrame) == plan
    with contextlib.suppress(BrokenFrame):
        trace = decode(data, TraceFrame)
        assert decode(encode(trace)[HEADER:], TraceFrame) == trace


def document(data: bytes) -> None:
    """Take a finding in as the collector does."""
    with contextlib.suppress(InvalidDocument):
        decoding.decode(data)


def agent_message(data: bytes) -> None:
    """Take what an agent sends besides findings: its status, and answers to walks."""
    try:
        message = pb.AgentMessage.FromString(data)
    except DecodeError:
        return
    told = ingest.facts(message.hello.status)
    shown = [*told.labels, *told.labels.values(), *told.configuration, *told.configuration.values(), *told.registries]
    assert all(text.isprintable() for text in shown)
    with contextlib.suppress(ingest.Refused):
        walk, _ = ingest.walk(message.walk, Speaker("", "node-a", "box"), NOW)
        assert walk.node == "node-a"
        assert walk.reason.isprintable()
        assert walk.walked_at is None or walk.walked_at <= NOW


def _dns_seed() -> bytes:
    query = dns.message.make_query("registry.example.", "A", id=1)
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text("registry.example.", 60, "IN", "A", "192.0.2.9"))
    return response.to_wire()[2:]


def _certificate_seed() -> bytes:
    from walking.certificates import Plain  # noqa: PLC0415 - makes keys

    root = Plain("Corp Root CA", "Corp")
    return Plain("registry.example", "Corp", root, host="registry.example").der + CUT + root.der


JSON: Final = b"Content-Type: application/json"
TARGETS: Final = (
    Target(
        "registry",
        registry,
        (
            answer(b"200 OK", b"", b"Docker-Content-Digest: " + DIGEST, b"Content-Type: " + OCI_INDEX.encode())
            + answer(b"200 OK", INDEX, b"Content-Type: " + OCI_INDEX.encode())
            + answer(b"200 OK", MANIFEST, b"Content-Type: " + OCI_MANIFEST.encode()),
            answer(b"401 Unauthorized", ERROR, b"WWW-Authenticate: " + BEARER, JSON)
            + CUT
            + answer(b"200 OK", b'{"token":"canary"}', JSON),
            answer(b"404 Not Found", ERROR, JSON)
            + answer(b"404 Not Found", ERROR, JSON)
            + answer(b"200 OK", b'{"name":"a","tags":["2","11"]}', JSON),
            answer(b"429 Too Many Requests", ERROR, b"Retry-After: 37", b"ratelimit-remaining: 0;w=21600", JSON),
            answer(b"307 Temporary Redirect", b"", b"Location: http://192.0.2.7/blob?X-Amz-Signature=canary"),
            b"\x15\x03\x01\x00\x02\x02\x46",
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"A: b\r\n",
            b"HTTP/1.1 307 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            b"[",
        ),
    ),
    Target("nameserver", nameserver, (_dns_seed(), b""), (b"\xc0\x0c", b"\x3f", b"\x01a")),
    Target(
        "challenge", challenge, (BEARER, b'Basic realm="x", Bearer realm="y"'), (b'a="\\', b",", b"Basic ", b" ", b'="')
    ),
    Target("manifest", manifest, (MANIFEST, INDEX), (b"[", b'{"manifests":', b'{"layers":[{}],')),
    Target("certificate", certificate, (_certificate_seed(),), (b"\x30\x80", b"\x30\x82\xff\xff", CUT)),
    Target(
        "plan-pipe",
        plan_pipe,
        (encode(PlanFrame(7, BASE))[HEADER:], encode(TraceFrame(7, Trace()))[HEADER:]),
        (b"[", b'{"plan":'),
    ),
    Target("document", document, (b"{}",), (b"[", b'{"trace":[', b'"a":1,')),
    Target(
        "agent-message",
        agent_message,
        (
            pb.AgentMessage(
                walk=pb.WalkAnswer(id="p1", outcome=pb.WalkAnswer.UNDECIDED, reason="why")
            ).SerializeToString(),
            pb.AgentMessage(
                walk=pb.WalkAnswer(id="p1", outcome=pb.WalkAnswer.FAILS, document=b"{}", walked_at=Timestamp(seconds=1))
            ).SerializeToString(),
            pb.AgentMessage(
                hello=pb.Hello(status=pb.NodeStatus(labels={"rack": "r1"}, configuration={"proxy": "set"}))
            ).SerializeToString(),
        ),
        (b"\x1a\x02", b"\x2a\x0c", b"\xff\xff\xff\xff\x0f"),
    ),
)
