"""An engine with a clock, a runtime and an investigator of the tests' own."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from node.fakes import WEB, FakeClock, FakeInvestigator, FakeObserver, pods, sync_error, until

from pullwhy.model import Finding
from pullwhy.node.engine import Engine
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.incidents.remarks import Remarks
from pullwhy.node.metrics import Metrics
from pullwhy.node.parts import Parts
from pullwhy.node.state import Kept

NOT_FOUND = "failed to resolve image: registry.example/shop/web:1: not found"


class Bench:
    """An engine with stand-ins around it."""

    def __init__(
        self,
        kept: Kept = Kept(),  # noqa: B008 - it is frozen
        seconds: float = 0,
        apart: frozenset[str] = frozenset(),
    ) -> None:
        self.clock = FakeClock()
        self.observer = FakeObserver(WEB, *pods("a", "b", "c"))
        self.investigator = FakeInvestigator(self.clock, seconds)
        self.told: list[Finding] = []
        self.metrics = Metrics()
        self.remarks = Remarks()
        parts = Parts(
            observer=self.observer,
            investigator=self.investigator,
            tell=self._tell,
            clock=self.clock,
            metrics=self.metrics,
            chance=random.Random(1),
            remarks=self.remarks,
            apart=apart,
            hang_after=timedelta(seconds=300),
        )
        self.engine = Engine(Identity("node-a"), parts, kept)

    def _tell(self, finding: Finding, now: datetime) -> None:
        assert now == self.clock.now
        self.told.append(finding)

    async def settle(self) -> None:
        """Make steps, as `run` would, until nothing is under way."""
        for _ in range(3):
            await self.engine.step()
            while self.engine._tasks:
                await until(lambda: self.engine._wake.is_set() or not self.engine._tasks)
                self.engine._wake.clear()
                await self.engine.step()

    def states(self) -> list[tuple[str, str]]:
        return [(finding.diagnosis.cause.value, finding.state.value) for finding in self.told]


def run(scenario: Callable[[Bench], Awaitable[None]], bench: Bench | None = None) -> Bench:
    used = bench or Bench()

    async def go() -> None:
        await scenario(used)
        await used.engine._give_up()

    asyncio.run(go())
    return used


async def one_failure(bench: Bench) -> None:
    bench.engine.take([sync_error(0, NOT_FOUND)])
    await bench.settle()
