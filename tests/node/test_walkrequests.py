"""What the collector asks an agent to walk is answered within the agent's own bounds, whatever the collector does."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from node.fakecollector import FakeCollector, acknowledges, outbox_with, reporting, serving
from node.fakes import START, FakeClock, diagnosis, until

from pullwhy.diagnose.case import Case
from pullwhy.image import parse
from pullwhy.model import CauseId, Confidence, Finding, Outcome, Stage
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.investigate.investigate import Investigation
from pullwhy.node.metrics import Metrics
from pullwhy.node.report.walkrequests import MAX_WAITING, Parts, WalkRequests
from pullwhy.node.walk.reach import HERE, Reach
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.trace import StageResult, Trace

IMAGE = "registry.example/shop/web:1"
PRIVATE = Reach(private=True)
PASSING = tuple(
    StageResult(stage, "registry.example", Outcome.PASSED, endpoint=0)
    for stage in (Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB)
)


def investigation(image: str, cause: CauseId, confidence: Confidence, *results: StageResult) -> Investigation:
    case = Case(now=START, image=parse(image), image_text=image, trace=Trace(results))
    return Investigation(case, diagnosis(cause, confidence))


class Node:
    """A node's own side of it: walks, its own failures, registries."""

    def __init__(self) -> None:
        self.walks: list[tuple[str, Reach, float]] = []
        self.at_once = self.most = 0
        self.seconds = 0.0
        self.found: Callable[[str], Investigation] = lambda image: investigation(
            image, CauseId.TAG_NOT_FOUND, Confidence.PROVED
        )
        self.is_busy = False
        self.limits: datetime | None = None
        self.noted = 0
        self.failing: set[str] = set()
        self.known = {"registry.example"}
        self.metrics = Metrics()

    async def look(self, image: str, *, reach: Reach, within: float) -> Investigation:
        self.walks.append((image, reach, within))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        return self.found(image)

    def busy(self) -> bool:
        return self.is_busy

    def note(self, found: Investigation) -> None:
        del found
        self.noted += 1

    def limited(self, image: str) -> datetime | None:
        del image
        return self.limits

    async def reach(self, registry: str) -> Reach | None:
        return PRIVATE if registry in self.known else None

    def requests(self) -> WalkRequests:
        identity = Identity("node-b", "blue", "z1", "gpu", "1.0")
        fails = self.failing.__contains__
        return WalkRequests(Parts(self, self, fails, self, identity, FakeClock(), self.metrics))

    def counted(self, outcome: str) -> float:
        return self.metrics.walk_requests.get(outcome=outcome)


def ask(number: str = "w1", image: str = IMAGE, purpose: int = 1, deadline_ms: int = 5000) -> pb.WalkRequest:
    return pb.WalkRequest(
        id=number,
        image=image,
        purpose=purpose,  # type: ignore[arg-type]  # numbers that no purpose has are tests too
        deadline_ms=deadline_ms,
    )


def answers(node: Node, *asked: pb.WalkRequest) -> list[pb.WalkAnswer]:
    """Ask all at once and wait for every answer."""
    told: list[pb.WalkAnswer] = []

    async def scenario() -> None:
        requests = node.requests()
        for each in asked:
            requests.take(each, told.append)
        await until(lambda: len(told) == len(asked))

    asyncio.run(scenario())
    return told


def outcome(answer: pb.WalkAnswer) -> str:
    return pb.WalkAnswer.Outcome.Name(answer.outcome)


def test_a_failure_is_told_with_its_document_and_the_time_of_the_walk() -> None:
    node = Node()
    (answer,) = answers(node, ask())
    finding = msgspec.json.decode(answer.document, type=Finding)
    assert (answer.id, outcome(answer), answer.walked_at.ToDatetime(START.tzinfo)) == ("w1", "FAILS", START)
    assert (finding.node, finding.cluster, finding.zone, finding.pool) == ("node-b", "blue", "z1", "gpu")
    assert (finding.image, finding.registry, finding.diagnosis.cause) == (
        IMAGE, "registry.example", CauseId.TAG_NOT_FOUND
    )  # fmt: skip
    assert [(image, reach) for image, reach, _ in node.walks] == [(IMAGE, PRIVATE)]
    assert node.noted == node.counted("fails") == 1


