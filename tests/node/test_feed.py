import asyncio
import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from node.bench import Bench
from node.fakes import START, sync_error
from watch.journals import EPOCH, host, write_journal

from pullwhy.config import WatchSettings
from pullwhy.node.feed import Feed, SourceUnreadable, kubelet_silence, log_sources
from pullwhy.node.impairments import Impairments
from pullwhy.watch.units import LogSources

NOW = datetime.fromtimestamp(EPOCH / 1_000_000, UTC) + timedelta(seconds=10)
KUBELET = LogSources(kubelet_units=("kubelet.service",))


def feed(root: Path, bench: Bench, settings: WatchSettings = WatchSettings()) -> Feed:  # noqa: B008 - it is frozen
    return Feed(root, settings, bench.engine, Impairments(), bench.metrics, lambda: NOW)


async def follow(fed: Feed, sources: LogSources) -> None:
    task = asyncio.create_task(fed.follow_journal(sources))
    async with asyncio.timeout(5):
        while not fed.caught_up:  # noqa: ASYNC110 - it is told by no event
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])


def test_positions_move_with_the_lines(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(5))
    bench = Bench()
    asyncio.run(follow(feed(tmp_path, bench), KUBELET))
    position = bench.engine.positions.journal
    assert position
    assert position.realtime == EPOCH + 4_000_000


def test_a_gap_is_counted_and_said(tmp_path: Path) -> None:
    directory = host(tmp_path)
    write_journal(directory / "old.journal", range(2))
    bench = Bench()
    asyncio.run(follow(feed(tmp_path, bench), KUBELET))
    (directory / "old.journal").unlink()
    write_journal(directory / "system.journal", range(5, 6))
    fed = feed(tmp_path, bench)
    asyncio.run(follow(fed, KUBELET))
    assert bench.metrics.gaps.get() == 1
    assert "vacuumed" in fed.impairments.lines[0]


def test_a_machine_without_a_journal_is_caught_up_with(tmp_path: Path) -> None:
    fed = feed(tmp_path, Bench(), WatchSettings(files=("/var/log/kubelet.log",)))
    asyncio.run(follow(fed, log_sources(tmp_path, fed.settings)))
    assert fed.impairments.lines == ()


def test_a_journal_that_holds_nothing_new_is_caught_up_with(tmp_path: Path) -> None:
    write_journal(host(tmp_path) / "system.journal", range(5))
    bench = Bench()
    for _ in ("first start", "second start"):
        asyncio.run(follow(feed(tmp_path, bench), KUBELET))


@pytest.mark.parametrize(
    ("sources", "ready"), [(LogSources(runtime_units=("containerd.service",)), True), (KUBELET, False)]
)
def test_an_unreadable_journal_holds_readiness_only_where_the_kubelet_logs_to_it(
    tmp_path: Path, sources: LogSources, ready: bool
) -> None:
    fed = feed(tmp_path / "absent", Bench())
    with pytest.raises(SourceUnreadable):
        asyncio.run(fed.follow_journal(sources))
    assert fed.caught_up is ready
    assert "absent" in fed.impairments.lines[0]


def test_an_unreadable_journal_is_one_line_and_an_error_to_the_supervisor(tmp_path: Path) -> None:
    fed = feed(tmp_path / "absent", Bench())
    with pytest.raises(SourceUnreadable):
        asyncio.run(fed.follow_journal(KUBELET))
    assert "absent" in fed.impairments.lines[0]


def test_the_settings_name_the_sources(tmp_path: Path) -> None:
    settings = WatchSettings(units=("my.service",), files=("/var/log/kubelet.log",))
    sources = log_sources(tmp_path, settings)
    assert sources.kubelet_units == ("my.service",)
    assert sources.files == (tmp_path / "var/log/kubelet.log",)
    assert "containerd.service" in sources.units


@pytest.mark.parametrize(
    ("lines", "later", "words"),
    [
        (range(5), 60, ()),
        (range(5), 3600, ("newest", "2026-11-22", "watch.units")),
        (range(0), 60, ("no journal entry", "kubelet.service", "mount", "root")),
    ],
)
def test_a_kubelet_whose_log_is_not_seen_is_no_healthy_one(
    tmp_path: Path, lines: range, later: float, words: tuple[str, ...]
) -> None:
    write_journal(host(tmp_path) / "system.journal", lines)
    said = kubelet_silence(tmp_path, KUBELET, NOW + timedelta(seconds=later))
    assert bool(said) is bool(words)
    assert all(word in said for word in words)


def test_a_missing_log_file_is_named(tmp_path: Path) -> None:
    sources = LogSources(kubelet_files=(tmp_path / "kubelet.log",))
    assert "kubelet.log" in kubelet_silence(tmp_path, sources, NOW)
    (tmp_path / "kubelet.log").touch()
    assert not kubelet_silence(tmp_path, sources, NOW)


@pytest.mark.parametrize(("seconds", "seen"), [(600.0, 1), (60.0, 0), (0.0, 0)])
def test_a_log_file_is_looked_back_into_as_far_as_the_journal(tmp_path: Path, seconds: float, seen: int) -> None:
    path, bench = tmp_path / "kubelet.log", Bench()
    # The line tells 08:00:00, and so does the one after it five minutes later, with which the file ends.
    text = sync_error(0, "x: not found").text
    path.write_text(f'{text}\n{text[:5]} 08:05:00{text[14:21]}    1201 a.go:1] "well"\n')
    now = START + timedelta(minutes=5)
    os.utime(path, (now.timestamp(), now.timestamp()))
    fed = feed(tmp_path, bench, WatchSettings(lookback_seconds=seconds))
    fed.clock = lambda: now

    async def follow() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await fed.follow_file(path)

    asyncio.run(follow())
    assert [each.first_seen for each in bench.engine.kept().incidents] == [START] * seen
