"""Stand-ins that the agent's parts are given in tests."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pullwhy.diagnose.case import Adopted, Case
from pullwhy.image import parse
from pullwhy.model import (
    Answer,
    CauseId,
    Confidence,
    Diagnosis,
    PodRef,
    PullFailure,
    RemedyRef,
    Reproduction,
    Retryable,
    Stage,
)
from pullwhy.node.incidents.incidents import Sight
from pullwhy.node.investigate.investigate import Investigation, hypothesis
from pullwhy.node.walk.plan import NodeSight
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.trace import Trace
from pullwhy.watch.lines import LogLine

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
IMAGE = "registry.example/shop/web:1"
WEB = PodRef("shop", "web", "11111111-2222-3333-4444-555555555555")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def sync_error(
    seconds: float, error: str, pod: PodRef = WEB, reason: str = "ErrImagePull", image: str = IMAGE
) -> LogLine:
    """Return the kubelet's line about one failed pull, as kubelet 1.36 writes it."""
    text = f"failed to pull and unpack image {_quote(image)}: {error}"
    inner = f'failed to "StartContainer" for "app" with {reason}: {_quote(text)}'
    line = f'E1122 08:00:00.000000    1201 pod_workers.go:1324] "Error syncing pod, skipping" err={_quote(inner)} '
    return LogLine(
        at(seconds), "kubelet.service", f'{line}pod="{pod.namespace}/{pod.name}" podUID="{pod.uid}"', "aa", 1201
    )


def runtime_line(seconds: float, message: str, error: str = "") -> LogLine:
    """Return a line of containerd's log."""
    tail = f" error={_quote(error)}" if error else ""
    level = "error" if error else "info"
    text = f'time="2026-11-22T08:00:00.000000000Z" level={level} msg={_quote(message)}{tail}'
    return LogLine(at(seconds), "containerd.service", text, "bb", 800)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class FakeObserver:
    """A node that shows what it is told to show."""

    def __init__(self, *pods: PodRef) -> None:
        self.shown: Sight | None = Sight({pod.uid: (pod, at(-60)) for pod in pods}, {})
        self.mark = "f"
        self.written: datetime | None = None
        self.sandbox = "registry.example/pause:3"
        self.investigator = 0
        self.answered = False

    async def sight(self) -> Sight | None:
        self.investigator += 1
        self.answered = self.answered or self.shown is not None
        return self.shown

    def cri_answered(self) -> bool:
        return self.answered

    def fingerprint(self) -> str:
        return self.mark

    def sandbox_image(self) -> str:
        return self.sandbox

    def progress(self) -> datetime | None:
        return self.written

    def runtime_started(self) -> datetime | None:
        return None


def diagnosis(cause: CauseId, confidence: Confidence) -> Diagnosis:
    return Diagnosis(cause, Stage.MANIFEST, confidence, Retryable(Answer.NO, "why"), "summary", RemedyRef("remedy"))


NODE = NodeSight(RuntimeView(), Kubelet())


class FakeInvestigator:
    """Finds what it is told to find, after as many seconds as it is told."""

    def __init__(self, clock: Callable[[], datetime], seconds: float = 0) -> None:
        self.clock, self.seconds = clock, seconds
        self.walked: list[str] = []
        self.failures: list[PullFailure] = []
        self.reproduced: list[str] = []
        self.at_once: list[str] = []
        self.most: dict[str, int] = {}
        self.cause, self.confidence = CauseId.TAG_NOT_FOUND, Confidence.PROVED
        self.arguments: dict[str, str] = {}
        self.error: Exception | None = None
        self.reproduction_seconds = 0.0

    def by_text(self, failure: PullFailure, why: str = "") -> Investigation:
        del why
        found = self._found(failure.image, failure)
        told = found.case.hypothesis
        cause = told.cause if told else CauseId.UNDETERMINED
        return replace(found, diagnosis=diagnosis(cause, Confidence.LIKELY), sight=None)

    async def adopt(self, failure: PullFailure, other: Adopted, why: str) -> Investigation:
        found = self.by_text(failure, why)
        return replace(found, diagnosis=diagnosis(other.cause, Confidence.LIKELY))

    async def look(self, image: str, failure: PullFailure | None = None) -> Investigation:
        self.walked.append(image)
        self.failures += [failure] if failure else []
        registry = image.partition("/")[0]
        self.at_once.append(registry)
        for name in ("all", registry):
            running = len(self.at_once) if name == "all" else self.at_once.count(name)
            self.most[name] = max(self.most.get(name, 0), running)
        found = self._found(image, failure)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once.remove(registry)
        if self.error:
            raise self.error
        return found

    async def reproduce(self, found: Investigation, window: timedelta) -> Investigation:
        del window
        self.reproduced.append(found.case.image_text)
        await asyncio.sleep(self.reproduction_seconds)
        return replace(found, case=replace(found.case, reproduction=Reproduction("Skipped", "not needed")))

    def _found(self, image: str, failure: PullFailure | None) -> Investigation:
        told = hypothesis(failure.message) if failure else None
        case = Case(
            now=self.clock(), image=parse(image), image_text=image, failure=failure, hypothesis=told, trace=Trace()
        )
        made = diagnosis(self.cause, self.confidence)
        return Investigation(case, replace(made, remedy=RemedyRef("remedy", self.arguments)), NODE)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Give the loop its turns until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of every kind
            await asyncio.sleep(0.005)


def pods(*names: str) -> Sequence[PodRef]:
    """Return pods with these names, each with a uid of its own."""
    return [PodRef("shop", name, f"00000000-0000-0000-0000-{number:012}") for number, name in enumerate(names)]
