"""A collector that is there for a whole module of tests, in a thread of its own."""

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collector.samples import NOW, collector, until

from pullwhy.config import ReportSettings
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import Finding
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter
from pullwhy.node.report.status import NodeStatus


class Served:
    """A running collector, with one connected agent for each node that `findings` are of."""

    def __init__(self, folder: Path, findings: Iterable[Finding], status: NodeStatus, **settings: Any) -> None:
        """`settings` are the collector's own, beside where it listens and stores."""
        self.address = self.url = ""
        self._settings = settings
        self._folder, self._findings, self._status = folder, tuple(findings), status
        self._outboxes: dict[str, Outbox] = {each.node: Outbox(None) for each in self._findings}
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def report(self, *findings: Finding) -> None:
        """Report more of the same nodes; returns when they are stored."""
        asyncio.run_coroutine_threadsafe(self._deliver(findings), self._loop).result(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with collector(self._folder, **self._settings) as running:
            settings = ReportSettings(address=running.grpc_address)
            reporters = [
                Reporter(outbox, settings, node=node, status=lambda: self._status)
                for node, outbox in self._outboxes.items()
            ]
            tasks = [asyncio.create_task(reporter.run()) for reporter in reporters]
            await self._deliver(self._findings)
            self.address, self.url = running.http_address, f"http://{running.http_address}"
            self._ready.set()
            await self._end.wait()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _deliver(self, findings: Iterable[Finding]) -> None:
        for each in findings:
            self._outboxes[each.node].append(each.id, encode(each), NOW)
        await until(lambda: not any(len(outbox) for outbox in self._outboxes.values()))
