"""Which nodes a probe means is found without reading the whole fleet where some are named, and page by page where all are."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from collector.samples import NOW

from pullwhy.collector.api import asked
from pullwhy.collector.api.asked import whom
from pullwhy.collector.api.contract import ProbeRequest
from pullwhy.collector.records import NodeFacts, Speaker
from pullwhy.collector.store import open_store


def test_named_nodes_are_looked_up_and_all_are_read_in_pages(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "PAGE", 2)

    async def scenario() -> None:
        store, read = open_store(database, lambda: NOW), []
        for number in range(5):
            await store.open_session(Speaker("", f"node-{number}", "box"), NodeFacts(abilities=("walk",)))

        async def nodes(*which: Any) -> Any:
            read.append(len(page := await store.nodes(*which)))
            return page

        backend: Any = SimpleNamespace(store=SimpleNamespace(nodes=nodes), clock=lambda: NOW, connected=set)
        assert (await whom(backend, ProbeRequest("a:1", ["node-3", "node-1", "node-3"]))).able == ["node-3", "node-1"]
        assert read == [1, 1]
        read.clear()
        assert (await whom(backend, ProbeRequest("a:1", "all"))).able == [f"node-{number}" for number in range(5)]
        assert read == [2, 2, 1]
        await store.close()

    asyncio.run(scenario())
