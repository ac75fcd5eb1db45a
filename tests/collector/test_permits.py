"""Of a fleet on which one image fails, a few nodes walk at once; the others wait their turn with what was proved."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from collector.samples import NOW, Clock, finding
from collector.wire import running

from pullwhy.collector.fleet import Canary, WalkState
from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.intake.permits import FIRST, MOST_TURNS, NOTHING_REMEMBERED, Pace, Permits
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import FindingRecord, NodeFacts, Speaker
from pullwhy.collector.store import SQLStore, open_store
from pullwhy.diagnose.document.decoding import decode
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import (
    CauseId,
    Confidence,
    Evidence,
    Finding,
    KubeletState,
    Outcome,
    RemedyRef,
    Reproduction,
    Scope,
    ScopeVerdict,
    Stage,
    TraceLine,
)
from pullwhy.pb.v1 import report_pb2 as pb

IMAGE = "registry.example/shop/web1:1.4"


def request(image: str = IMAGE, cause: str = "TagNotFound") -> pb.PermitRequest:
    return pb.PermitRequest(id="r1", image=image, registry="elsewhere.example", cause=cause)


def node(number: int) -> Speaker:
    return Speaker("", f"node-{number}", "box")


async def stored(store: SQLStore, found: Finding, sequence: int = 1) -> None:
    session = await store.open_session(Speaker("", found.node, "box"), NodeFacts())
    canonical, repository = image_columns(found.image)
    record = FindingRecord(
        sequence, found.id, canonical, repository, found.registry, found.diagnosis.cause, found.state, found.first_seen,
        found.last_seen, (), encode(found), problem_key(found),
    )  # fmt: skip
    await store.write(session, [record], sequence)


def run(folder: Path, scenario: Callable[[SQLStore, Permits, Clock], Awaitable[None]], **pace: float) -> None:
    async def main() -> None:
        clock = Clock()
        store = open_store(folder / "c.db", clock)
        try:
            given = Pace(**({"per_second": 2.0, "at_once": 5.0} | pace))
            await scenario(store, Permits(store, Metrics(), clock, given, random.Random(1)), clock)
        finally:
            await store.close()

    asyncio.run(main())


def seen(number: int = 1, cause: CauseId = CauseId.TAG_NOT_FOUND, **changed: Any) -> Finding:
    return finding(number, cause=cause, node="prover", last_seen=NOW, **changed)


def test_the_first_few_walk_at_once_and_the_others_at_the_registrys_pace(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, __: Clock) -> None:
        waits = [(await permits.decide(node(i), request())).wait_ms for i in range(FIRST + 5 + 10)]
        assert waits[: FIRST + 5] == [0] * (FIRST + 5)
        for turn, wait in enumerate(waits[FIRST + 5 :], 1):
            assert turn * 500 - 1 <= wait <= turn * 600

    run(tmp_path, scenario)


def test_a_node_that_asks_again_keeps_its_turn_and_takes_no_other(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, clock: Clock) -> None:
        for i in range(FIRST + 1):
            assert not (await permits.decide(node(i), request())).wait_ms
        first = (await permits.decide(node(8), request())).wait_ms
        clock.now += timedelta(seconds=2)
        assert [(await permits.decide(node(8), request())).wait_ms for _ in range(50)] == [first - 2000] * 50
        assert (await permits.decide(node(9), request())).wait_ms <= 2 * 12_000

    run(tmp_path, scenario, per_second=0.1, at_once=1.0)


def test_one_node_does_not_take_all_turns_of_a_registry(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, __: Clock) -> None:
        many = [request(f"registry.example/shop/web{i}:1", "ConnectionRefused") for i in range(200)]
        waits = [(await permits.decide(node(1), each)).wait_ms for each in many]
        assert sum(wait < 540_000 for wait in waits) <= FIRST + 1 + MOST_TURNS
        assert set(waits[FIRST + 1 + MOST_TURNS :]) == {900_000}
        assert (await permits.decide(node(2), many[0])).wait_ms <= (MOST_TURNS + 1) * 1200

    run(tmp_path, scenario, per_second=1.0, at_once=1.0)


def test_turns_are_reserved_for_some_minutes_and_no_longer(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, clock: Clock) -> None:
        waits = [(await permits.decide(node(i), request())).wait_ms for i in range(FIRST + 1 + 200)]
        reserved = [wait for wait in waits if wait != 900_000]
        assert len(reserved) == FIRST + 1 + 54
        assert max(reserved) < 600_000
        clock.now += timedelta(minutes=10)
        assert (await permits.decide(node(300), request())).wait_ms <= 10_000

    run(tmp_path, scenario, per_second=0.1, at_once=1.0)


def test_who_waits_is_told_what_another_node_proved_without_its_pods(tmp_path: Path) -> None:
    async def scenario(store: SQLStore, permits: Permits, _: Clock) -> None:
        await stored(store, seen(kubelet=KubeletState(3, "secret-ish text of another pod")))
        for i in range(5):
            assert (await permits.decide(node(i), request())).document == b""  # they walk themselves
        permit = await permits.decide(node(9), request())
        assert permit.wait_ms > 0
        told = decode(permit.document)
        assert (told.node, told.diagnosis.cause) == ("prover", CauseId.TAG_NOT_FOUND)
        assert (told.pods, told.kubelet.last_message) == ((), "")

    run(tmp_path, scenario)


def test_what_is_proved_a_moment_after_somebody_asked_is_told_to_the_next(tmp_path: Path) -> None:
    async def scenario(store: SQLStore, permits: Permits, _: Clock) -> None:
        for i in range(FIRST + 1):
            assert (await permits.decide(node(i), request())).document == b""
        await stored(store, seen())
        await asyncio.sleep(NOTHING_REMEMBERED + 0.05)
        assert (await permits.decide(node(9), request())).document

    run(tmp_path, scenario, at_once=1.0)


def test_who_waits_is_told_nothing_of_another_nodes_pods_and_secrets(tmp_path: Path) -> None:
    said = "Failed to pull: secret payroll/regcred of pod payroll/payday-1"
    told = seen(
        cause=CauseId.CREDENTIALS_MISSING,
        reproduction=Reproduction("Failed", message=said),
        trace=(TraceLine(Stage.AUTH, said, Outcome.FAILED, 0.1, said, ""),),
    )
    diagnosis = replace(
        told.diagnosis,
        summary=f"no credentials; {said}",
        remedy=RemedyRef("add-credentials", {"secret": said}),
        evidence=(
            Evidence(Stage.AUTH, "authentication: refused", "walk (anonymous)"),
            *(
                Evidence(Stage.AUTH, said, source)
                for source in (
                    "journal",
                    "cri",
                    "containerd.service",
                    "node files",
                    "Kubernetes API",
                    "fleet",
                    "walk (pull secret)",
                )
            ),
        ),
    )

    async def scenario(store: SQLStore, permits: Permits, _: Clock) -> None:
        await stored(store, replace(told, diagnosis=diagnosis))
        for i in range(6):
            document = (await permits.decide(node(i), request(cause="CredentialsMissing"))).document
        assert b"payroll" not in document
        assert [each.fact for each in decode(document).diagnosis.evidence] == ["authentication: refused"]

    run(tmp_path, scenario)


def adopted(folder: Path, found: Finding, asked: pb.PermitRequest, scope: Scope | None = None) -> bool:
    told = []

    async def scenario(store: SQLStore, permits: Permits, _: Clock) -> None:
        await stored(store, found)
        if scope:
            await store.set_scope(problem_key(found), scope, NOW, 1)
        for i in range(FIRST + 2):
            permit = await permits.decide(node(i), asked)
        told.append(bool(permit.document))

    run(folder, scenario, per_second=0.01, at_once=1.0)
    return told[0]


def test_only_what_is_proved_and_may_be_the_same_fault_is_adopted(tmp_path: Path) -> None:
    likely = replace(seen().diagnosis, confidence=Confidence.LIKELY)
    down = seen(2, CauseId.CONNECTION_REFUSED)
    cases = [
        (seen(), request(), True),
        (seen(), request(cause=""), True),
        (seen(diagnosis=likely), request(), False),
        (seen(), request(cause="DiskFull"), False),
        (seen(2), request(), False),
        (seen(cause=CauseId.DISK_FULL), request(cause=""), False),
        (down, request(cause="ConnectionTimedOut"), True),
        (down, request("other.example/shop/web2:1.4", "ConnectionRefused"), False),
        (replace(seen(), last_seen=NOW - timedelta(minutes=11)), request(), False),
    ]
    for number, (found, asked, expected) in enumerate(cases):
        assert adopted(tmp_path / f"{number}", found, asked) is expected, number


def test_the_fault_of_one_node_is_no_reason_for_another(tmp_path: Path) -> None:
    assert adopted(tmp_path / "a", seen(), request(), Scope(ScopeVerdict.IMAGE_WIDE))
    assert not adopted(tmp_path / "b", seen(), request(), Scope(ScopeVerdict.NODE_SPECIFIC))


def test_a_node_does_not_adopt_what_it_found_itself(tmp_path: Path) -> None:
    async def scenario(store: SQLStore, permits: Permits, _: Clock) -> None:
        await stored(store, seen())
        prover = Speaker("", "prover", "box")
        assert [(await permits.decide(prover, request())).document for _ in range(9)] == [b""] * 9

    run(tmp_path, scenario)


def test_what_a_canary_found_over_is_not_adopted_any_more(tmp_path: Path) -> None:
    async def scenario(store: SQLStore, permits: Permits, clock: Clock) -> None:
        await stored(store, seen())
        clock.now += timedelta(seconds=40)
        await store.set_canary(problem_key(seen()), Canary("prover", clock.now, WalkState.PASSES))
        permits_given = [await permits.decide(node(i), request()) for i in range(20)]
        assert not any(permit.document for permit in permits_given)
        assert permits_given[-1].wait_ms > 3000  # at the registry's pace all the same

    run(tmp_path, scenario)


def test_all_images_of_a_registry_that_is_down_share_its_first_few(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, __: Clock) -> None:
        asked = [request(f"registry.example/shop/web{i}:1", "ConnectionRefused") for i in range(20)]
        waits = [(await permits.decide(node(i), each)).wait_ms for i, each in enumerate(asked)]
        assert waits.count(0) == FIRST + 1

    run(tmp_path, scenario, at_once=1.0)


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, __: Clock) -> None:
        for i in range(1100):
            await permits.decide(node(1), request(f"registry.example/shop/web{i}:1"))
        assert len(permits._first) <= 1024
        assert len(permits._known) <= 1024

    run(tmp_path, scenario)


def test_a_text_that_is_no_reference_costs_nothing(tmp_path: Path) -> None:
    async def scenario(_: SQLStore, permits: Permits, __: Clock) -> None:
        assert (await permits.decide(node(1), request("NO reference\n"))).wait_ms == 0

    run(tmp_path, scenario)


def test_permits_go_over_the_wire(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as served:
            stream = await served.welcomed()
            await stream.write(pb.AgentMessage(permit=request()))
            assert (await stream.read()).permit == pb.Permit(id="r1")
            assert b'pullwhy_collector_permits_total{answer="now"} 1.0' in served.metrics.text()

    asyncio.run(scenario())
