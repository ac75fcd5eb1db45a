"""The reporter: carries the outbox to the collector over one stream, and starts again, patiently, whenever that breaks."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import grpc
import grpc.aio

from pullwhy import __version__
from pullwhy.config import ReportSettings
from pullwhy.model import SCHEMA
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.status import NodeStatus, message
from pullwhy.node.report.stream import ENDED, Conversation, Delivery, Lost, Stream, TakesRequests, told
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import METHOD, agent_options

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
MAX_TOKEN: Final = 7000
"""Bytes of a token: a collector takes 8 KiB of metadata."""


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
        requests: Callable[[], TakesRequests] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: random.Random | None = None,
        hello_seconds: float = HELLO_SECONDS,
        acknowledge_seconds: float = ACKNOWLEDGE_SECONDS,
    ) -> None:
        self.connections = 0
        """Streams that were welcomed, since the start."""
        self._settings, self._node, self._cluster = settings, node, cluster
        self._status, self._clock, self._sleep = status, clock, sleep
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._hello_patience = hello_seconds
        self._delivery = Delivery(settings.address, outbox, self._status_now, requests, acknowledge_seconds)
        self._conversation: Conversation | None = None
        self._losses: set[str] = set()
        outbox.listener = self.status_changed

    @property
    def connected(self) -> bool:
        """Whether there is a stream, and it was welcomed."""
        return self._conversation is not None

    @property
    def acknowledged(self) -> int:
        """Reports acknowledged, since the start."""
        return self._delivery.tally.acknowledged

    @property
    def refused(self) -> int:
        """Reports that the collector refused for good, since the start."""
        return self._delivery.tally.refused

    def status_changed(self) -> None:
        """Send the node's status soon, if it differs from what was sent last."""
        if self._conversation is not None:
            self._conversation.wake()

    async def permit(self, question: pb.PermitRequest, within: float) -> pb.Permit | None:
        """Ask the collector when to walk; None where none is connected that understands, or none answers in time."""
        conversation = self._conversation
        return await conversation.permit(question, within) if conversation is not None else None

    async def run(self) -> None:
        """Keep a stream to the collector until cancelled."""
        attempt = 0
        while True:
            began = self._clock()
            try:
                await self._connect()
            except Lost as lost:
                self._say_lost(str(lost))
            attempt = 0 if self._clock() - began >= LASTING_SECONDS else attempt + 1
            await self._sleep(pause(attempt, self._chance))

    def _say_lost(self, why: str) -> None:
        # An outage is a line at its begin and one at its end, not one per attempt.
        if why == ENDED:
            logger.info("collector %s: %s, connecting anew", self._settings.address, why)
        elif why not in self._losses and len(self._losses) < LOSSES_LOGGED:
            logger.warning(
                "collector %s: %s; %d findings wait, trying again",
                self._settings.address,
                why,
                len(self._delivery.outbox),
            )
        self._losses.add(why)

    async def _connect(self) -> None:
        """Run one stream to its end, and raise Lost with the reason."""
        try:
            metadata, channel = _metadata(self._settings), _channel(self._settings)
        except OSError as error:
            raise Lost(f"{error.filename}: {error.strerror}: give the agent a file that it can read") from error
        try:
            async with channel:
                stream = channel.stream_stream(
                    METHOD,
                    request_serializer=pb.AgentMessage.SerializeToString,
                    response_deserializer=pb.CollectorMessage.FromString,
                )(metadata=metadata)
                try:
                    await self._converse(stream)
                except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
                    # What a write to a stream that ended meanwhile raises does not say why it ended.
                    stream.cancel()
                    raise Lost(told(await stream.code(), await stream.details())) from error
        except grpc.aio.AioRpcError as error:
            raise Lost(told(error.code(), error.details())) from error

    async def _converse(self, stream: Stream) -> None:
        conversation = Conversation(stream, self._delivery)
        hello = pb.Hello(
            node=self._node,
            cluster=self._cluster,
            agent_version=__version__,
            schema=SCHEMA,
            outbox_id=self._delivery.outbox.id,
        )
        try:
            async with asyncio.timeout(self._hello_patience):
                await conversation.greet(hello)
        except TimeoutError as error:
            raise Lost(f"no answer within {self._hello_patience:.0f} s") from error
        self._conversation = conversation
        self._losses.clear()
        self.connections += 1
        waiting = len(self._delivery.outbox)
        logger.info("collector %s: connected; %d findings wait", self._settings.address, waiting)
        try:
            await conversation.run()
        finally:
            self._conversation = None

    def _status_now(self) -> pb.NodeStatus:
        outbox = self._delivery.outbox
        return message(self._status(), dropped=outbox.dropped, impairments=outbox.impairments)


def pause(attempt: int, chance: random.Random) -> float:
    """Return seconds before the next attempt: random below a bound that doubles (full jitter), so that agents spread out."""
    return chance.uniform(0.0, min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempt, 16)))


def _channel(settings: ReportSettings) -> grpc.aio.Channel:
    """Return a channel that dials when it is first used; TLS files are read anew each time, because they are rotated."""
    options = agent_options()
    if not _encrypted(settings):
        return grpc.aio.insecure_channel(settings.address, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_bytes(settings.ca),
        private_key=_bytes(settings.key),
        certificate_chain=_bytes(settings.certificate),
    )
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    return grpc.aio.secure_channel(settings.address, credentials, options=options)


def _metadata(settings: ReportSettings) -> tuple[tuple[str, str], ...]:
    """Return the token as RFC 6750 sends it; the kubelet renews the file, so it is read anew each time."""
    if not settings.token_file:
        return ()
    if not _encrypted(settings):
        raise Lost("report.token_file is set without report.tls: a token is not sent in the clear")
    with Path(settings.token_file).open("rb") as file:
        token = file.read(MAX_TOKEN).decode("ascii", "replace").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise Lost(f"{settings.token_file}: holds no token")
    return (("authorization", f"Bearer {token}"),)


def _encrypted(settings: ReportSettings) -> bool:
    return bool(settings.tls or settings.ca or settings.certificate)


def _bytes(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
