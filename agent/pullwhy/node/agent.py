"""The node agent as a whole: sources, engine, outbox and reporter in one event loop, each task supervised."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pullwhy import __version__
from pullwhy.config import AgentSettings, ReportSettings
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import Finding
from pullwhy.node.checkpoint import Checkpoint
from pullwhy.node.engine import Engine
from pullwhy.node.feed import Feed, SourceUnreadable, log_sources
from pullwhy.node.http import ListenError, Server
from pullwhy.node.impairments import Impairments
from pullwhy.node.incidents.findings import Identity
from pullwhy.node.incidents.remarks import Remarks
from pullwhy.node.investigate.investigate import Investigator
from pullwhy.node.investigate.permits import Permits
from pullwhy.node.investigate.reproduce import Policy, Reproducer
from pullwhy.node.metrics import CONTENT_TYPE, Metrics
from pullwhy.node.observer import NodeObserver
from pullwhy.node.parts import Parts
from pullwhy.node.report.configuration import Configuration
from pullwhy.node.report.outbox import InUse, Outbox
from pullwhy.node.report.registries import NodeRegistries
from pullwhy.node.report.reporter import Reporter
from pullwhy.node.report.status import NodeStatus
from pullwhy.node.runtimelink import RuntimeLink
from pullwhy.node.state import load
from pullwhy.node.supervise import supervise
from pullwhy.node.walk.plan import Sources
from pullwhy.node.walk.pullsecrets import PullSecrets
from pullwhy.node.walk.walker import Walker
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.runtime.effective import RuntimeView

if TYPE_CHECKING:
    from pullwhy.node.report.walkrequests import WalkRequests

logger = logging.getLogger(__name__)

STUCK: Final = timedelta(minutes=5)
"""An engine that made no step for so long is stuck: /healthz says so, and the kubelet restarts the agent."""
MAX_REGISTRIES: Final = 64
"""Registries that a status tells (report.proto: NodeStatus)."""
_PLAIN: Final = "text/plain; charset=utf-8"


class Agent:
    """One node's agent; `run` ends by cancellation."""

    def __init__(
        self,
        settings: AgentSettings,
        outbox: Outbox,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        collector: str = "",
    ) -> None:
        """`collector` is the address of one in this process; it takes the place of the one in the settings."""
        self._settings, self._clock = settings, clock
        self.metrics, self.impairments = Metrics(), Impairments()
        self._sources = Sources(
            host_root=Path(settings.host_root),
            runtime_endpoint=settings.runtime_endpoint,
            runtime_config=settings.runtime_config,
            resolv_conf=settings.resolv_conf,
        )
        self._node = settings.node or os.uname().nodename
        self._link = RuntimeLink(self._sources)
        self._observer = NodeObserver(self._sources, self._link)
        self._walker = Walker()
        state = Path(settings.state_directory)
        self._outbox = outbox
        self._remarks = Remarks()
        self._secrets = PullSecrets(settings.pull_secrets, os.environ, self.impairments.set)
        self._investigator = self._make_investigator()
        self._engine = Engine(self._identity(), self._parts(), load(state))
        self._requests: WalkRequests | None = None
        self._configuration = Configuration(self._sources)
        self._registries = NodeRegistries(self._view, self._link.client, settings.walk_requests.registries)
        self._checkpoint = Checkpoint(state, self._engine, lambda text: self.impairments.set("state", text))
        self._feed = Feed(Path(settings.host_root), settings.watch, self._engine, self.impairments, self.metrics, clock)
        self._server = Server({"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics})
        self._reporter = self._make_reporter(collector)

    async def run(self) -> None:
        """Watch, investigate and report until cancelled. Raises ListenError."""
        if self._settings.http_listen:
            await self._server.start(self._settings.http_listen)
        try:
            await self._observer.survey()
            async with asyncio.TaskGroup() as group:
                for name, task in self._tasks():
                    group.create_task(supervise(name, task, self._failed, told=(SourceUnreadable,)), name=name)
        finally:
            await self._end()

    def _tasks(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        found = log_sources(Path(self._settings.host_root), self._settings.watch)
        for note in found.notes:
            logger.info("watching: %s", note)
        tasks: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("journal", lambda: self._feed.follow_journal(found)),
            ("check", lambda: self._feed.check(found)),
            ("engine", self._engine.run),
            ("state", self._checkpoint.run),
            ("status", self._watch_status),
        ]
        tasks += [(f"file {path}", partial(self._feed.follow_file, path)) for path in found.files]
        if self._reporter is not None:
            tasks.append(("reporter", self._reporter.run))
        return tasks

    async def _end(self) -> None:
        """Leave everything as the next start expects it."""
        await self._server.close()
        self._checkpoint.finish()
        self._outbox.close()
        await self._walker.close()
        await self._link.close()

    async def _watch_status(self) -> None:
        """Keep what is said about the agent itself up to date."""
        while True:
            self._outbox.retry_disk()
            self.impairments.set("outbox", " ".join(self._outbox.impairments))
            answers = self._link.answers if self._link.answers is not None else self._runtime_answers()
            self.impairments.set("runtime", "" if answers else self._runtime_trouble())
            await self._observer.keep_up()
            await self._registries.refresh()
            if self._reporter is not None:
                self._reporter.status_changed()
            await asyncio.sleep(15)

    def _runtime_answers(self) -> bool:
        return self._observer.node is not None and bool(self._observer.node.runtime_answers)

    def _runtime_trouble(self) -> str:
        socket = self._observer.node.view.socket if self._observer.node else ""
        where = f"on {socket}" if socket else "(no socket was found)"
        return f"the container runtime does not answer {where}: pods are not confirmed; name its socket in runtime_endpoint"

    def _tell(self, finding: Finding, now: datetime) -> None:
        self._outbox.append(finding.id, encode(finding), now)
        logger.info(
            "finding %s: %s %s of %s (%s)",
            finding.id, finding.state, finding.diagnosis.cause, finding.image[:300], finding.diagnosis.confidence,
        )  # fmt: skip

    def _failed(self, name: str) -> None:
        del name
        self.metrics.restarts.add()

    def _identity(self) -> Identity:
        settings = self._settings
        return Identity(self._node, settings.cluster, settings.zone, settings.pool, __version__)

    def _make_investigator(self) -> Investigator:
        client = self._link.client()
        return Investigator(
            self._sources,
            self._walker,
            self._clock,
            client=self._link.client,
            reproducer=Reproducer(client, self._clock) if client else None,
            policy=Policy(self._settings.reproduce),
            remarks=self._remarks,
            secrets=self._secrets,
        )

    def _parts(self) -> Parts:
        settings = self._settings
        return Parts(
            observer=self._observer,
            investigator=self._investigator,
            tell=self._tell,
            clock=self._clock,
            metrics=self.metrics,
            chance=random.Random(),  # noqa: S311 - spreads load, hides nothing
            walks=settings.walks,
            permits=Permits(self._ask_permit, self._node, self.metrics),
            remarks=self._remarks,
            apart=self._secrets.namespaces,
            hang_after=timedelta(seconds=settings.watch.hang_seconds),
            hang_after_blind=timedelta(seconds=settings.watch.hang_unseen_seconds),
        )

    async def _ask_permit(self, question: pb.PermitRequest, within: float) -> pb.Permit | None:
        return await self._reporter.permit(question, within) if self._reporter is not None else None

    def _make_reporter(self, collector: str) -> Reporter | None:
        report = ReportSettings(address=collector) if collector else self._settings.report
        if not report.address:
            return None
        reporter = Reporter(
            self._outbox,
            report,
            node=self._node,
            cluster=self._settings.cluster,
            status=self._status,
            requests=self._walk_requests if self._settings.walk_requests.enabled else None,
        )
        self.impairments.listener = reporter.status_changed
        return reporter

    def _walk_requests(self) -> WalkRequests:
        from pullwhy.node.report import walkrequests  # noqa: PLC0415 - most agents are never asked, and none at its start

        if self._requests is None:
            parts = walkrequests.Parts(
                looks=self._investigator,
                own=self._engine.investigations,
                fails=self._engine.fails,
                registries=self._registries,
                identity=self._identity(),
                clock=self._clock,
                metrics=self.metrics,
            )
            self._requests = walkrequests.WalkRequests(parts)
        return self._requests

    def _view(self) -> RuntimeView | None:
        return self._observer.node.view if self._observer.node else None

    def _status(self) -> NodeStatus:
        node = self._observer.node
        view = node.view if node is not None and node.runtime_seen else None
        return NodeStatus(
            zone=self._settings.zone,
            pool=self._settings.pool,
            runtime_name=view.name if view else "",
            runtime_version=str(view.version) if view and view.version.known else "",
            kubelet_version=node.kubelet_version if node else "",
            architecture=os.uname().machine,
            active_findings=self._engine.active,
            impairments=self.impairments.lines,
            abilities=("walk", "permit") if self._settings.walk_requests.enabled else ("permit",),
            labels=self._settings.labels,
            configuration=self._facts(),
            registries=tuple(sorted(self._registries.held[:MAX_REGISTRIES])),
        )

    def _facts(self) -> Mapping[str, str]:
        node, observer = self._observer.node, self._observer
        if node is None:
            return {}
        return self._configuration.facts(node, observer.fingerprint(), self._engine.registries, self._registries.held)

    def _healthz(self) -> tuple[int, str, str]:
        behind = self._clock() - self._engine.stepped
        return (503, _PLAIN, f"no step for {behind}\n") if behind > STUCK else (200, _PLAIN, "ok\n")

    def _readyz(self) -> tuple[int, str, str]:
        lines = [] if self._feed.caught_up else ["the journal is not read up to its end yet", *self.impairments.lines]
        # It works on in memory, so that /healthz is well; but a restart would lose what waits, and a rollout is to stop here.
        lines += [line for line in (*self._outbox.impairments, self.impairments.of("state")) if line not in lines]
        lines = [line for line in lines if line]
        return (503, _PLAIN, "".join(f"{line}\n" for line in lines)) if lines else (200, _PLAIN, "ok\n")

    def _metrics(self) -> tuple[int, str, str]:
        metrics, reporter = self.metrics, self._reporter
        metrics.outbox.set(len(self._outbox))
        metrics.outbox_dropped.set(self._outbox.dropped)
        metrics.impairments.set(len(self.impairments.lines))
        if reporter is not None:
            metrics.connected.set(reporter.connected)
            metrics.acknowledged.set(reporter.acknowledged)
            metrics.refused.set(reporter.refused)
        if certificate := self._settings.report.certificate:
            metrics.look_at_certificate(certificate)
        return 200, CONTENT_TYPE, metrics.text()


async def serve(settings: AgentSettings, outbox: Outbox, collector: str = "") -> None:
    """Run an agent until SIGTERM or SIGINT. Raises ListenError."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(Agent(settings, outbox, collector=collector).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        logger.info("agent: stopped")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)


__all__ = ["Agent", "InUse", "ListenError", "Outbox", "serve"]
