"""Walks that are asked for: orders, answers, and what is kept of them; the buckets of registries."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from collector.fleetstored import MINUTE, SECOND, probe, report, run
from collector.samples import NOW, Clock, finding

from pullwhy.collector.fleet import Purpose, Walk, WalkState
from pullwhy.collector.records import NodeFacts, Query, Speaker
from pullwhy.collector.retention import Keep, forget
from pullwhy.collector.store import SQLStore, walksql


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
        await store.add_probe(probe(2), ["node-a"])
        assert await store.answered(["p1", "p2", "p9"]) == {"p1": 2}
        assert await store.answered([]) == {}
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
