"""Records and sessions for stores of either database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from collector.samples import NOW, encoded, finding

from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import FindingRecord, NodeFacts, Session, Speaker
from pullwhy.collector.store import SQLStore, open_store

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
