from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walking.plans import plan_for

from pullwhy.model import Outcome, Stage, Via
from pullwhy.node.walk.pipe import HEADER, MAX_PLAN, BrokenFrame, PlanFrame, TraceFrame, decode, encode, length
from pullwhy.plan import ClientPair, Credential, Endpoint, Proxies, WalkPlan
from pullwhy.secret import Secret
from pullwhy.trace import (
    CertificateFacts,
    ConnectAttempt,
    ConnectResult,
    HTTPFacts,
    HTTPFault,
    Identity,
    StageResult,
    TLSFacts,
    TLSFault,
    Trace,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def full_plan() -> WalkPlan:
    endpoint = Endpoint(
        "https",
        "registry.test",
        443,
        ca=("PEM",),
        client=(ClientPair("PEM", Secret("key")),),
        headers=(("X-Key", Secret("header")),),
        dial_timeout=3.5,
    )
    return replace(
        plan_for(443),
        endpoints=(endpoint,),
        proxies=Proxies(Secret("http://me:pass@proxy"), Secret(""), "a,b", "/proc/1/environ"),
        credentials=(Credential("robot", Secret("password"), "config.json"),),
    )


def full_trace() -> Trace:
    chain = (CertificateFacts("CN=a", "CN=b", NOW, NOW, ("a.test",)),)
    return Trace(
        (
            StageResult(Stage.TLS, "a", Outcome.FAILED, 0.5, tls=TLSFacts("a", TLSFault.UNTRUSTED, "", chain, 0)),
            StageResult(
                Stage.MANIFEST,
                "a",
                Outcome.PASSED,
                endpoint=1,
                via=Via.MIRROR,
                identity=Identity.NODE,
                connect=(ConnectAttempt("10.0.0.1", 443, ConnectResult.CONNECTED, 0.1),),
                http=HTTPFacts("GET", "https://a/", 200, ("X",), headers={"server": "y"}, fault=HTTPFault.RESET),
            ),
        ),
        1.5,
        7,
        complete=False,
        clock_skew_seconds=-3.0,
    )


def test_a_plan_comes_back_whole_with_its_secrets() -> None:
    frame = PlanFrame(7, full_plan())
    wire = encode(frame)
    assert length(wire[:HEADER], MAX_PLAN) == len(wire) - HEADER
    back = decode(wire[HEADER:], PlanFrame)
    assert back == frame
    assert back.plan is not None
    assert back.plan.credentials[0].password.reveal() == "password"


def test_a_trace_comes_back_whole() -> None:
    frame = TraceFrame(7, full_trace())
    assert decode(encode(frame)[HEADER:], TraceFrame) == frame


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(BrokenFrame, match="more than"):
        length(b"\xff\xff\xff\xff", MAX_PLAN)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"id": "canary", "trace": {}}', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_frame_is_told_without_its_content(body: bytes) -> None:
    with pytest.raises(BrokenFrame) as caught:
        decode(body, TraceFrame)
    assert "canary" not in str(caught.value)


def test_a_secret_that_is_no_text_is_refused() -> None:
    tampered = msgspec.json.decode(encode(PlanFrame(1, full_plan()))[HEADER:])
    tampered["plan"]["credentials"][0]["password"] = 5
    with pytest.raises(BrokenFrame):
        decode(msgspec.json.encode(tampered), PlanFrame)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    with pytest.raises(BrokenFrame):
        decode(body, TraceFrame)


@settings(deadline=None)
@given(st.data())
def test_damaged_frames_are_frames_or_broken(data: st.DataObject) -> None:
    body = bytearray(encode(TraceFrame(7, full_trace()))[HEADER:])
    for position in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=5)):
        body[position] = data.draw(st.integers(0, 255))
    try:
        frame = decode(bytes(body), TraceFrame)
    except BrokenFrame:
        return
    assert isinstance(frame.trace, Trace)
