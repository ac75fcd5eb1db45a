import asyncio
from pathlib import Path

from node.bench import NOT_FOUND, Bench
from node.fakes import WEB, sync_error, until

from pullwhy.node.checkpoint import Checkpoint
from pullwhy.node.state import NAME, load
from pullwhy.watch.cursor import JournalPosition, Positions


def test_a_change_is_kept_soon_and_the_rest_at_the_end(tmp_path: Path) -> None:
    bench = Bench()
    said: list[str] = []
    checkpoint = Checkpoint(tmp_path, bench.engine, said.append)

    async def run() -> None:
        running = asyncio.create_task(checkpoint.run())
        bench.engine.take([sync_error(0, NOT_FOUND)])
        await until((tmp_path / NAME).exists)
        assert load(tmp_path).incidents[0].pod == WEB
        bench.engine.moved(Positions(JournalPosition("c", 1)))
        running.cancel()
        await asyncio.wait([running])
        checkpoint.finish()

    asyncio.run(run())
    assert load(tmp_path).positions.journal == JournalPosition("c", 1)
    assert not any(said)


def test_a_place_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    Checkpoint(tmp_path / "file", Bench().engine, said.append).finish()
    assert "state directory" in said[0]
