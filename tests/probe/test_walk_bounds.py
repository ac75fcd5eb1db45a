"""A walk keeps its deadlines and its secrets, whatever it meets."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest
import trustme
from walking.certificates import DAY, pem_of, serve
from walking.network import NOW, FakeClock, FakeNetwork
from walking.plans import QUICK, failed, plan_for, told, walked
from walking.server import Answer, Got, RawServer, Server
from walking.shop import API
from walking.walks import mirror, outcome, over, shop, two, upstream

from pullwhy.model import Outcome, Stage
from pullwhy.plan import Credential, Endpoint, Resolver, Timeouts, WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import ConnectFailed, RealNetwork, Stream
from pullwhy.probe.walk import walk
from pullwhy.secret import Secret
from pullwhy.trace import ConnectResult, HTTPFault, TLSFault, Trace


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
