"""A fleet's findings behind real HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.samples import NOTHING_KNOWN, collector, encoded, fill, finding, get

from pullwhy.collector.fleet import Walk, WalkState
from pullwhy.collector.records import NodeFacts
from pullwhy.collector.store import SQLStore
from pullwhy.model import FailingPod, Finding, Outcome, Stage, TraceLine

MISSING = [
    finding(number, node=f"node-{number}", image="registry.example/shop/web:1.4", pods=(pod,))
    for number, pod in enumerate(
        [FailingPod("shop", f"web-{i}", "u", "main", owner="ReplicaSet/web") for i in range(3)], start=1
    )
]
Ask = Callable[..., Coroutine[Any, Any, tuple[int, Any, dict[str, str]]]]


@contextlib.asynccontextmanager
async def asking(
    tmp_path: Path, *findings: Finding, facts: NodeFacts = NOTHING_KNOWN
) -> AsyncIterator[tuple[Ask, SQLStore]]:
    """Run a collector that has these findings; yield how to ask it, and its store."""
    async with collector(tmp_path) as running:
        store = running._store
        assert store
        await fill(store, findings, facts)

        async def ask(
            path: str, method: str = "GET", body: Any = None, **headers: str
        ) -> tuple[int, Any, dict[str, str]]:
            return await asyncio.to_thread(get, running.http_address, path, headers, method, body)

        yield ask, store


def answer(state: WalkState, *stages: tuple[Stage, Outcome]) -> Walk:
    """Return a node's answer whose walk had these stages."""
    trace = tuple(TraceLine(stage, "t", outcome, 0.1, "", "anonymous") for stage, outcome in stages)
    return Walk(
        "node-1", state, datetime.now(UTC), document=encoded(1, node="node-1", trace=trace), walked_at=datetime.now(UTC)
    )