@pytest.mark.parametrize(
    ("cause", "confidence", "results", "told"),
    [
        (CauseId.UNDETERMINED, Confidence.UNKNOWN, PASSING, "PASSES"),
        (CauseId.UNDETERMINED, Confidence.UNKNOWN, (), "UNDECIDED"),
        (CauseId.CREDENTIALS_MISSING, Confidence.LIKELY, (), "UNDECIDED"),
        (CauseId.ACCESS_DENIED_OR_NOT_FOUND, Confidence.LIKELY, (), "UNDECIDED"),
        (CauseId.CREDENTIALS_REJECTED, Confidence.PROVED, (), "FAILS"),
        (CauseId.CERTIFICATE_UNTRUSTED, Confidence.LIKELY, (), "FAILS"),
        (
            CauseId.CONNECTION_REFUSED,
            Confidence.LIKELY,
            (StageResult(Stage.DNS, "x", Outcome.ERROR, detail="the walk's child ended"),),
            "UNDECIDED",
        ),
    ],
)
def test_what_a_walk_may_say(
    cause: CauseId, confidence: Confidence, results: tuple[StageResult, ...], told: str
) -> None:
    node = Node()
    node.found = lambda image: investigation(image, cause, confidence, *results)
    (answer,) = answers(node, ask())
    assert outcome(answer) == told
    assert bool(answer.reason) is (told != "PASSES")
    assert answer.document


def test_a_registry_that_the_node_has_nothing_to_do_with_is_not_walked() -> None:
    node = Node()
    (answer,) = answers(node, ask(image="stranger.example/a:1"))
    assert outcome(answer) == "REFUSED"
    assert "stranger.example" in answer.reason
    assert (node.walks, answer.document, answer.HasField("walked_at")) == ([], b"", False)


def test_an_image_on_which_the_kubelet_fails_here_is_walked_as_for_its_own_failure() -> None:
    node = Node()
    node.failing.add("localhost:5000/a:1")
    answers(node, ask(image="localhost:5000/a:1", purpose=pb.WalkRequest.CANARY))
    assert [reach for _, reach, _ in node.walks] == [HERE]


@pytest.mark.parametrize("image", ["", "a b", "UPPER/..", "x" * 5000, "https://registry.example/a", "\x1b[2J"])
def test_what_is_no_image_is_refused(image: str) -> None:
    (answer,) = answers(Node(), ask(image=image))
    assert outcome(answer) == "REFUSED"
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 500


def test_a_recent_answer_serves_the_next_who_asks() -> None:
    node = Node()
    told = answers(node, *(ask(f"w{number}") for number in range(5)))
    assert len(node.walks) == 1
    assert [answer.id for answer in told] == [f"w{number}" for number in range(5)]
    assert len({answer.walked_at.ToDatetime() for answer in told}) == 1


def test_walks_are_made_one_at_a_time() -> None:
    node = Node()
    node.seconds = 0.02
    answers(node, *(ask(f"w{number}", f"registry.example/a:{number}") for number in range(4)))
    assert (len(node.walks), node.most) == (4, 1)


def test_a_registry_is_walked_no_more_often_than_its_budget_allows() -> None:
    node = Node()
    told: list[pb.WalkAnswer] = []

    async def scenario() -> None:
        requests = node.requests()
        for number in range(10):
            requests.take(ask(f"w{number}", f"registry.example/a:{number}"), told.append)
            await until(lambda: len(told) > number)  # noqa: B023 - awaited within the round

    asyncio.run(scenario())
    assert [outcome(answer) for answer in told] == ["FAILS"] * 6 + ["REFUSED"] * 4
    assert "too often" in told[-1].reason


