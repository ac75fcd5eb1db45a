"""One fault of a whole fleet is not walked by every node at once: who waits adopts what another node proved."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from collector.samples import finding
from node.bench import NOT_FOUND, Bench
from node.fakecollector import FakeCollector, acknowledges, outbox_with, reporting, serving
from node.fakes import IMAGE, at, sync_error, until

from pullwhy.diagnose.case import Adopted
from pullwhy.diagnose.document.codec import MAX_DOCUMENT
from pullwhy.diagnose.document.finding import encode
from pullwhy.image import ImageReference, parse
from pullwhy.model import CauseId, Confidence, Evidence, Stage, State
from pullwhy.node.incidents.schedule import LONGEST_WITHOUT_TURN
from pullwhy.node.investigate.investigations import AsksWhen
from pullwhy.node.investigate.permits import ANSWER_SECONDS, LONGEST_WAIT, MAX_FACTS, Permission, Permits, read
from pullwhy.node.metrics import Metrics
from pullwhy.node.report.stream import Conversation
from pullwhy.pb.v1 import report_pb2 as pb

REFERENCE = parse(IMAGE)
OTHER = replace(finding(node="node-b", image=IMAGE, registry="registry.example"), last_seen=at(-5), first_seen=at(-9))
ADOPTED = Adopted(
    node="node-b", image=REFERENCE, seen=at(-5), cause=CauseId.REPOSITORY_NOT_FOUND, stage=Stage.MANIFEST, via=None, summary="s"
)  # fmt: skip


class Scripted:
    """A collector that answers what it is told to, one after the other."""

    def __init__(self, *answers: Permission | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, CauseId | None]] = []

    async def when(self, image: ImageReference, cause: CauseId | None) -> Permission | None:
        self.asked.append((str(image), cause))
        return self.answers.pop(0)


def run(permits: AsksWhen, *moments: float) -> Bench:
    """Fail once at 0 and settle at each moment, at which the kubelet fails again."""
    bench = Bench()
    bench.engine.investigations.permits = permits

    async def go() -> None:
        for moment in (0.0, *moments):
            bench.clock.now = at(moment)
            bench.engine.take([sync_error(moment, NOT_FOUND)])
            await bench.settle()
        await bench.engine._give_up()

    asyncio.run(go())
    return bench


def confidences(bench: Bench) -> list[tuple[CauseId, Confidence]]:
    return [(told.diagnosis.cause, told.diagnosis.confidence) for told in bench.told if told.state is State.ACTIVE]


@pytest.mark.parametrize("answer", [None, Permission(0.0)])
def test_without_an_answer_or_with_a_permit_the_node_walks_at_once(answer: Permission | None) -> None:
    permits = Scripted(answer)
    bench = run(permits)
    assert bench.investigator.walked == [IMAGE]
    assert permits.asked == [(IMAGE, CauseId.TAG_NOT_FOUND)]


def test_who_waits_adopts_what_another_node_proved_and_walks_in_its_turn_without_asking_again() -> None:
    permits = Scripted(Permission(20.0, ADOPTED))
    bench = run(permits, 10)
    assert bench.investigator.walked == []
    assert confidences(bench)[0] == (CauseId.REPOSITORY_NOT_FOUND, Confidence.LIKELY)
    permits = Scripted(Permission(20.0, ADOPTED))
    bench = run(permits, 10, 21)
    assert bench.investigator.walked == [IMAGE]
    assert confidences(bench)[-1] == (CauseId.TAG_NOT_FOUND, Confidence.PROVED)
    assert len(permits.asked) == 1


def test_who_waits_and_is_told_nothing_says_what_the_text_says() -> None:
    bench = run(Scripted(Permission(20.0)))
    assert confidences(bench) == [(CauseId.TAG_NOT_FOUND, Confidence.LIKELY)]


def test_a_turn_comes_though_the_kubelet_says_nothing_more() -> None:
    async def go() -> None:
        bench = Bench()
        bench.engine.investigations.permits = Scripted(Permission(2.0))
        bench.engine.take([sync_error(0, NOT_FOUND)])
        await bench.settle()
        bench.clock.move(2.1)
        await bench.settle()
        assert bench.investigator.walked == [IMAGE]

    asyncio.run(go())


def test_who_was_given_no_turn_asks_again_and_does_not_walk_meanwhile() -> None:
    permits = Scripted(
        Permission(500.0, ADOPTED, again=True), Permission(400.0, ADOPTED, again=True), Permission(20.0, ADOPTED)
    )
    bench = run(permits, 505, 910)
    assert len(permits.asked) == 3
    assert bench.investigator.walked == []
    assert {confidence for _, confidence in confidences(bench)} == {Confidence.LIKELY}
    permits = Scripted(Permission(500.0, ADOPTED, again=True), Permission(20.0, ADOPTED))
    bench = run(permits, 505, 526)
    assert len(permits.asked) == 2
    assert bench.investigator.walked == [IMAGE]


def test_a_collector_that_never_gives_a_turn_does_not_keep_a_node_from_walking() -> None:
    every, hours = 590.0, LONGEST_WITHOUT_TURN.total_seconds()
    moments = [every * number + 1 for number in range(1, 40)]
    permits = Scripted(*(Permission(every - 1, again=True) for _ in moments))
    bench = run(permits, *(moment for moment in moments if moment < hours))
    assert bench.investigator.walked == []
    asked = len(permits.asked)
    permits = Scripted(*(Permission(every - 1, again=True) for _ in moments))
    bench = run(permits, *(moment for moment in moments if moment < hours + every))
    assert (bench.investigator.walked, len(permits.asked)) == ([IMAGE], asked)
    assert confidences(bench)[-1][1] is Confidence.PROVED


def test_a_later_walk_waits_for_its_turn_too_and_takes_back_nothing_that_was_proved() -> None:
    permits = Scripted(Permission(0.0), Permission(20.0, ADOPTED))
    bench = run(permits, 700, 705)
    assert len(permits.asked) == 2
    assert bench.investigator.walked == [IMAGE]
    assert {confidence for _, confidence in confidences(bench)} == {Confidence.PROVED}


def test_a_changed_configuration_is_walked_at_once() -> None:
    async def go() -> None:
        bench = Bench()
        permits = bench.engine.investigations.permits = Scripted(Permission(500.0))
        bench.engine.take([sync_error(0, NOT_FOUND)])
        await bench.settle()
        bench.observer.mark = "mended"
        await bench.settle()
        assert bench.investigator.walked == [IMAGE]
        assert len(permits.asked) == 1

    asyncio.run(go())


def test_a_turn_outlives_the_agent() -> None:
    first = run(Scripted(Permission(20.0, ADOPTED)))

    async def go() -> None:
        bench = Bench(first.engine.kept())
        bench.engine.investigations.permits = Scripted()
        bench.clock.now = at(19)
        await bench.settle()
        assert bench.investigator.walked == []
        bench.clock.now = at(20)
        await bench.settle()
        assert bench.investigator.walked == [IMAGE]

    asyncio.run(go())


def test_what_was_proved_is_not_taken_back_by_an_agent_that_was_restarted() -> None:
    first = run(Scripted(Permission(0.0)))

    async def go() -> None:
        bench = Bench(first.engine.kept())
        bench.engine.investigations.permits = Scripted(Permission(20.0, ADOPTED))
        bench.clock.now = at(700)
        bench.engine.take([sync_error(700, NOT_FOUND)])
        await bench.settle()
        assert bench.investigator.walked == []
        assert {confidence for _, confidence in confidences(bench)} == {Confidence.PROVED}

    asyncio.run(go())


def test_what_another_node_proved_is_read() -> None:
    walk = tuple(Evidence(Stage.MANIFEST, f"fact {number}", "walk (Anonymous)") for number in range(9))
    told = Evidence(Stage.KUBELET, "its own pods' text", "journal")
    found = read(encode(replace(OTHER, diagnosis=replace(OTHER.diagnosis, evidence=(told, *walk)))), "node-a")
    assert found == Adopted(
        node="node-b",
        image=REFERENCE,
        seen=at(-5),
        cause=CauseId.TAG_NOT_FOUND,
        stage=Stage.MANIFEST,
        via=None,
        summary=OTHER.diagnosis.summary,
        facts=tuple(f"fact {number}" for number in range(MAX_FACTS)),
    )


@pytest.mark.parametrize(
    "document",
    [
        b"\x00",
        b"{}",
        b"[" * 100_000,
        b" " * (MAX_DOCUMENT + 1),
        encode(OTHER).replace(b"pullwhy/v1", b"pullwhy/v9"),
        encode(OTHER).replace(b"TagNotFound", b"Invented"),
        encode(replace(OTHER, image="no image")),
        encode(replace(OTHER, node="node-a")),
        encode(replace(OTHER, diagnosis=replace(OTHER.diagnosis, confidence=Confidence.LIKELY))),
    ],
)
def test_what_no_other_node_proved_is_not_adopted(document: bytes) -> None:
    assert read(document, "node-a") is None


def test_what_comes_from_elsewhere_is_made_safe_and_short() -> None:
    hostile = "\x1b[2J\u202e\n" + "x" * 2000
    evidence = (Evidence(Stage.MANIFEST, hostile, "walk"),)
    diagnosis = replace(OTHER.diagnosis, summary=hostile, evidence=evidence)
    found = read(encode(replace(OTHER, node="evil\x1b[2J", diagnosis=diagnosis)), "node-a")
    assert found
    for text in (found.node, found.summary, *found.facts):
        assert text.isprintable()
        assert len(text) <= 300


def test_a_wait_is_bounded_and_a_document_without_one_is_not_read() -> None:
    async def told(permit: pb.Permit) -> Permission | None:
        async def ask(question: pb.PermitRequest, within: float) -> pb.Permit | None:
            del question, within
            return permit

        return await Permits(ask, "node-a", Metrics()).when(REFERENCE, None)

    waits = [answer.wait for answer in (asyncio.run(told(pb.Permit(wait_ms=2**32 - 1))) for _ in range(20)) if answer]
    assert LONGEST_WAIT / 2 <= min(waits) < max(waits) <= LONGEST_WAIT
    capped = asyncio.run(told(pb.Permit(wait_ms=2**32 - 1)))
    assert capped
    assert capped.again
    assert asyncio.run(told(pb.Permit(wait_ms=599_000))) == Permission(599.0)
    assert asyncio.run(told(pb.Permit(document=b"\x00" * 1000))) == Permission(0.0)
    assert asyncio.run(told(pb.Permit(wait_ms=5, document=b"\x00"))) == Permission(0.005)


class Permitting(FakeCollector):
    """A collector that says when to walk, after a while; never, where that is None."""

    def __init__(self, seconds: float | None, permit: pb.Permit) -> None:
        super().__init__(type(self).talk)  # type: ignore[arg-type]  # a method of its own
        self.seconds, self.permit = seconds, permit
        self.asked: list[pb.PermitRequest] = []

    async def talk(self, context: Any) -> None:
        self.hellos.append((await context.read()).hello)
        await context.write(pb.CollectorMessage(welcome=pb.Welcome(abilities=["permit"])))
        while isinstance(message := await context.read(), pb.AgentMessage):
            if message.HasField("permit"):
                self.asked.append(message.permit)
                if self.seconds is not None:
                    await asyncio.sleep(self.seconds)
                    answer = pb.Permit(id=message.permit.id, wait_ms=self.permit.wait_ms, document=self.permit.document)
                    await context.write(pb.CollectorMessage(permit=answer))
            elif message.batch.reports:
                ack = pb.Ack(sequence=message.batch.reports[-1].sequence)
                await context.write(pb.CollectorMessage(ack=ack))


async def asked_of(fake: FakeCollector) -> tuple[Permission | None, float]:
    """Ask over a real stream; return the answer and the seconds that it took."""
    outbox = outbox_with("a")
    async with serving(fake) as address, reporting(outbox, address) as reporter:
        await until(lambda: reporter.connected)
        began = time.monotonic()
        answer = await Permits(reporter.permit, "node-a", Metrics()).when(REFERENCE, CauseId.TAG_NOT_FOUND)
        seconds = time.monotonic() - began
        await until(lambda: not len(outbox))
        return answer, seconds


def test_a_collector_that_understands_is_asked_over_the_stream() -> None:
    fake = Permitting(0.0, pb.Permit(wait_ms=1500, document=encode(OTHER)))
    answer, seconds = asyncio.run(asked_of(fake))
    assert answer
    assert (answer.wait, answer.adopted is not None) == (1.5, True)
    assert seconds < 0.25
    (asked,) = fake.asked
    assert (asked.image, asked.registry, asked.cause) == (IMAGE, "registry.example", "TagNotFound")


@pytest.mark.slow
def test_a_collector_that_does_not_answer_in_time_is_not_waited_for() -> None:
    answer, seconds = asyncio.run(asked_of(Permitting(None, pb.Permit())))
    assert answer is None
    assert ANSWER_SECONDS - 0.05 < seconds < ANSWER_SECONDS + 1


def test_a_collector_that_has_a_whole_fleet_to_answer_is_waited_for() -> None:
    answer, _ = asyncio.run(asked_of(Permitting(1.0, pb.Permit(wait_ms=1500))))
    assert answer == Permission(1.5)


def test_a_collector_of_an_earlier_release_is_not_asked() -> None:
    fake = FakeCollector(acknowledges)
    answer, seconds = asyncio.run(asked_of(fake))
    assert answer is None
    assert seconds < 0.1
    assert [len(batch.reports) for batch in fake.batches] == [1]


def test_a_stream_that_ends_answers_who_waits_at_once() -> None:
    async def go() -> None:
        async def hangs_up(fake: FakeCollector, context: Any) -> None:
            del fake
            await context.read()
            await context.write(pb.CollectorMessage(welcome=pb.Welcome(abilities=["permit"])))
            while isinstance(message := await context.read(), pb.AgentMessage):
                if message.HasField("permit"):
                    return

        async with serving(FakeCollector(hangs_up)) as address, reporting(outbox_with(), address) as reporter:
            await until(lambda: reporter.connected)
            assert isinstance(reporter._conversation, Conversation)
            began = time.monotonic()
            assert await reporter.permit(pb.PermitRequest(image=IMAGE), 30.0) is None
            assert time.monotonic() - began < 5

    asyncio.run(go())
