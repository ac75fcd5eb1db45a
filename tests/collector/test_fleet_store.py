"""What the store keeps of the fleet: problems made of findings, scopes, silences, walks that are asked for, and buckets."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from collector.samples import NOW, Clock, encoded, finding, until
from collector.test_store import WHO, record

from pullwhy.collector.fleet import Canary, Change, Probe, ProblemQuery, Purpose, Silence, Walk, WalkState
from pullwhy.collector.problem import ProblemKey, problem_key
from pullwhy.collector.records import FindingRecord, NodeFacts, Query, Speaker
from pullwhy.collector.retention import Keep, forget
from pullwhy.collector.store import SQLStore, open_store, walksql
from pullwhy.collector.store.sqliteschema import MIGRATIONS
from pullwhy.model import CauseId, Finding, Scope, ScopeVerdict, State

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
REFUSED = CauseId.CONNECTION_REFUSED


def run(database: str, scenario: Callable[[SQLStore, Clock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = Clock()
        store = open_store(database, clock)
        try:
            await scenario(store, clock)
        finally:
            await store.close()

    asyncio.run(main())


def stated(sample: Finding, sequence: int, **changed: object) -> FindingRecord:
    """Return the record of a finding, as ingest makes it."""
    plain = record(
        1,
        sequence,
        id=sample.id,
        image=sample.image,
        repository=sample.image.rpartition(":")[0],
        cause=sample.diagnosis.cause,
        state=sample.state,
        first_seen=sample.first_seen,
        last_seen=sample.last_seen,
        pods=tuple((pod.namespace, pod.name) for pod in sample.pods),
        problem=problem_key(sample),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # names and types are the caller's business


async def report(store: SQLStore, *findings: Finding, sequence: int = 1) -> None:
    """Have each finding reported by its own node."""
    for each in findings:
        opened = await store.open_session(Speaker(each.cluster, each.node, "box"), NodeFacts())
        await store.write(opened, [stated(each, sequence)], sequence)


def refused(number: int, node: str = "node-a", **changed: Any) -> Finding:
    sample = finding(number, node=node, **changed)
    return replace(sample, diagnosis=replace(sample.diagnosis, cause=REFUSED))


async def only(store: SQLStore) -> ProblemKey:
    (found,) = await store.problems(ProblemQuery(active=None))
    return found.key


def test_one_bad_tag_on_many_nodes_is_one_problem_with_its_counts(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        findings = [finding(1, node=f"node-{number}") for number in range(5)]
        await report(store, *findings, finding(2, node="node-9"))
        one, other = await store.problems(ProblemQuery())
        assert (one.active, one.nodes, one.pods) == (5, 5, 5)
        assert (other.active, other.nodes, other.pods) == (1, 1, 1)
        assert one.key == problem_key(findings[0])
        assert (one.first_seen, one.last_seen) == (findings[0].first_seen, findings[0].last_seen)
        assert one.example == encoded(1)
        assert await store.failing(one.key) == [each.node for each in findings]
        (same,) = await store.problem(one.key.id, "")
        assert same == one
        assert await store.problem(one.key.id, "other") == []

    run(database, scenario)


def test_a_pod_whose_images_all_fail_counts_once(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        pods = finding(1).pods
        await report(store, refused(1, pods=pods), sequence=1)
        await report(store, refused(2, pods=pods), sequence=2)
        (found,) = await store.problems(ProblemQuery())
        assert (found.active, found.nodes, found.pods) == (2, 1, 1)

    run(database, scenario)


def test_counts_follow_findings_that_recover_return_and_move(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(WHO, NodeFacts())
        sample = finding(1)
        for sequence, (state, active) in enumerate((("Active", 1), ("Recovered", 0), ("Active", 1)), 1):
            await store.write(opened, [stated(sample, sequence, state=state)], sequence)
            (found,) = await store.problems(ProblemQuery(active=None))
            assert (found.active, found.nodes) == (active, active)
            assert len(await store.problems(ProblemQuery(active=True))) == active
            assert len(await store.problems(ProblemQuery(active=False))) == 1 - active
        await store.write(opened, [stated(sample, 4, problem=problem_key(refused(1)))], 4)
        (moved,) = await store.problems(ProblemQuery(active=None))
        assert (moved.key.cause, moved.active) == (REFUSED, 1)

    run(database, scenario)


def test_what_was_overtaken_changes_no_problem(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(WHO, NodeFacts())
        await store.write(opened, [stated(finding(1), 5)], 5)
        before = await store.problems(ProblemQuery())
        await store.write(opened, [stated(finding(1), 4, state="Recovered", problem=problem_key(refused(1)))], 5)
        assert await store.problems(ProblemQuery(active=None)) == before

    run(database, scenario)


def test_filters_ask_for_problems_with_such_a_finding(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        await report(store, refused(1), refused(2, node="node-b", pods=(replace(finding().pods[0], namespace="ops"),)))
        await report(store, finding(3, node="node-b"))
        down, missing = problem_key(refused(1)), problem_key(finding(3))
        repository = "registry.example/shop/web"
        for query, wanted in (
            (ProblemQuery(), {down, missing}),
            (ProblemQuery(cluster="other"), set()),
            (ProblemQuery(id_prefix=down.id[:6]), {down}),
            (ProblemQuery(cause=REFUSED), {down}),
            (ProblemQuery(namespace="ops"), {down}),
            (ProblemQuery(namespace="shop"), {down, missing}),
            (ProblemQuery(node="node-b"), {down, missing}),
            (ProblemQuery(node="node-a"), {down}),
            (ProblemQuery(node="node-a", namespace="ops"), set()),
            (ProblemQuery(node="node-b", namespace="ops"), {down}),
            (ProblemQuery(image=f"{repository}2:1.4", repository=f"{repository}2"), {down}),
            (ProblemQuery(repository=f"{repository}3"), {missing}),
            (ProblemQuery(repository=f"{repository}1", namespace="ops"), set()),
            (ProblemQuery(registry="registry.example"), {down, missing}),
            (ProblemQuery(since=NOW - 2.5 * MINUTE), {down}),
            (ProblemQuery(silenced=True), set()),
            (ProblemQuery(silenced=False), {down, missing}),
        ):
            assert {each.key for each in await store.problems(query)} == wanted, query
        await report(store, replace(refused(2, node="node-b"), state=State.RECOVERED), sequence=2)
        assert await store.problems(ProblemQuery(repository=f"{repository}2")) == []
        assert len(await store.problems(ProblemQuery(repository=f"{repository}2", active=None))) == 1

    run(database, scenario)


def test_pages_of_problems_go_through_all_once(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(WHO, NodeFacts())
        await store.write(opened, [stated(finding(number, last_seen=NOW), number) for number in range(1, 26)], 25)
        seen, after = [], None
        while page := await store.problems(ProblemQuery(limit=4, after=after)):
            seen += page
            after = page[-1].position
        assert len({each.key for each in seen}) == len(seen) == 25

    run(database, scenario)


def test_a_findings_scope_is_that_of_its_problem(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1), finding(1, node="node-b"))
        key = await only(store)
        assert {each.scope for each in await store.findings(Query(problem=key.id))} == {Scope()}
        scope = Scope(ScopeVerdict.IMAGE_WIDE, 2, 0, 1, ("zone=a",))
        await store.set_scope(key, scope, clock.now, 1)
        assert [each.scope for each in await store.findings(Query(problem=key.id))] == [scope, scope]
        ((one, _), *_) = await store.finding(finding(1).id, "")
        assert (one.scope, one.problem) == (scope, key.id)
        (stored,) = await store.problems(ProblemQuery())
        assert (stored.scope, stored.scope_at) == (scope, clock.now)

    run(database, scenario)


def test_a_problem_is_judged_again_when_its_findings_changed_or_the_judgement_is_old(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        async def unscoped() -> int:
            return len(await store.unscoped(clock.now - MINUTE, 10))

        async def judge() -> None:
            (read,) = await store.problems(ProblemQuery())
            await store.set_scope(key, Scope(), clock.now, read.revision)

        await report(store, finding(1))
        key = await only(store)
        assert await unscoped() == 1
        await judge()
        assert await unscoped() == 0
        clock.now += SECOND
        await report(store, finding(1, count=7), sequence=2)  # fails on as before
        assert await unscoped() == 0
        await report(store, finding(1, node="node-b"), sequence=3)
        assert await unscoped() == 1
        await judge()
        assert await unscoped() == 0
        clock.now += SECOND
        await report(store, replace(finding(1, node="node-b"), state=State.RECOVERED), sequence=4)
        assert await unscoped() == 1
        await judge()
        clock.now += 2 * MINUTE
        assert await unscoped() == 1
        await report(store, replace(finding(1), state=State.GONE), sequence=5)
        assert await unscoped() == 0

    run(database, scenario)


def test_a_finding_that_is_committed_while_a_problem_is_judged_has_it_judged_again(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        (read,) = await store.unscoped(clock.now - MINUTE, 10)
        came = clock.now
        clock.now += SECOND
        judged_at = clock.now
        failing = await store.failing(read.key)
        clock.now = came  # it came before, and is committed only now
        await report(store, finding(1, node="node-b"), sequence=2)
        clock.now = judged_at
        await store.set_scope(read.key, Scope(failing=len(failing)), judged_at, read.revision)
        (again,) = await store.unscoped(clock.now - MINUTE, 10)
        await store.set_scope(again.key, Scope(failing=2), judged_at, again.revision)
        assert await store.unscoped(clock.now - MINUTE, 10) == []

    run(database, scenario)


def test_what_was_judged_of_a_forgotten_problem_says_nothing_of_its_successor(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        await store.set_scope(await only(store), Scope(), clock.now, 57)
        assert len(await store.unscoped(clock.now - MINUTE, 10)) == 1

    run(database, scenario)


def test_a_silence_has_a_reason_and_an_end(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        key, silence = await only(store), Silence("known, moves on Monday", "alice", NOW, NOW + MINUTE)
        await store.silence(key, silence)
        (silenced,) = await store.problems(ProblemQuery(silenced=True))
        assert silenced.silence == silence
        await store.silence(key, None)
        assert await store.problems(ProblemQuery(silenced=True)) == []
        await store.silence(key, silence)
        clock.now += MINUTE
        (over,) = await store.problems(ProblemQuery(silenced=False))
        assert over.silence is None

    run(database, scenario)


def test_a_canary_is_kept(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        await report(store, finding(1))
        canary = Canary("node-a", NOW, WalkState.PASSES)
        await store.set_canary(await only(store), canary)
        (stored,) = await store.problems(ProblemQuery())
        assert stored.canary == canary

    run(database, scenario)


def test_a_problem_goes_with_its_last_finding_unless_it_is_silenced(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        keep = Keep(timedelta(days=30), 2**30)
        await report(store, finding(1), finding(2))
        key = problem_key(finding(2))
        await store.silence(key, Silence("known", "alice", NOW, NOW + timedelta(days=40)))
        clock.now += timedelta(days=31)
        assert await forget(store, keep, clock.now) == 2
        (silenced,) = await store.problems(ProblemQuery(active=None))
        assert (silenced.key, silenced.active, silenced.example) == (key, 0, b"")
        clock.now += timedelta(days=10)
        await forget(store, keep, clock.now)
        assert await store.problems(ProblemQuery(active=None)) == []

    run(database, scenario)


def test_what_no_finding_has_any_more_is_forgotten_of_a_problem_that_lives(database: str) -> None:
    async def facts(store: SQLStore) -> set[tuple[str, str]]:
        return {(kind, value) for kind, value in await store._database.read("SELECT kind, value FROM problem_facts")}

    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(Speaker("", "node-a", "box"), NodeFacts())
        sample = finding(1)
        await store.write(opened, [stated(sample, 1, pods=(("old", "web"),), registry="old.example")], 1)
        await store.write(opened, [stated(sample, 2, pods=(("new", "web"),), registry="new.example")], 2)
        had = await facts(store)
        gone = {("namespace", "old"), ("registry", "old.example")}
        assert gone < had
        last = await store.forget_facts("", 1)
        assert last == problem_key(sample).id
        assert await store.forget_facts(last, 1) == ""
        assert await facts(store) == had - gone

    run(database, scenario)


def probe(number: int = 1, **changed: object) -> Probe:
    plain = Probe(f"p{number}", "", "registry.example/a:1", Purpose.PROBE, NOW, NOW + MINUTE, "alice")
    return replace(plain, **changed)  # type: ignore[arg-type]  # names and types are the caller's business


def test_an_order_is_taken_once_by_who_holds_the_nodes_stream(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        assert await store.add_probe(probe(), ["node-a", "node-b", "node-c"])
        assert not await store.add_probe(probe(), ["node-d"])
        assert await store.take_walks([("", "node-x"), ("other", "node-a")], 10) == []
        takers = [store.take_walks([("", "node-a"), ("", "node-b")], 10) for _ in range(3)]
        taken = [order for orders in await asyncio.gather(*takers) for order in orders]
        assert sorted(order.node for order in taken) == ["node-a", "node-b"]
        assert {(order.probe, order.image, order.deadline) for order in taken} == {
            ("p1", "registry.example/a:1", NOW + MINUTE)
        }
        clock.now += 2 * MINUTE
        assert await store.take_walks([("", "node-c")], 10) == []

    run(database, scenario)


def test_of_a_nodes_streams_only_the_newest_gets_its_orders(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        key = ("", "node-a")
        opened = [await store.open_session(Speaker("", "node-a", "box"), NodeFacts()) for _ in range(2)]
        half_open, newest = (each.stream for each in opened)
        await store.add_probe(probe(), ["node-a", "unheard-of"])
        assert await store.take_walks([key], 10, {key: half_open}) == []
        (order,) = await store.take_walks([key], 10, {key: newest})
        assert order.node == "node-a"
        unheard = ("", "unheard-of")
        assert len(await store.take_walks([unheard], 10, {unheard: 0})) == 1

    run(database, scenario)


def test_an_answer_is_kept_once_and_by_the_deadline(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await store.add_probe(probe(), ["node-a", "node-b", "node-c"])
        walk = Walk("node-a", WalkState.FAILS, NOW, "", b"{}", NOW - SECOND)
        assert await store.answer_walk("p1", "", walk)
        assert not await store.answer_walk("p1", "", replace(walk, state=WalkState.PASSES))
        assert not await store.answer_walk("p1", "other", replace(walk, node="node-b"))
        assert not await store.answer_walk("p1", "", replace(walk, node="node-x"))
        assert not await store.answer_walk("p2", "", walk)
        clock.now += 2 * MINUTE
        assert not await store.answer_walk("p1", "", replace(walk, node="node-b"))
        found = await store.probe("p1")
        assert found
        assert found[0] == probe()
        assert found[1] == [walk, *(Walk(node, WalkState.LATE, NOW + MINUTE) for node in ("node-b", "node-c"))]
        assert await store.probe("p9") is None

    run(database, scenario)


def test_walks_are_read_by_node_and_by_when_they_came_and_without_documents(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await store.add_probe(probe(), ["node-a", "node-b", "node-c"])
        early = Walk("node-a", WalkState.FAILS, NOW + SECOND, "", b"{}")
        later = Walk("node-b", WalkState.FAILS, NOW + 3 * SECOND, "", b"{}")
        for each in (early, later):
            assert await store.answer_walk("p1", "", each)
        assert await store.probe_alone("p1") == probe()
        assert await store.probe_alone("p9") is None
        assert await store.walks(probe(), "node-a") == [early]
        assert await store.walks(probe(), since=NOW + 3 * SECOND) == [later]
        assert (await store.walks(probe(), documents=False))[0] == replace(early, document=b"")
        assert await store.count_walks(probe()) == {WalkState.FAILS: 2, WalkState.WAITING: 1}
        clock.now += 2 * MINUTE
        late = Walk("node-c", WalkState.LATE, NOW + MINUTE)
        assert await store.walks(probe(), since=NOW + 4 * SECOND) == [late]
        assert await store.walks(probe(), since=NOW + 2 * MINUTE) == []
        assert await store.count_walks(probe()) == {WalkState.FAILS: 2, WalkState.LATE: 1}

    run(database, scenario)


def test_the_last_probes_are_told_and_forgotten_after_a_day(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await store.add_probe(probe(1), ["node-a"])
        await store.add_probe(probe(2, asked_at=NOW + SECOND, purpose=Purpose.CANARY), ["node-a"])
        await store.add_probe(probe(3, asked_at=NOW + 2 * SECOND, cluster="blue"), ["node-a"])
        assert [each.id for each in await store.probes("", None, 10)] == ["p3", "p2", "p1"]
        assert [each.id for each in await store.probes("", None, 1)] == ["p3"]
        assert [each.id for each in await store.probes("blue", None, 10)] == ["p3"]
        assert [each.id for each in await store.probes("", Purpose.CANARY, 10)] == ["p2"]
        clock.now += timedelta(days=1, seconds=1)
        await forget(store, Keep(timedelta(days=30), 2**30), clock.now)
        assert [each.id for each in await store.probes("", None, 10)] == ["p3", "p2"]
        assert await store.probe("p1") is None

    run(database, scenario)


def test_the_oldest_probes_go_where_there_are_too_many_walks(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def many(store: SQLStore, clock: Clock) -> None:
        for number in range(1, 4):
            await store.add_probe(probe(number, asked_at=NOW + number * SECOND), ["node-a", "node-b"])
        clock.now += 2 * MINUTE
        monkeypatch.setattr(walksql, "MOST_KEPT", 3)
        await forget(store, Keep(timedelta(days=30), 2**30), clock.now)
        assert [each.id for each in await store.probes("", None, 10)] == ["p3"]

    run(database, many)


def test_a_size_that_walks_exceed_costs_no_finding(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        empty = 700_000
        for number in range(1, 5):
            await store.add_probe(probe(number, asked_at=NOW + number * SECOND), ["node-a"])
            answer = Walk("node-a", WalkState.FAILS, NOW, "", os.urandom(400_000))
            assert await store.answer_walk(f"p{number}", "", answer)
        clock.now += 2 * MINUTE
        assert await forget(store, Keep(timedelta(days=30), empty), clock.now) == 0
        assert len(await store.findings(Query())) == 1
        assert len(await store.probes("", None, 10)) < 4

    run(database, scenario)


def test_the_trace_of_a_pass_goes_soon_after_the_deadline_and_its_verdict_stays(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await store.add_probe(probe(), ["node-a", "node-b"])
        passes, fails = (
            Walk("node-a", WalkState.PASSES, NOW, "", b"{}"),
            Walk("node-b", WalkState.FAILS, NOW, "", b"{}"),
        )
        assert await store.answer_walk("p1", "", passes)
        assert await store.answer_walk("p1", "", fails)
        for minutes, document in ((2, b"{}"), (10, b"")):
            clock.now = NOW + minutes * MINUTE
            await forget(store, Keep(timedelta(days=30), 2**30), clock.now)
            found = await store.probe("p1")
            assert found
            assert found[1] == [replace(passes, document=document), fails]

    run(database, scenario)


def test_tokens_are_spent_at_their_rate_and_turns_are_reserved(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        async def take(registry: str = "r", longest: float = 60.0) -> float | None:
            return await store.take_token("", registry, 2.0, 3.0, longest)

        assert [await take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
        assert await take("other") == 0
        clock.now += 2 * SECOND
        assert [await take(), await take()] == [0, 0]
        clock.now += timedelta(hours=1)
        assert [await take() for _ in range(4)] == [0, 0, 0, 0.5]
        assert [await take(longest=1.5) for _ in range(4)] == [1.0, 1.5, None, None]
        assert await take() == 2.0  # who was refused a turn took none

    run(database, scenario)


def test_changes_of_a_moment_are_told_together(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        told: list[Change] = []
        store.listen(told.append)
        await asyncio.sleep(0.5)  # where it is shared, what had been is told first
        told.clear()
        await report(store, finding(1))
        await store.add_probe(probe(), ["node-a"])
        await until(lambda: told)
        assert told == [Change.FINDINGS | Change.PROBLEMS | Change.NODES | Change.WALKS]
        await store.note_seen([("", "node-a")])
        await asyncio.sleep(0.1)
        assert len(told) == 1
        await store.set_scope(await only(store), Scope(), NOW, 1)
        await until(lambda: len(told) == 2)
        assert told[1] == Change.PROBLEMS

    run(database, scenario)


def test_findings_of_schema_1_get_their_problems(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "c.db", isolation_level=None)) as old:
        old.executescript(MIGRATIONS[0][0] + "PRAGMA user_version = 1; PRAGMA application_id = 0x70756C6C;")
        columns = "cluster, node, id, session, sequence, image, repository, registry, cause, state, first_us, last_us, received_us, document"
        for number in range(1, 5):
            document = encoded(1, node=f"node-{number}") if number < 4 else b"from another time"
            state = "Recovered" if number == 3 else "Active"
            row = ("", f"node-{number}", finding(1).id, 1, 1, "i", "r", "registry.example", "TagNotFound", state)
            old.execute(
                f"INSERT INTO findings ({columns}) VALUES ({', '.join('?' * 14)})", (*row, 1, number, number, document)
            )
            old.execute("INSERT INTO pods VALUES ('shop', 'web-1', last_insert_rowid())")

    async def scenario(store: SQLStore, _: Clock) -> None:
        (found,) = await store.problems(ProblemQuery())
        assert found.key == problem_key(finding(1))
        assert (found.active, found.nodes, found.pods) == (2, 2, 2)
        assert len(await store.problems(ProblemQuery(namespace="shop"))) == 1
        assert len(await store.findings(Query(problem=found.key.id))) == 3
        assert len(await store.findings(Query())) == 4

    run(str(tmp_path / "c.db"), scenario)
