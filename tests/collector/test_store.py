"""The store commits before it answers, once per finding, newest state first, and survives a full disk and odd values."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from collector.samples import NOW, encoded, finding, writing

from pullwhy.collector.documents import decode
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import FindingRecord, NodeFacts, OddRecord, Query, Session, Speaker, StoreError
from pullwhy.collector.store import SQLStore, open_store
from pullwhy.model import FailingPod

WHO = Speaker("blue", "node-a", "box1", "0.1.0")


@contextlib.asynccontextmanager
async def store_in(database: str) -> AsyncIterator[SQLStore]:
    store = open_store(database, lambda: NOW)
    try:
        yield store
    finally:
        await store.close()


def run(database: str, scenario: Callable[[SQLStore], Awaitable[None]]) -> None:
    async def main() -> None:
        async with store_in(database) as store:
            await scenario(store)

    asyncio.run(main())


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


def record(number: int = 1, sequence: int = 1, **changed: object) -> FindingRecord:
    sample = finding(number)
    plain = FindingRecord(
        sequence=sequence,
        id=sample.id,
        image=sample.image,
        repository=sample.image.rpartition(":")[0],
        registry=sample.registry,
        cause="TagNotFound",
        state="Active",
        first_seen=sample.first_seen,
        last_seen=sample.last_seen,
        pods=(("shop", f"web-{number}"),),
        document=encoded(number),
        problem=problem_key(sample),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # names and types are the caller's business


async def session(store: SQLStore, who: Speaker = WHO) -> Session:
    return await store.open_session(who, NodeFacts(zone="z1"))


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
        assert await store.active_by_cause() == {"TagNotFound": 1}

    run(database, scenario)


def test_writes_that_come_together_share_commits(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        speakers = [Speaker("", f"node-{number}", "box") for number in range(300)]
        sessions = await asyncio.gather(*(session(store, who) for who in speakers))
        before = store._database.commits
        await asyncio.gather(*(store.write(each, [record(number, 1)], 1) for number, each in enumerate(sessions)))
        assert store._database.commits - before < 30
        assert len(await store.findings(Query(limit=1000))) == 300

    run(database, scenario)


def test_one_agents_odd_value_fails_alone(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        odd = [record(1, 2**70), record(2, 1, image="\ud800"), record(3, 3)]
        results = await asyncio.gather(*(store.write(opened, [each], 3) for each in odd), return_exceptions=True)
        assert [type(result) for result in results] == [OddRecord, OddRecord, type(None)]
        assert store.fault == ""
        assert len(await store.findings(Query())) == 1

    run(database, scenario)


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_is_over_when_there_is_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        writing(store).execute("PRAGMA max_page_count = 60")
        written = 0
        with contextlib.suppress(StoreError):
            for number in range(1, 1000):
                await store.write(opened, [record(number, number, document=b"x" * 4000)], number)
                written = number
        assert 0 < written < 999
        assert "the disk is full" in store.fault
        for _ in range(3):
            with pytest.raises(StoreError, match="the disk is full: give it space"):
                await store.write(opened, [record(999, 999, document=b"x" * 90_000)], 999)
        assert len(await store.findings(Query(limit=1000))) == written
        assert (await session(store)).acknowledged == written
        writing(store).execute("PRAGMA max_page_count = 1000000")
        await store.write(opened, [record(999, 999)], 999)
        assert store.fault == ""
        assert len(await store.findings(Query(limit=1000))) == written + 1

    run(str(tmp_path / "c.db"), scenario)
    assert len([entry for entry in caplog.records if "the disk is full" in entry.message]) <= 2


def test_a_group_that_fails_in_an_unforeseen_way_is_told_and_the_next_is_written(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise AttributeError("no such thing")

    async def scenario(store: SQLStore) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(store._database, "run", broken)
            with pytest.raises(StoreError, match="AttributeError: no such thing"):
                await session(store)
            assert "AttributeError" in store.fault
        async with asyncio.timeout(10):
            await session(store)
        assert not store.fault

    run(database, scenario)


def test_who_left_meanwhile_hinders_no_one(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        task = asyncio.create_task(store.write(opened, [record(1, 1)], 1))
        await asyncio.sleep(0)
        task.cancel()
        await store.write(opened, [record(2, 2)], 2)
        assert len(await store.findings(Query())) == 2

    run(database, scenario)


def test_after_its_end_the_store_says_so(database: str) -> None:
    async def main() -> None:
        store = open_store(database)
        opened = await session(store)
        await store.close()
        with pytest.raises(StoreError, match="stops"):
            await store.write(opened, [record()], 1)

    asyncio.run(main())


def test_the_version_grows_with_what_can_be_seen(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        opened = await session(store)
        before = store.version
        await store.findings(Query())
        assert store.version == before
        await store.write(opened, [record()], 1)
        assert store.version > before

    run(database, scenario)


def test_two_clusters_may_hold_one_id(database: str) -> None:
    async def scenario(store: SQLStore) -> None:
        for cluster in ("blue", "green"):
            await store.write(await session(store, replace(WHO, cluster=cluster)), [record()], 1)
        assert [found.cluster for found, _ in await store.finding(record().id, "")] == ["blue", "green"]
        assert [found.cluster for found, _ in await store.finding(record().id, "green")] == ["green"]

    run(database, scenario)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.mkdir(), "it cannot be opened"),
        (lambda path: path.write_bytes(b"not a database at all" * 100), "this is no SQLite database"),
        (lambda path: path.parent.joinpath("c.db-wal").mkdir(), "c.db: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_mend(
    tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "c.db"
    make(path)

    async def main() -> None:
        with pytest.raises(StoreError, match=told):
            open_store(path)

    asyncio.run(main())


def test_a_directory_that_cannot_be_made_is_named_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def main() -> None:
        with pytest.raises(StoreError, match="name a file in a directory that can be written"):
            open_store(tmp_path / "file" / "c.db")

    asyncio.run(main())


def test_no_file_handle_is_left_open(tmp_path: Path) -> None:
    def open_files() -> set[str]:
        return {str(each.resolve()) for each in Path("/proc/self/fd").iterdir()}

    async def scenario(store: SQLStore) -> None:
        await session(store)
        assert any("c.db" in each for each in open_files())

    run(str(tmp_path / "c.db"), scenario)
    assert not any(str(tmp_path) in each for each in open_files())
    with contextlib.closing(sqlite3.connect(tmp_path / "c.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
