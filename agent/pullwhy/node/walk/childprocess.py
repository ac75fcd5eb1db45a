"""One child process that walks: plans go to its standard input, traces come from its standard output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Final

from pullwhy.node.walk import pipe
from pullwhy.node.walk.pipe import BrokenFrame, PlanFrame, TraceFrame
from pullwhy.plan import WalkPlan
from pullwhy.trace import Trace

_KEPT_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "LD_LIBRARY_PATH")
"""What the interpreter may need to start, or to find what was compiled for it; the child forgets it before it serves."""


class ChildGone(Exception):
    """The child ended or answered nonsense; `innocent` where a walk may have no part in it and is worth another child."""

    def __init__(self, detail: str, *, innocent: bool = False) -> None:
        super().__init__(detail)
        self.innocent = innocent


class ChildProcess:
    """A started child with the walks that it owes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._owed: dict[int, asyncio.Future[Trace]] = {}
        self._why = ""
        self._reader = asyncio.create_task(self._read())
        self.walks = 0
        """Walks that it was given."""

    @classmethod
    async def start(cls, command: tuple[str, ...]) -> ChildProcess:
        """Start a child; raises OSError."""
        environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        pipes = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipes, stdout=pipes, env=environment))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return not self._reader.done() and not self._why

    @property
    def owes(self) -> bool:
        """Whether it has work."""
        return bool(self._owed)

    async def walk(self, number: int, plan: WalkPlan) -> Trace:
        """Have it walk `plan` under a number of its own; raises ChildGone."""
        self.walks += 1
        future: asyncio.Future[Trace] = asyncio.get_running_loop().create_future()
        self._owed[number] = future
        try:
            await self._send(PlanFrame(number, plan))
            return await future
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            self._owed.pop(number, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen, so that nobody complains about it

    def _give_up(self, number: int) -> None:
        """Tell it that nobody waits for this walk any more; where that cannot be told it ends by its own deadline."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing() and self.alive:
            stdin.write(pipe.encode(PlanFrame(number, None)))

    def kill(self, why: str) -> None:
        """End it at once; what it owes fails, for other walks innocently."""
        self._why = self._why or why
        self._kill()
        self._fail(ChildGone(why, innocent=True))

    def _kill(self) -> None:
        # Not Process.kill(): it reaps the child behind the back of asyncio's watcher, which then reports a made-up exit code.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def leave(self, grace: float) -> None:
        """Let it go: the end of its input tells it to; after `grace` seconds it is killed. Returns once it is reaped."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        done, _ = await asyncio.wait([self._reader], timeout=grace)
        if not done:
            self.kill("the walk's child did not leave")
            await asyncio.wait([self._reader])

    async def _send(self, frame: PlanFrame) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.is_closing() or not self.alive:
            raise await self._gone()
        try:
            stdin.write(pipe.encode(frame))
            await stdin.drain()
        except ConnectionError as error:
            raise await self._gone() from error

    async def _gone(self) -> ChildGone:
        """Return how it ended before it got anything to do, once it is reaped."""
        await asyncio.wait([self._reader])
        return ChildGone(self._why, innocent=True)

    async def _read(self) -> None:
        """Take answers until the child ends, and reap it; whatever it still owes fails."""
        try:
            while True:
                await self._take()
        except asyncio.IncompleteReadError:
            self._why = self._why or "the walk's child ended"
        except BrokenFrame as error:
            self._why = f"the walk's child answered with {error}"
        self._kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        code = await self._process.wait()
        # Alone it may have brought the child down itself; among others any of them may have.
        self._why = f"{self._why} (exit code {code})"
        self._fail(ChildGone(self._why, innocent=len(self._owed) > 1))

    async def _take(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            raise BrokenFrame("nothing")
        header = await stdout.readexactly(pipe.HEADER)
        body = await stdout.readexactly(pipe.length(header, pipe.MAX_TRACE))
        frame = pipe.decode(body, TraceFrame)
        future = self._owed.get(frame.id)
        if future is not None and not future.done():
            future.set_result(frame.trace)

    def _fail(self, error: ChildGone) -> None:
        for future in self._owed.values():
            if not future.done():
                future.set_exception(error)
