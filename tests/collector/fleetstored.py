"""Findings of a fleet as a store is told them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from collector.samples import NOW, Clock
from collector.stored import record

from pullwhy.collector.fleet import Probe, ProblemQuery, Purpose
from pullwhy.collector.problem import ProblemKey, problem_key
from pullwhy.collector.records import FindingRecord, NodeFacts, Speaker
from pullwhy.collector.store import SQLStore, open_store
from pullwhy.model import Finding

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def run(database: str, scenario: Callable[[SQLStore, Clock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = Clock()
        store = open_store(database, clock)
        try:
            await scenario(store, clock)
        finally:
            await store.close()

    asyncio.run(main())


def stated(sample: Finding, sequence: int, **changed: object) -> FindingRecord:
    """Return the record of a finding, as ingest makes it."""
    plain = record(
        1,
        sequence,
        id=sample.id,
        image=sample.image,
        repository=sample.image.rpartition(":")[0],
        cause=sample.diagnosis.cause,
        state=sample.state,
        first_seen=sample.first_seen,
        last_seen=sample.last_seen,
        pods=tuple((pod.namespace, pod.name) for pod in sample.pods),
        problem=problem_key(sample),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]  # names and types are the caller's business


async def report(store: SQLStore, *findings: Finding, sequence: int = 1) -> None:
    """Have each finding reported by its own node."""
    for each in findings:
        opened = await store.open_session(Speaker(each.cluster, each.node, "box"), NodeFacts())
        await store.write(opened, [stated(each, sequence)], sequence)


async def only(store: SQLStore) -> ProblemKey:
    (found,) = await store.problems(ProblemQuery(active=None))
    return found.key


def probe(number: int = 1, **changed: object) -> Probe:
    plain = Probe(f"p{number}", "", "registry.example/a:1", Purpose.PROBE, NOW, NOW + MINUTE, "alice")
    return replace(plain, **changed)  # type: ignore[arg-type]  # names and types are the caller's business