def test_a_flood_of_requests_is_refused_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.seconds = 60
    told: list[pb.WalkAnswer] = []

    async def scenario() -> None:
        requests = node.requests()
        for number in range(5000):
            requests.take(ask(f"w{number}", f"registry.example/a:{number}"), told.append)
        requests.take(ask("w0"), told.append)  # an id that is under way
        requests.take(ask(""), told.append)
        requests.take(ask("x" * 100_000), told.append)
        assert len(asyncio.all_tasks()) <= MAX_WAITING + 1
        requests.lost()
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
    assert {outcome(answer) for answer in told} == {"REFUSED"}
    assert node.counted("refused") == len(told) == 5000 - MAX_WAITING
    assert (node.counted("dropped"), node.counted("cancelled")) == (3, MAX_WAITING)
    assert len([record for record in caplog.records if record.name.endswith("walkrequests")]) == 2


def test_this_nodes_own_failures_go_first() -> None:
    node = Node()
    node.is_busy = True
    told: list[pb.WalkAnswer] = []

    async def scenario() -> None:
        requests = node.requests()
        requests.take(ask(), told.append)
        await asyncio.sleep(0.1)
        assert (node.walks, told) == ([], [])
        node.is_busy = False
        await until(lambda: bool(told))
        node.is_busy = True
        requests.take(ask("w2", f"{IMAGE}0", deadline_ms=700), told.append)
        await until(lambda: len(told) == 2)

    asyncio.run(scenario())
    assert [outcome(answer) for answer in told] == ["FAILS", "REFUSED"]
    assert "own failures" in told[1].reason


def test_a_registry_that_asked_to_be_left_alone_is() -> None:
    node = Node()
    node.limits = START
    node.failing.add(IMAGE)
    (answer,) = answers(node, ask())
    assert (outcome(answer), node.walks) == ("REFUSED", [])
    assert "08:00:00 UTC" in answer.reason


def test_the_deadline_is_kept_and_bounds_the_walk() -> None:
    node = Node()
    node.seconds = 60
    (answer,) = answers(node, ask(deadline_ms=900))
    assert outcome(answer) == "UNDECIDED"
    assert 0.4 < node.walks[0][2] < 0.9
    assert node.at_once == 0
    (answer,) = answers(node, ask(deadline_ms=100))
    assert outcome(answer) == "REFUSED"


def test_an_absurd_deadline_is_cut_and_an_unknown_purpose_is_the_strictest() -> None:
    node = Node()
    answers(node, ask("w1", deadline_ms=2**32 - 1, purpose=99))
    assert node.walks[0][2] < 121


def test_a_cancelled_request_is_stopped_and_not_answered() -> None:
    node = Node()
    node.seconds = 60
    told: list[pb.WalkAnswer] = []

    async def scenario() -> None:
        requests = node.requests()
        requests.take(ask(), told.append)
        await until(lambda: bool(node.walks))
        requests.cancel("nobody's")
        requests.cancel("w1")
        await until(lambda: node.at_once == 0)
        node.seconds = 0
        requests.take(ask("w2"), told.append)
        await until(lambda: bool(told))

    asyncio.run(scenario())
    assert [answer.id for answer in told] == ["w2"]
    assert node.counted("cancelled") == 1


def test_a_fault_of_our_own_is_answered_as_one(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()

    def broken(image: str) -> Investigation:
        raise ZeroDivisionError(image)

    node.found = broken
    (answer,) = answers(node, ask())
    assert (outcome(answer), answer.reason) == ("UNDECIDED", "a fault of pullwhy: ZeroDivisionError")
    assert IMAGE in caplog.text


class Asking(FakeCollector):
    """A collector that asks, and keeps what it is answered."""

    def __init__(self, *asked: pb.CollectorMessage) -> None:
        super().__init__(type(self).talk)  # type: ignore[arg-type]  # a method of its own
        self.asked = asked
        self.answers: list[pb.WalkAnswer] = []
        self.hang_up = asyncio.Event()

    async def talk(self, context: Any) -> None:
        await self.greet(context)
        for message in self.asked:
            await context.write(message)
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(context))
                await self.hang_up.wait()
                reading.cancel()

    async def _read(self, context: Any) -> None:
        while isinstance(message := await context.read(), pb.AgentMessage):
            if message.HasField("walk"):
                self.answers.append(message.walk)
            else:
                self.batches.append(message.batch)
                if message.batch.reports:
                    ack = pb.Ack(sequence=message.batch.reports[-1].sequence)
                    await context.write(pb.CollectorMessage(ack=ack))


