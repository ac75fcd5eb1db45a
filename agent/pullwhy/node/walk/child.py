"""The child that walks: plans come in on standard input, traces go out on standard output."""

from __future__ import annotations

import asyncio
import contextlib
import encodings.ascii
import encodings.idna
import os
import sys
from datetime import datetime
from typing import Final

# Named here so that they are loaded before the process is confined: their libraries would load them when first needed.
import cryptography.hazmat.backends.openssl.backend
import cryptography.hazmat.bindings._rust
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.OPT
import dns.rdtypes.ANY.SOA
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.update

from pullwhy.model import Outcome, Stage
from pullwhy.node.walk import pipe
from pullwhy.node.walk.confine import NotConfined, confine
from pullwhy.node.walk.pipe import BrokenFrame, PlanFrame, TraceFrame
from pullwhy.plan import WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import RealNetwork
from pullwhy.probe.record import describe
from pullwhy.probe.trust import Contexts
from pullwhy.probe.walk import walk
from pullwhy.trace import StageResult, Trace

EX_NOT_CONFINED: Final = 70
"""Exit code where the child refuses to serve (EX_SOFTWARE, sysexits.h)."""

_LOADED: Final = (
    cryptography.hazmat.backends.openssl.backend,  # asked for when the first signature is verified
    datetime.strptime("1970", "%Y"),  # noqa: DTZ007 - loads what reads dates
    cryptography.hazmat.bindings._rust,  # noqa: SLF001 - named so that it stays loaded early
    dns.rdtypes.ANY.CNAME,
    dns.rdtypes.ANY.OPT,
    dns.rdtypes.ANY.SOA,
    dns.rdtypes.IN.A,
    dns.rdtypes.IN.AAAA,
    dns.update,
    encodings.ascii,
    encodings.idna,
)


class _Server:
    """Serves plans until the input ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._contexts = Contexts()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Take plans, several at once if they come so; the parent says how many."""
        try:
            while True:
                header = await self._reader.readexactly(pipe.HEADER)
                body = await self._reader.readexactly(pipe.length(header, pipe.MAX_PLAN))
                self._take(pipe.decode(body, PlanFrame))
        except (asyncio.IncompleteReadError, BrokenFrame, ConnectionError):
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, frame: PlanFrame) -> None:
        if frame.plan is None:
            if frame.id in self._tasks:
                self._tasks[frame.id].cancel()
            return
        self._tasks[frame.id] = asyncio.create_task(self._walk(frame.id, frame.plan))
        self._tasks[frame.id].add_done_callback(lambda _: self._tasks.pop(frame.id, None))

    async def _walk(self, number: int, plan: WalkPlan) -> None:
        try:
            trace = await walk(plan, RealNetwork(), SystemClock(), self._contexts)
        except Exception as error:  # noqa: BLE001 - the parent waits for an answer, whatever happened here
            failed = StageResult(Stage.REFERENCE, "the walk", Outcome.ERROR, detail=describe(error))
            trace = Trace((failed,), complete=False)
        with contextlib.suppress(ConnectionError):  # nobody waits any more
            self._writer.write(pipe.encode(TraceFrame(number, trace)))
            await self._writer.drain()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=pipe.MAX_PLAN)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    try:
        await _Server(reader, writer).serve()
    finally:
        writer.close()


def main(parent: int) -> int:
    """Confine this process and serve; `parent` is the process that started it."""
    try:
        confine(parent)
    except NotConfined as error:
        os.write(2, f"pullwhy: the walk's child does not serve: {error}\n".encode())
        return EX_NOT_CONFINED
    asyncio.run(_serve())
    return 0
