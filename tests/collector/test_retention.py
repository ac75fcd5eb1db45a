"""What is old goes, then what is missed least where there is too much; what fails now stays longest."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from collector.samples import NOW, Clock, until
from collector.stored import WHO, record

from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import NodeFacts, Query
from pullwhy.collector.retention import Keep, forget, tend
from pullwhy.collector.store import open_store

GIB = 2**30


def test_findings_nodes_and_sessions_go_with_their_age(database: str) -> None:
    async def scenario() -> None:
        clock = Clock()
        store = open_store(database, clock)
        old = await store.open_session(WHO, NodeFacts())
        await store.write(old, [record(1, 1), record(2, 2, state="Gone")], 2)
        clock.now += timedelta(days=20)
        new = await store.open_session(replace(WHO, node="node-b"), NodeFacts())
        await store.write(new, [record(3, 1)], 1)
        assert await forget(store, Keep(timedelta(days=30), GIB), clock.now) == 0
        clock.now += timedelta(days=15)
        assert await forget(store, Keep(timedelta(days=30), GIB), clock.now) == 2
        assert len(await store.findings(Query())) == 1
        assert not await store.findings(Query(pod="web-1"))
        assert [node.node for node in await store.nodes("", "", 10, None)] == ["node-b"]
        assert (await store.open_session(WHO, NodeFacts())).number > new.number
        await store.close()

    asyncio.run(scenario())


def test_a_quiet_agents_session_outlives_its_age_while_its_node_is_there(database: str) -> None:
    async def scenario() -> None:
        clock = Clock()
        store = open_store(database, clock)
        first = await store.open_session(WHO, NodeFacts())
        await store.write(first, [], 7)
        clock.now += timedelta(days=40)
        await store.note_seen([(WHO.cluster, WHO.node)])
        await forget(store, Keep(timedelta(days=30), GIB), clock.now)
        again = await store.open_session(WHO, NodeFacts())
        assert (again.number, again.acknowledged) == (first.number, 7)
        await store.close()

    asyncio.run(scenario())


def test_beyond_the_size_resolved_findings_go_first_then_the_oldest(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = open_store(tmp_path / "c.db", Clock())
        session = await store.open_session(WHO, NodeFacts())
        states = [(number, "Recovered" if number > 1000 else "Active") for number in range(1, 2001)]
        await store.write(
            session, [record(number, number, state=state, document=b"x" * 2000) for number, state in states], 2000
        )
        full = await store.size()
        await forget(store, Keep(timedelta(days=30), full * 2 // 3), NOW)
        assert await store.size() <= full * 2 // 3
        assert len(await store.findings(Query(state="Active", limit=10_000))) == 1000
        await forget(store, Keep(timedelta(days=30), full * 2 // 5), NOW)
        assert not await store.findings(Query(state="Recovered"))
        assert 0 < len(await store.findings(Query(limit=10_000))) < 1000
        await forget(store, Keep(timedelta(days=30), full), NOW)
        await store.close()
        assert (tmp_path / "c.db").stat().st_size < full

    asyncio.run(scenario())


def test_a_size_that_nothing_meets_ends_with_an_empty_store(database: str) -> None:
    async def scenario() -> None:
        store = open_store(database, Clock())
        await store.write(await store.open_session(WHO, NodeFacts()), [record(1, 1)], 1)
        assert await forget(store, Keep(timedelta(days=30), 1), NOW) == 1
        await store.close()

    asyncio.run(scenario())


def test_tending_notes_who_is_there_and_counts_what_went(database: str) -> None:
    async def scenario() -> None:
        clock, metrics = Clock(), Metrics()
        store = open_store(database, clock)
        await store.write(await store.open_session(WHO, NodeFacts()), [record(1, 1)], 1)
        clock.now += timedelta(days=31)
        keep = Keep(timedelta(days=30), GIB)
        task = asyncio.create_task(tend(store, keep, metrics, lambda: {(WHO.cluster, WHO.node)}, clock))

        await until(lambda: b"pullwhy_collector_forgotten_findings_total 1.0" in metrics.text())
        (node,) = await store.nodes("", "", 10, None)
        assert node.last_seen == clock.now
        task.cancel()
        await asyncio.wait([task])
        assert not await store.findings(Query())
        await store.close()

    asyncio.run(scenario())