@contextlib.asynccontextmanager
async def asking(node: Node, *asked: pb.WalkRequest) -> AsyncIterator[tuple[Asking, Any]]:
    fake, outbox = Asking(*(pb.CollectorMessage(walk=each) for each in asked)), outbox_with("a")
    requests = node.requests()
    async with serving(fake) as address, reporting(outbox, address, requests=lambda: requests):
        yield fake, outbox


def test_requests_are_answered_over_the_stream_while_reports_go_on() -> None:
    async def scenario() -> None:
        node = Node()
        node.seconds = 0.2
        async with asking(node, ask(), ask("w2", f"{IMAGE}0")) as (fake, outbox):
            await until(lambda: not len(outbox))
            assert fake.answers == []  # the report did not wait for the walks
            await until(lambda: len(fake.answers) == 2)
            assert [answer.id for answer in fake.answers] == ["w1", "w2"]

    asyncio.run(scenario())


def test_a_stream_that_is_lost_cancels_what_was_asked_over_it() -> None:
    async def scenario() -> None:
        node = Node()
        node.seconds = 60
        async with asking(node, ask()) as (fake, _):
            await until(lambda: node.at_once == 1)
            fake.hang_up.set()
            await until(lambda: node.at_once == 0)
        assert node.counted("cancelled") >= 1

    asyncio.run(scenario())


def test_a_collector_that_floods_its_agent_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        node = Node()
        node.seconds = 60
        odd = [
            pb.CollectorMessage(walk=ask("x" * 200_000, "y" * 200_000)),
            pb.CollectorMessage(cancel=pb.WalkCancel(id="z" * 200_000)),
            pb.CollectorMessage(permit=pb.Permit(id="p7", wait_ms=2**32 - 1, document=b"x" * 100_000)),
            pb.CollectorMessage(),
        ]
        flood = [pb.CollectorMessage(walk=ask(f"w{number}", f"registry.example/a:{number}")) for number in range(80)]
        fake, outbox = Asking(*odd, *flood), outbox_with("a")
        requests = node.requests()
        async with serving(fake) as address, reporting(outbox, address, requests=lambda: requests) as reporter:
            await until(lambda: node.counted("refused") == 80 - MAX_WAITING)
            await until(lambda: not len(outbox))
            assert reporter.connected
            assert node.counted("dropped") == 1

    asyncio.run(scenario())
    # Of the agent: the server that plays the collector may complain of its own end.
    told = [record for record in caplog.records if record.name.startswith("pullwhy.")]
    assert len([record for record in told if record.levelno >= logging.WARNING]) <= 3


def test_an_agent_that_takes_no_requests_leaves_them_and_goes_on_reporting() -> None:
    async def scenario() -> None:
        fake, outbox = Asking(pb.CollectorMessage(walk=ask())), outbox_with("a")
        async with serving(fake) as address, reporting(outbox, address) as reporter:
            await until(lambda: not len(outbox))
            assert reporter.connected
        assert fake.answers == []

    asyncio.run(scenario())


def test_a_collector_that_asks_nothing_is_told_nothing_new() -> None:
    async def scenario() -> None:
        node = Node()
        fake, outbox = FakeCollector(acknowledges), outbox_with("a")
        async with serving(fake) as address, reporting(outbox, address, requests=node.requests):
            await until(lambda: not len(outbox))
        assert [len(batch.reports) for batch in fake.batches] == [1]
        assert node.walks == []

    asyncio.run(scenario())
