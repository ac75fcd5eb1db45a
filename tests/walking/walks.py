"""Walks to made-up registries, and what they came to."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from pullwhy.image import parse
from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Endpoint, WalkPlan
from pullwhy.trace import Trace
from walking.plans import plan_for, walked
from walking.server import Server
from walking.shop import Shop


def shop(*layers: bytes) -> Shop:
    made = Shop()
    made.image("team/app", "1", layers=layers or (b"layer",))
    return made


def over(servers: list[Server], make: Callable[..., WalkPlan]) -> Trace:
    """Start servers, make a plan of their ports, and walk it."""

    async def go() -> Trace:
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            return await walked(make(*(server.port for server in servers)))

    return asyncio.run(go())


def outcome(trace: Trace, stage: Stage, via: Via | None = None) -> list[Outcome]:
    return [result.outcome for result in trace.results if result.stage is stage and result.via is via]


def two(first: Endpoint, second: Endpoint, image: str = "registry.test/team/app:1") -> WalkPlan:
    return replace(plan_for(1), image=parse(image), endpoints=(first, second))


def mirror(port: int, **changes: object) -> Endpoint:
    return replace(Endpoint("http", "mirror.test", port, is_mirror=True), **changes)  # type: ignore[arg-type]


def upstream(port: int) -> Endpoint:
    return Endpoint("http", "registry.test", port)
