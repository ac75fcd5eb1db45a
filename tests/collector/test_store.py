"""The store keeps each finding once, in its newest state, and answers questions about it."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from collector.samples import NOW, encoded
from collector.stored import WHO, record, run, session

from pullwhy.collector.records import NodeFacts, Query, Speaker
from pullwhy.collector.store import SQLStore
from pullwhy.diagnose.document.decoding import decode
from pullwhy.model import FailingPod


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_facts_are_changed_as_they_were_last_told_and_a_node_that_is_not_known_stays_so(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        await store.open_session(WHO, NodeFacts(kubelet_version="v1.30.0"))
        await asyncio.gather(
            store.note_facts(WHO, NodeFacts(kubelet_version="v1.31.0")),
            store.change_facts("blue", "node-a", lambda told: replace(told, zone="z")),
            store.change_facts("green", "node-a", lambda told: replace(told, zone="z")),
        )
        (node,) = await store.nodes("", "", 10, None)
        assert (node.cluster, node.facts) == ("blue", NodeFacts(kubelet_version="v1.31.0", zone="z"))

    run(database, scenario)


def test_a_pod_is_left_out_of_the_last_state_even_of_the_same_commit(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        who = await session(store)
        both = (FailingPod("shop", "web-1", "uid", "main"), FailingPod("bank", "web-1", "uid", "main"))
        told = record(pods=(("shop", "web-1"), ("bank", "web-1")), document=encoded(cluster="blue", pods=both))
        before = store.version
        await asyncio.gather(
            store.write(who, [told], 1),
            store.leave_out(("blue", "node-a", told.id), ("bank", "web-1")),
            store.leave_out(("blue", "node-a", "unknown"), ("bank", "web-1")),
        )
        assert store.version > before
        assert await store.findings(Query(namespace="bank")) == []
        (found,) = await store.findings(Query(namespace="shop"))
        assert [pod.namespace for pod in decode(found.document).pods] == ["shop"]

    run(database, scenario)


def test_a_new_database_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    async def look(store: SQLStore) -> None:
        await session(store)
        modes.update(await asyncio.to_thread(modes_in, tmp_path))

    modes: dict[str, int] = {}
    before = os.umask(0)
    try:
        run(str(tmp_path / "c.db"), look)
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("c.db", "c.db-wal", "c.db-shm"), 0o600)


async def states(store: SQLStore, finding_id: str) -> list[str]:
    ((_, history),) = await store.finding(finding_id, "")
    return [change.state for change in history]


def test_a_session_is_numbered_once_per_outbox_and_remembers_what_is_committed(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        first = await session(store)
        assert first.acknowledged == 0
        await store.write(first, [record(1, 3)], 5)
        again = await session(store)
        assert (again.number, again.acknowledged) == (first.number, 5)
        other = await session(store, replace(WHO, outbox_id="box2"))
        assert (other.number > first.number, other.acknowledged) == (True, 0)

    run(database, scenario)


def test_what_was_written_is_there_after_a_restart(database: str) -> None:
    async def writes(store: SQLStore) -> None:
        await store.write(await session(store), [record(1), record(2)], 2)

    async def reads(store: SQLStore) -> None:
        assert len(await store.findings(Query())) == 2
        assert (await session(store)).acknowledged == 2

    run(database, writes)
    run(database, reads)


def test_a_report_that_comes_again_changes_nothing(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        for _ in range(3):
            await store.write(opened, [record(1, 1)], 1)
        assert len(await store.findings(Query())) == 1
        assert await states(store, record().id) == ["Active"]

    run(database, scenario)


def test_of_one_outbox_the_highest_sequence_number_wins_and_of_two_the_later(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        old, new = await session(store), await session(store, replace(WHO, outbox_id="box2"))
        await store.write(old, [record(1, 7, state="Recovered")], 7)
        await store.write(old, [record(1, 6, state="Gone")], 7)
        assert await states(store, record().id) == ["Recovered"]
        await store.write(new, [record(1, 1, state="Active")], 1)
        await store.write(old, [record(1, 9, state="Gone")], 9)
        assert await states(store, record().id) == ["Recovered", "Active"]

    run(database, scenario)


def test_the_earliest_time_is_kept_and_the_last_is_never_in_our_future(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        await store.write(opened, [record(1, 1, first_seen=NOW - timedelta(days=3))], 1)
        await store.write(opened, [record(1, 2, last_seen=NOW + timedelta(days=300))], 2)
        (stored,) = await store.findings(Query())
        assert stored.first_seen == NOW - timedelta(days=3)
        assert stored.position[0] == int(NOW.timestamp() * 1_000_000)

    run(database, scenario)


def test_a_finding_that_flaps_keeps_a_bounded_history(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        for sequence in range(1, 61):
            await store.write(opened, [record(1, sequence, state=("Active", "Recovered")[sequence % 2])], sequence)
        assert await states(store, record().id) == ["Recovered", "Active"] * 10

    run(database, scenario)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (Query(), [1, 2, 3]),
        (Query(cluster="blue"), [1, 2, 3]),
        (Query(cluster="green"), []),
        (Query(node="node-a"), [1, 2, 3]),
        (Query(node="node"), []),
        (Query(namespace="ops"), [2]),
        (Query(pod="web-3"), [3]),
        (Query(namespace="ops", pod="web-3"), []),
        (Query(image="registry.example/shop/web2:1.4", repository="registry.example/shop/web2"), [2]),
        (Query(image="registry.example/shop/web2:1.5", repository="registry.example/shop/web2"), []),
        (Query(repository="registry.example/shop/web2"), [2]),
        (Query(registry="registry.example"), [1, 2, 3]),
        (Query(cause="DiskFull"), [3]),
        (Query(state="Recovered"), [2]),
        (Query(since=NOW - timedelta(minutes=2, seconds=30)), [1, 2]),
        (Query(cause="TagNotFound", state="Active", namespace="shop"), [1]),
        (Query(pod="x' OR 1=1 --"), []),
    ],
)
def test_filters(database: str, query: Query, numbers: list[int]) -> None:
    async def scenario(store: SQLStore) -> None:
        two = record(2, 2, state="Recovered", pods=(("ops", "job"), ("shop", "web-2")))
        await store.write(await session(store), [record(1, 1), two, record(3, 3, cause="DiskFull")], 3)
        assert [stored.document for stored in await store.findings(query)] == [encoded(number) for number in numbers]

    run(database, scenario)


def test_pods_that_left_a_finding_no_longer_lead_to_it(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        await store.write(opened, [record(1, 1)], 1)
        await store.write(opened, [record(1, 2, pods=(("shop", "other"),))], 2)
        assert not await store.findings(Query(pod="web-1"))
        assert len(await store.findings(Query(pod="other"))) == 1

    run(database, scenario)


def test_pages_go_through_everything_once_last_seen_first(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        same = {"last_seen": NOW}
        records = [record(number, number, **(same if number % 3 else {})) for number in range(1, 26)]
        await store.write(await session(store), records, 25)
        seen, after = [], None
        while page := await store.findings(Query(limit=4, after=after)):
            seen += page
            after = page[-1].position
        assert len({stored.document for stored in seen}) == len(seen) == 25
        assert [stored.position for stored in seen] == sorted((stored.position for stored in seen), reverse=True)

    run(database, scenario)


def test_nodes_tell_their_status_and_count_what_is_active(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        await session(store, Speaker("blue", "node-b", "box"))
        await store.write(opened, [record(1, 1), record(2, 2, state="Gone")], 2)
        await store.note_facts(WHO, NodeFacts(zone="z2", impairments=("no journal",)))
        first, second = await store.nodes("", "", 10, None)
        assert (first.node, first.active_findings, first.facts) == (
            "node-a",
            1,
            NodeFacts(zone="z2", impairments=("no journal",)),
        )
        assert (second.node, second.active_findings, second.facts) == ("node-b", 0, NodeFacts(zone="z1"))
        assert [node.node for node in await store.nodes("", "", 10, ("blue", "node-a"))] == ["node-b"]
        assert [node.node for node in await store.nodes("blue", "node-b", 10, None)] == ["node-b"]
        assert await store.nodes("green", "", 10, None) == []
        assert await store.of_nodes("blue", ["node-b", "node-x", "node-a"]) == [first, second]
        assert await store.of_nodes("", ["node-a"]) == []
        assert await store.of_nodes("blue", []) == []
        assert await store.active_by_cause() == {"TagNotFound": 1}

    run(database, scenario)
