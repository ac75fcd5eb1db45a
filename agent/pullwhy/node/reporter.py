"""The reporter: carries the outbox to the collector over one stream, and starts again, patiently, whenever that breaks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import Message

from pullwhy import __version__
from pullwhy.config import ReportSettings
from pullwhy.model import SCHEMA
from pullwhy.node.outbox import Outbox
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_BATCH, MAX_BATCH_BYTES, METHOD, agent_options
from pullwhy.text import printable

logger = logging.getLogger(__name__)

HELLO_SECONDS: Final = 20.0
"""From dialling to Welcome. A collector that restarts has thousands of agents to greet."""
ACKNOWLEDGE_SECONDS: Final = 60.0
"""From a batch to its acknowledgement; after that another connection is worth a try."""
FIRST_RETRY_SECONDS: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 60.0
"""Bound of the random pause. 15,000 agents need about 16 CPU seconds of a collector to reconnect over mTLS, so they come spread out."""
LASTING_SECONDS: Final = 30.0
"""A connection that lasted this long was a good one: the next pause is short again."""
LOSSES_LOGGED: Final = 5
"""Different reasons for which the collector is out of reach that are logged during one outage."""
REFUSALS_LOGGED: Final = 100
"""Different reasons of refusal that are logged, each once."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What the collector shows of a node besides its findings (report.proto: NodeStatus)."""

    zone: str = ""
    pool: str = ""
    runtime_name: str = ""
    runtime_version: str = ""
    kubelet_version: str = ""
    architecture: str = ""
    active_findings: int = 0
    impairments: tuple[str, ...] = ()


class Lost(Exception):
    """The stream ended; says why."""


Stream = grpc.aio.StreamStreamCall[Message, pb.CollectorMessage]


