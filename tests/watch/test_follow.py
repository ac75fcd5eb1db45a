import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from watch.journals import EPOCH, MACHINE, JournalWriter, host, write_journal

from pullwhy.watch.cursor import JournalPosition
from pullwhy.watch.follow import JournalFollower, mapped_bytes
from pullwhy.watch.journal import MAX_LINES, JournalReader, JournalUnreadable, Place
from pullwhy.watch.source import Batch

START = datetime.fromtimestamp(EPOCH / 1_000_000, UTC)


def follower(root: Path, mapped: list[int] | None = None) -> JournalFollower:
    figures = iter(mapped or [])
    reader = JournalReader(Place(root), ("kubelet.service",), bool)
    return JournalFollower(
        reader, clock=lambda: START, lookback=timedelta(0), mapped=lambda: next(figures, 0), check_seconds=0.1
    )


async def take(batches: AsyncGenerator[Batch[JournalPosition], None], lines: int) -> list[Batch[JournalPosition]]:
    taken: list[Batch[JournalPosition]] = []
    async with asyncio.timeout(10):
        while sum(len(batch.lines) for batch in taken) < lines:
            taken.append(await anext(batches))
    return taken


def texts(taken: list[Batch[JournalPosition]]) -> list[str]:
    return [line.text for batch in taken for line in batch.lines]


def test_follows_what_is_written_while_it_sleeps(tmp_path: Path) -> None:
    async def run() -> None:
        directory = host(tmp_path)
        with JournalWriter(directory / "system.journal") as writer:
            writer.write(0, "line 0")
            batches = follower(tmp_path).batches(None)
            assert texts(await take(batches, 1)) == ["line 0"]
            asleep = asyncio.create_task(take(batches, 1))
            await asyncio.sleep(0.2)
            assert not asleep.done()
            writer.write(1, "line 1")
            assert texts(await asleep) == ["line 1"]
            await batches.aclose()

    asyncio.run(run())


def test_a_long_journal_leaves_the_loop_its_turn(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(5000))

    async def run() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(count())
        batches = follower(tmp_path).batches(None)
        taken = await take(batches, 5000)
        other.cancel()
        await batches.aclose()
        assert all(len(batch.lines) <= MAX_LINES for batch in taken)
        assert not any(batch.caught_up for batch in taken[:-1])
        return turns

    assert asyncio.run(run()) >= 2


def test_mapped_files_are_let_go_once_caught_up(tmp_path: Path) -> None:
    directory = host(tmp_path)

    async def run() -> None:
        with JournalWriter(directory / "system.journal") as writer:
            writer.write(0, "line 0")
            batches = follower(tmp_path, mapped=[0, 1 << 30, 0]).batches(None)
            await take(batches, 1)
            before = descriptors()
            asleep = asyncio.create_task(take(batches, 1))
            await asyncio.sleep(0.2)
            assert len(descriptors()) == len(before)
            writer.write(1, "line 1")
            assert texts(await asleep) == ["line 1"]
            await batches.aclose()

    asyncio.run(run())


def test_a_journal_tree_that_appears_later_is_noticed(tmp_path: Path) -> None:
    host(tmp_path)

    async def run() -> None:
        batches = follower(tmp_path).batches(None)
        asleep = asyncio.create_task(take(batches, 1))
        await asyncio.sleep(0.15)
        write_journal(tmp_path / "run/log/journal" / MACHINE / "system.journal", range(1))
        assert texts(await asleep) == ["line 0"]
        await batches.aclose()

    asyncio.run(run())


def test_a_gap_is_said_once_and_first(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(8, 9))

    async def run() -> list[Batch[JournalPosition]]:
        batches = follower(tmp_path).batches(JournalPosition("s=0;i=0;b=0;m=0;t=0;x=0", EPOCH))
        taken = await take(batches, 1)
        await batches.aclose()
        return taken

    first, second = asyncio.run(run())
    assert "vacuumed" in first.gap
    assert not second.gap


def test_the_journal_is_closed_when_following_ends(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(1))

    async def run() -> None:
        batches = follower(tmp_path).batches(None)
        await take(batches, 1)
        assert any("system.journal" in name for name in descriptors())
        await batches.aclose()

    asyncio.run(run())
    assert not any("system.journal" in name for name in descriptors())


def test_an_absent_host_root_is_one_clear_error(tmp_path: Path) -> None:
    async def run() -> None:
        await anext(follower(tmp_path / "absent").batches(None))

    with pytest.raises(JournalUnreadable, match="absent"):
        asyncio.run(run())


def test_neither_memory_nor_trees_are_looked_at_with_every_line(tmp_path: Path) -> None:
    looks = 0

    def mapped() -> int:
        nonlocal looks
        looks += 1
        return 0

    async def run() -> None:
        directory = host(tmp_path)
        with JournalWriter(directory / "system.journal") as writer:
            writer.write(0, "line 0")
            reader = JournalReader(Place(tmp_path), ("kubelet.service",), lambda _: True)
            batches = JournalFollower(reader, clock=lambda: START, lookback=timedelta(0), mapped=mapped).batches(None)
            for number in range(1, 20):
                await take(batches, 1)
                writer.write(number, f"line {number}")
            await batches.aclose()

    asyncio.run(run())
    assert looks < 15


def test_mapped_bytes_grow_with_a_mapped_file() -> None:
    assert mapped_bytes() > 1024 * 1024


def descriptors() -> list[str]:
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists this directory
            names.append(str(descriptor.readlink()))
    return names
