"""Has walks made by a child process that is started on demand, confined, and gone when idle."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from types import TracebackType
from typing import Final, Self

from pullwhy.model import Outcome, Stage
from pullwhy.node.walk.childprocess import ChildGone, ChildProcess
from pullwhy.plan import WalkPlan
from pullwhy.trace import StageResult, Trace

IDLE_SECONDS: Final = 30.0
"""How long a child without work is kept."""
GRACE: Final = 5.0
"""Seconds beyond a plan's own deadline until the child is killed: it should have answered by itself."""
MAX_AT_ONCE: Final = 3
"""Walks at one time; others wait for their turn before their time begins to count."""
MAX_WALKS: Final = 500
"""Walks of one child: its CPU limit is for its whole life."""


class Walker:
    """Walks plans in a child process; for use from one event loop, as a context manager or with `close`."""

    def __init__(
        self, *, idle_seconds: float = IDLE_SECONDS, grace: float = GRACE, command: tuple[str, ...] | None = None
    ) -> None:
        self._idle_seconds = idle_seconds
        self._grace = grace
        self._command = command or (sys.executable, "-P", "-m", "pullwhy.node.walk.walker", str(os.getpid()))
        self._child: ChildProcess | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._idle: asyncio.TimerHandle | None = None
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none."""
        return self._child.pid if self._child is not None and self._child.alive else None

    async def walk(self, plan: WalkPlan) -> Trace:
        """Walk `plan` and return its trace; a fault of the child or of this side is an Error result in it, never raised."""
        async with self._places:
            try:
                return await self._walk(plan)
            except ChildGone as error:
                return _fault(str(error))
            except OSError as error:
                return _fault(f"the walk's child cannot be started: {error.strerror or type(error).__name__}")

    async def close(self) -> None:
        """End the child and wait until it is reaped."""
        if self._idle is not None:
            self._idle.cancel()
        self._retire()
        await asyncio.gather(*self._leaving)

    async def _walk(self, plan: WalkPlan) -> Trace:
        within = plan.timeouts.overall + self._grace
        for again in (True, False):
            child = await self._ready()
            try:
                async with asyncio.timeout(within):
                    return await child.walk(next(self._ids), plan)
            except TimeoutError:
                child.kill("another walk did not end")
                return _fault(f"the walk's child did not answer within {within:.0f} s and was killed")
            except ChildGone as error:
                if not again or not error.innocent:
                    raise
            finally:
                self._rest(child)
        raise ChildGone("the walk's child is gone")

    async def _ready(self) -> ChildProcess:
        """Return a child that serves, a new one where there is none."""
        async with self._starting:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            child = self._child
            if child is not None and (not child.alive or (child.walks >= MAX_WALKS and not child.owes)):
                self._retire()
                child = None
            if child is None:
                child = self._child = await ChildProcess.start(self._command)
            return child

    def _rest(self, child: ChildProcess) -> None:
        """Let an idle child go after a while."""
        if child is self._child and not child.owes:
            if self._idle is not None:
                self._idle.cancel()
            self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._retire)

    def _retire(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            task = asyncio.get_running_loop().create_task(child.leave(self._grace))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


def _fault(detail: str) -> Trace:
    """Return a trace that says that pullwhy failed, and nothing about the path."""
    result = StageResult(Stage.REFERENCE, "the walk", Outcome.ERROR, detail=f"a fault of pullwhy: {detail}")
    return Trace((result,), complete=False)


if __name__ == "__main__":
    from pullwhy.node.walk.child import main

    sys.exit(main(int(sys.argv[1])))
