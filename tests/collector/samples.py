"""Findings, reports and running collectors for the tests of both sides of the wire."""

import asyncio
import contextlib
import http.client
import inspect
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pullwhy.collector.intake import ingest
from pullwhy.collector.records import NodeFacts, Speaker
from pullwhy.collector.service import Collector
from pullwhy.collector.settings import CollectorSettings
from pullwhy.collector.store import SQLStore
from pullwhy.collector.store.sqlite import SQLiteDatabase
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import (
    Answer,
    CauseId,
    Confidence,
    Diagnosis,
    FailingPod,
    Finding,
    RemedyRef,
    Retryable,
    Stage,
    State,
)
from pullwhy.pb.v1 import report_pb2 as pb

NOW = datetime(2025, 11, 22, 12, 0, tzinfo=UTC)
NOTHING_KNOWN = NodeFacts()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def finding(
    number: int = 1, *, node: str = "node-a", cause: CauseId = CauseId.TAG_NOT_FOUND, **changed: Any
) -> Finding:
    """Return a finding of its own id for each number."""
    diagnosis = Diagnosis(
        cause,
        Stage.MANIFEST,
        Confidence.PROVED,
        Retryable(Answer.NO, "the tag stays absent"),
        "the registry has no such tag",
        RemedyRef("right-tag", {"image": "registry.example/shop/web"}),
    )
    plain = Finding(
        id=f"{number:016x}",
        node=node,
        image=f"registry.example/shop/web{number}:1.4",
        registry="registry.example",
        diagnosis=diagnosis,
        first_seen=NOW - timedelta(hours=1),
        last_seen=NOW - timedelta(minutes=number % 50),
        pods=(FailingPod("shop", f"web-{number}", "uid", "main"),),
    )
    return replace(plain, **changed)


def recovered(number: int = 1, **changed: Any) -> Finding:
    return finding(number, state=State.RECOVERED, resolved_at=NOW, **changed)


def encoded(number: int = 1, **changed: Any) -> bytes:
    return encode(finding(number, **changed))


@contextlib.asynccontextmanager
async def collector(tmp_path: Path, **settings: Any) -> AsyncIterator[Collector]:
    """Run a collector on free loopback ports."""
    defaults = {"grpc_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", "database": str(tmp_path / "collector.db")}
    running = Collector(CollectorSettings(**(defaults | settings)))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def fill(store: SQLStore, findings: Iterable[Finding], facts: NodeFacts = NOTHING_KNOWN) -> None:
    """Store findings as if their nodes' agents had reported them."""
    by_node: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        by_node.setdefault((each.cluster, each.node), []).append(each)
    for (cluster, node), theirs in by_node.items():
        session = await store.open_session(Speaker(cluster, node, "outbox", "0.1.0"), facts)
        reports = [
            pb.Report(sequence=session.acknowledged + number, finding_id=each.id, document=encode(each))
            for number, each in enumerate(theirs, 1)
        ]
        records = [ingest.record(report, session.speaker) for report in reports]
        await store.write(session, records, records[-1].sequence)


async def heard_of_the_past(store: SQLStore) -> None:
    """Wait until a new store was told, where its database is shared, that everything may have changed before: it is once."""
    if not isinstance(store._database, SQLiteDatabase):
        await until(lambda: store.version)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `condition`, which may be a coroutine function, is true; TimeoutError where it does not come true."""
    async with asyncio.timeout(seconds):
        while not (await met if inspect.isawaitable(met := condition()) else met):  # noqa: ASYNC110 - whatever it is
            await asyncio.sleep(0.005)


def get(
    address: str, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: Any = None
) -> tuple[int, Any, dict[str, str]]:
    """Ask over real HTTP; return status, decoded JSON (or text) and headers. Blocks: call it in a thread."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"content-type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        body = response.read()
        kind = response.headers.get("content-type", "")
        value = json.loads(body) if kind == "application/json" and body else body.decode()
        return response.status, value, dict(response.headers)
    finally:
        connection.close()


def writing(store: SQLStore) -> sqlite3.Connection:
    """Return the connection with which a store in SQLite writes."""
    assert isinstance(store._database, SQLiteDatabase)
    return store._database._writing
