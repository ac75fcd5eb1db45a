"""Server-sent events: told soon after a change, together, never piled up, and ended cleanly."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from collector.samples import collector, fill, finding, get, until

from pullwhy.collector.api import events
from pullwhy.collector.api.events import TOPICS, EventStream, TooManyWatchers, Watchers
from pullwhy.collector.fleet import Change
from pullwhy.collector.service import Collector

AT = datetime(2026, 1, 1, tzinfo=UTC)
ALL = tuple(TOPICS)


def watchers(heartbeat: float = 15.0) -> Watchers:
    return Watchers(lambda: '"tag"', lambda: AT, heartbeat)


async def started(stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    assert await anext(stream) == b"retry: 2000\n\n"
    return stream


def test_changes_that_were_not_taken_yet_are_one_event_for_each_topic() -> None:
    async def scenario() -> None:
        watched = watchers()
        stream = await started(watched.watch(["problems", "probes"], ""))
        for _ in range(1000):
            watched.tell(Change.PROBLEMS | Change.FINDINGS)
        watched.tell(Change.WALKS)
        told = (await anext(stream)).decode()
        data = '{"changed":"problems","at":"2026-01-01T00:00:00.000Z"}'
        assert told.startswith(f'event: problems\nid: "tag"\ndata: {data}\n\nevent: probes\n')
        assert told.count("event:") == 2
        watched.tell(Change.FINDINGS | Change.NODES)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        watched.tell(Change.PROBLEMS)
        assert b"event: problems" in await waiting

    asyncio.run(scenario())


def test_silence_on_the_stream_is_broken_by_comments() -> None:
    async def scenario() -> None:
        stream = await started(watchers(heartbeat=0.01).watch(ALL, ""))
        assert [await anext(stream) for _ in range(2)] == [b": still here\n\n"] * 2

    asyncio.run(scenario())


@pytest.mark.parametrize(("last", "told"), [('"tag"', False), ("", False), ('"earlier"', True), ("\x00", True)])
def test_who_comes_back_is_told_what_it_may_have_missed(last: str, told: bool) -> None:
    async def scenario() -> None:
        stream = await started(watchers(heartbeat=0.01).watch(ALL, last))
        assert ((await anext(stream)).count(b"event:") == len(ALL)) is told

    asyncio.run(scenario())


def test_watchers_are_bounded_and_a_place_becomes_free_when_one_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        watched = watchers()
        streams = [await started(watched.watch(ALL, "")) for _ in range(2)]
        with pytest.raises(TooManyWatchers):
            watched.watch(ALL, "")
        await streams[0].aclose()
        assert len(watched) == 1
        await started(watched.watch(ALL, ""))

    monkeypatch.setattr(events, "MOST_WATCHERS", 2)
    asyncio.run(scenario())


def test_a_watcher_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        watched = watchers()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                await asyncio.sleep(60)

        async with asyncio.timeout(5):
            await EventStream(watched.watch(ALL, "")).stream_response(send)
        assert len(watched) == 0

    monkeypatch.setattr(events, "SLOW_SECONDS", 0.05)
    asyncio.run(scenario())


def read_event(address: str, path: str = "/api/v1/events", until_text: bytes = b"event: problems") -> bytes:
    host, port = address.split(":")
    seen = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while until_text not in seen:
            data = connection.recv(65_536)
            if not data:
                break
            seen += data
    return seen


async def watched_by(running: Collector, count: int) -> bool:
    _, metrics, _ = await asyncio.to_thread(get, running.http_address, "/metrics")
    return f"\npullwhy_collector_watchers {count}.0\n" in metrics


def test_a_finding_that_arrives_is_told_over_http(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running:
            store = running._store
            assert store
            reading = asyncio.create_task(asyncio.to_thread(read_event, running.http_address))
            while not reading.done():
                await fill(store, [finding(1)])
                await asyncio.sleep(0.1)
            seen = (await reading).decode()
            assert "content-type: text/event-stream" in seen
            assert 'event: findings\nid: "' in seen
            line = next(line for line in seen.splitlines() if line.startswith("data: "))
            assert json.loads(line.removeprefix("data: "))["changed"] == "findings"

            await until(lambda: watched_by(running, 0))

    asyncio.run(scenario())


def test_a_collector_that_stops_ends_the_streams(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running:
            reading = asyncio.create_task(
                asyncio.to_thread(read_event, running.http_address, until_text=b"never on this stream")
            )
            await until(lambda: watched_by(running, 1))
        async with asyncio.timeout(5):
            assert (await reading).endswith(b"0\r\n\r\n")

    asyncio.run(scenario())


def test_only_known_topics_are_watched(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with collector(tmp_path) as running:
            for query, told in (("topics=pods", "known: findings, problems"), ("topics=nodes,", "topics: ''")):
                status, answer, _ = await asyncio.to_thread(get, running.http_address, f"/api/v1/events?{query}")
                assert (status, told in answer["error"]) == (400, True)

    asyncio.run(scenario())
