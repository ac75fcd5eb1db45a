"""What the collector asks an agent to walk is answered within the agent's own bounds, whatever the collector does."""

import asyncio

import msgspec
import pytest
from node.asked import IMAGE, PRIVATE, Node, ask, investigation, outcome
from node.fakes import START, until

from pullwhy.model import CauseId, Confidence, Finding, Outcome, Stage
from pullwhy.node.investigate.investigate import Investigation
from pullwhy.node.report.walkrequests import MAX_WAITING
from pullwhy.node.walk.reach import HERE
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.trace import StageResult

PASSING = tuple(
    StageResult(stage, "registry.example", Outcome.PASSED, endpoint=0)
    for stage in (Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB)
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
