"""The store commits before it answers, and survives a full disk, odd values and files that cannot be used."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from collector.samples import heard_of_the_past, writing
from collector.stored import WHO, record, run, session

from pullwhy.collector.records import OddRecord, Query, Speaker, StoreError
from pullwhy.collector.store import SQLStore, open_store


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
        await heard_of_the_past(store)
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
