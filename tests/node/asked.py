"""A node that is asked to walk, and what it answers."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from node.fakes import START, FakeClock, diagnosis

from pullwhy.diagnose.case import Case
from pullwhy.image import parse
from pullwhy.model import CauseId, Confidence
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.investigate.investigate import Investigation
from pullwhy.node.metrics import Metrics
from pullwhy.node.report.walkrequests import Parts, WalkRequests
from pullwhy.node.walk.reach import Reach
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.trace import StageResult, Trace

IMAGE = "registry.example/shop/web:1"
PRIVATE = Reach(private=True)


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


def outcome(answer: pb.WalkAnswer) -> str:
    return pb.WalkAnswer.Outcome.Name(answer.outcome)