class Reporter:
    """Delivers the outbox at least once: what is not acknowledged is sent again. `run` ends only when it is cancelled."""

    def __init__(
        self,
        outbox: Outbox,
        settings: ReportSettings,
        *,
        node: str,
        cluster: str = "",
        status: Callable[[], NodeStatus] = NodeStatus,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
        hello_seconds: float = HELLO_SECONDS,
        acknowledge_seconds: float = ACKNOWLEDGE_SECONDS,
    ) -> None:
        self.connected = False
        self.connections = 0
        """Streams that were welcomed, since the start."""
        self.acknowledged = 0
        """Reports acknowledged, since the start."""
        self.refused = 0
        """Reports that the collector refused for good, since the start."""
        self._outbox, self._settings, self._node, self._cluster = outbox, settings, node, cluster
        self._status, self._clock, self._sleep = status, clock, sleep
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._hello_patience, self._patience = hello_seconds, acknowledge_seconds
        self._due = 0.0
        self._wake = asyncio.Event()
        self._reasons: set[str] = set()
        self._sent = self._count_sent = 0
        self._status_sent = pb.NodeStatus()
        self._losses: set[str] = set()
        outbox.listener = self._wake.set

    def status_changed(self) -> None:
        """Send the node's status soon, if it differs from what was sent last."""
        self._wake.set()

    async def run(self) -> None:
        """Keep a stream to the collector until cancelled."""
        attempt = 0
        while True:
            began = self._clock()
            try:
                await self._connect()
            except Lost as lost:
                self._say_lost(str(lost))
            finally:
                self.connected = False
            attempt = 0 if self._clock() - began >= LASTING_SECONDS else attempt + 1
            await self._sleep(pause(attempt, self._chance))

    def _say_lost(self, why: str) -> None:
        # An outage is a line at its begin and one at its end, not one per attempt.
        if why not in self._losses and len(self._losses) < LOSSES_LOGGED:
            logger.warning(
                "collector %s: %s; %d findings wait, trying again", self._settings.address, why, len(self._outbox)
            )
        self._losses.add(why)

    async def _connect(self) -> None:
        """Run one stream to its end, and raise Lost with the reason."""
        try:
            channel = _channel(self._settings)
        except OSError as error:
            raise Lost(f"{error.filename}: {error.strerror}: give the agent a file that it can read") from error
        try:
            async with channel:
                stream = channel.stream_stream(
                    METHOD,
                    request_serializer=pb.AgentMessage.SerializeToString,
                    response_deserializer=pb.CollectorMessage.FromString,
                )()
                try:
                    await self._converse(stream)
                except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
                    # What a write to a stream that ended meanwhile raises does not say why it ended.
                    stream.cancel()
                    raise Lost(_told(await stream.code(), await stream.details())) from error
        except grpc.aio.AioRpcError as error:
            raise Lost(_told(error.code(), error.details())) from error

    async def _converse(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(self._hello_patience):
                batch_size, batch_bytes = await self._greet(stream)
        except TimeoutError as error:
            raise Lost(f"no answer within {self._hello_patience:.0f} s") from error
        self.connected, self._sent, self._count_sent = True, 0, 0
        self._losses.clear()
        self.connections += 1
        logger.info("collector %s: connected; %d findings wait", self._settings.address, len(self._outbox))
        reading = asyncio.create_task(self._read(stream))
        try:
            while not reading.done():
                self._wake.clear()
                if not self._sent:
                    await self._send(stream, batch_size, batch_bytes)
                async with asyncio.timeout_at(self._due if self._sent else None):
                    await self._wake.wait()
            await reading
        except TimeoutError as error:
            raise Lost(f"a batch was not acknowledged within {self._patience:.0f} s") from error
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    async def _greet(self, stream: Stream) -> tuple[int, int]:
        """Say hello, take the welcome; return how much a batch may hold: reports, bytes."""
        self._status_sent = self._status_now()
        hello = pb.Hello(
            node=self._node,
            cluster=self._cluster,
            agent_version=__version__,
            schema=SCHEMA,
            outbox_id=self._outbox.id,
            status=self._status_sent,
        )
        await stream.write(pb.AgentMessage(hello=hello))
        answer = await stream.read()
        if not isinstance(answer, pb.CollectorMessage):
            raise Lost(_told(await stream.code(), await stream.details()))
        welcome = answer.welcome
        self._outbox.acknowledge(welcome.acknowledged)
        return min(welcome.max_batch or MAX_BATCH, MAX_BATCH), min(
            welcome.max_batch_bytes or MAX_BATCH_BYTES, MAX_BATCH_BYTES
        )

    async def _send(self, stream: Stream, batch_size: int, batch_bytes: int) -> None:
        reports = self._outbox.pending(limit=batch_size, max_bytes=batch_bytes)
        status = self._status_now()
        if not reports and status == self._status_sent:
            return
        batch = pb.Batch(status=status if status != self._status_sent else None)
        for report in reports:
            envelope = batch.reports.add(
                sequence=report.sequence, finding_id=report.finding_id, document=report.document
            )
            envelope.observed_at.FromDatetime(report.observed_at)
        self._sent, self._count_sent = (reports[-1].sequence if reports else 0), len(reports)
        self._due = asyncio.get_running_loop().time() + self._patience
        async with asyncio.timeout_at(self._due):
            await stream.write(pb.AgentMessage(batch=batch))
        self._status_sent = status

    async def _read(self, stream: Stream) -> None:
        try:
            while isinstance(message := await stream.read(), pb.CollectorMessage):
                self._take(message.ack)
            raise Lost(_told(await stream.code(), await stream.details()))
        finally:
            self._wake.set()

    def _take(self, ack: pb.Ack) -> None:
        if not self._sent or ack.sequence < self._sent:
            return
        for refusal in ack.refused:
            self.refused += 1
            reason = printable(refusal.reason, 300)
            if reason not in self._reasons and len(self._reasons) < REFUSALS_LOGGED:
                self._reasons.add(reason)
                logger.error("collector %s refused a finding: %s", self._settings.address, reason)
        self._outbox.acknowledge(self._sent)
        self.acknowledged += self._count_sent
        self._sent = self._count_sent = 0
        self._wake.set()

    def _status_now(self) -> pb.NodeStatus:
        status = self._status()
        status = replace(status, impairments=tuple(dict.fromkeys((*status.impairments, *self._outbox.impairments))))
        return pb.NodeStatus(
            zone=status.zone,
            pool=status.pool,
            runtime_name=status.runtime_name,
            runtime_version=status.runtime_version,
            kubelet_version=status.kubelet_version,
            architecture=status.architecture,
            active_findings=status.active_findings,
            outbox_dropped=self._outbox.dropped,
            impairments=status.impairments,
        )


def pause(attempt: int, chance: random.Random) -> float:
    """Return seconds before the next attempt: random below a bound that doubles (full jitter), so that agents spread out."""
    return chance.uniform(0.0, min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempt, 16)))


def _channel(settings: ReportSettings) -> grpc.aio.Channel:
    """Return a channel that dials when it is first used; TLS files are read anew each time, because they are rotated."""
    options = agent_options()
    if not (settings.tls or settings.ca or settings.certificate):
        return grpc.aio.insecure_channel(settings.address, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_bytes(settings.ca),
        private_key=_bytes(settings.key),
        certificate_chain=_bytes(settings.certificate),
    )
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    return grpc.aio.secure_channel(settings.address, credentials, options=options)


def _bytes(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _told(code: grpc.StatusCode, details: str | None) -> str:
    return f"{code.name}: {printable(details or 'no details', 300)}"
