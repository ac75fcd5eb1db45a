"""One stream to the collector, from its Hello to its end: what the outbox holds goes out, and what the collector asks comes in."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import grpc
import grpc.aio
from google.protobuf.message import Message

from pullwhy.frozen import frozen
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.status import news
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_BATCH, MAX_BATCH_BYTES
from pullwhy.text import printable

logger = logging.getLogger(__name__)

ENDED: Final = "the stream ended in order"
"""How a collector ends a stream whose credentials have run out, so that the agent comes with newer ones."""
REFUSALS_LOGGED: Final = 100
"""Different reasons of refusal that are logged, each once."""
MAX_WAITING: Final = 64
"""Answers and questions that wait to be sent; a collector that reads none of them gets no more."""
REQUEST_PAUSE: Final = 0.01
"""Seconds after each request until the next message is read: a collector that floods its agents is read no faster."""
PERMIT: Final = "permit"
"""The ability of a collector that says when to walk."""

Stream = grpc.aio.StreamStreamCall[Message, pb.CollectorMessage]


class Lost(Exception):
    """The stream ended; says why."""


class TakesRequests(Protocol):
    """Answers what a collector asks; node.report.walkrequests.WalkRequests is the real one. Nothing in it waits."""

    def take(self, request: pb.WalkRequest, send: Callable[[pb.WalkAnswer], None]) -> None:
        """Take a request in; the answer is given to `send`."""

    def cancel(self, request_id: str) -> None:
        """Give a request up."""

    def lost(self) -> None:
        """Give everything up: nobody waits for it any more."""


@dataclass(slots=True)
class Tally:
    """What was delivered, over all streams."""

    acknowledged: int = 0
    refused: int = 0
    reasons: set[str] = field(default_factory=set)
    """For which reports were refused, as far as they were logged."""


@frozen
class Delivery:
    """What streams work with, one after the other."""

    address: str
    outbox: Outbox
    status: Callable[[], pb.NodeStatus]
    requests: Callable[[], TakesRequests] | None
    """Returns who answers requests, the same each time: nobody is needed for it until one comes. None refuses to listen to them."""
    patience: float
    """Seconds from a batch to its acknowledgement."""
    tally: Tally = field(default_factory=Tally)


class Conversation:
    """Talks over one stream. At most one batch is under way; answers and questions do not wait for its acknowledgement."""

    def __init__(self, stream: Stream, delivery: Delivery) -> None:
        self._stream, self._delivery = stream, delivery
        self._wake = asyncio.Event()
        self._waiting: deque[pb.AgentMessage] = deque()
        self._permits: dict[str, asyncio.Future[pb.Permit]] = {}
        self._requests: TakesRequests | None = None
        self._numbers = itertools.count(1)
        self._abilities: frozenset[str] = frozenset()
        self._batch_size, self._batch_bytes = MAX_BATCH, MAX_BATCH_BYTES
        self._status = pb.NodeStatus()
        self._sent = self._count_sent = 0
        self._due = 0.0

    def wake(self) -> None:
        """Look soon whether there is something to send."""
        self._wake.set()

    async def greet(self, hello: pb.Hello) -> None:
        """Say hello and take the welcome; raises Lost."""
        self._status = self._delivery.status()
        hello.status.CopyFrom(self._status)
        await self._stream.write(pb.AgentMessage(hello=hello))
        answer = await self._stream.read()
        if not isinstance(answer, pb.CollectorMessage):
            raise await self._ended()
        welcome = answer.welcome
        self._delivery.outbox.acknowledge(welcome.acknowledged)
        self._batch_size = min(welcome.max_batch or MAX_BATCH, MAX_BATCH)
        self._batch_bytes = min(welcome.max_batch_bytes or MAX_BATCH_BYTES, MAX_BATCH_BYTES)
        self._abilities = frozenset(welcome.abilities[:MAX_WAITING])

    async def run(self) -> None:
        """Talk until the stream ends; raises Lost."""
        reading = asyncio.create_task(self._read())
        try:
            while not reading.done():
                self._wake.clear()
                await self._send_waiting()
                if not self._sent:
                    await self._send_batch()
                async with asyncio.timeout_at(self._due if self._sent else None):
                    await self._wake.wait()
            await reading
        except TimeoutError as error:
            raise Lost(f"a batch was not acknowledged within {self._delivery.patience:.0f} s") from error
        finally:
            self._close()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    async def permit(self, question: pb.PermitRequest, within: float) -> pb.Permit | None:
        """Ask when to walk; None where the collector does not understand, or does not answer within as many seconds."""
        if PERMIT not in self._abilities or len(self._permits) >= MAX_WAITING:
            return None
        question.id = f"p{next(self._numbers)}"
        answer: asyncio.Future[pb.Permit] = asyncio.get_running_loop().create_future()
        self._permits[question.id] = answer
        try:
            if not self._offer(pb.AgentMessage(permit=question)):
                return None
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._permits.pop(question.id, None)

    def _close(self) -> None:
        """Give up what was asked over this stream, in both directions."""
        self._abilities = frozenset()
        for future in self._permits.values():
            if not future.done():
                future.set_exception(TimeoutError())
        if self._requests is not None:
            self._requests.lost()

    def _offer(self, message: pb.AgentMessage) -> bool:
        """Have a message sent soon; False where too many wait, and it is dropped."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(message)
        self._wake.set()
        return True

    async def _send_waiting(self) -> None:
        async with asyncio.timeout(self._delivery.patience):
            while self._waiting:
                await self._stream.write(self._waiting.popleft())

    async def _send_batch(self) -> None:
        outbox = self._delivery.outbox
        reports = outbox.pending(limit=self._batch_size, max_bytes=self._batch_bytes)
        status = self._delivery.status()
        changed = news(status, self._status)
        if not reports and changed is None:
            return
        batch = pb.Batch(status=changed)
        for report in reports:
            envelope = batch.reports.add(
                sequence=report.sequence, finding_id=report.finding_id, document=report.document
            )
            envelope.observed_at.FromDatetime(report.observed_at)
        self._sent, self._count_sent = (reports[-1].sequence if reports else 0), len(reports)
        self._due = asyncio.get_running_loop().time() + self._delivery.patience
        async with asyncio.timeout_at(self._due):
            await self._stream.write(pb.AgentMessage(batch=batch))
        self._status = status

    async def _read(self) -> None:
        try:
            while isinstance(message := await self._stream.read(), pb.CollectorMessage):
                await self._take(message)
            raise await self._ended()
        finally:
            self._wake.set()

    async def _take(self, message: pb.CollectorMessage) -> None:
        match message.WhichOneof("message"):
            case "ack":
                self._acknowledged(message.ack)
            case "permit":
                answer = self._permits.get(message.permit.id)
                if answer is not None and not answer.done():
                    answer.set_result(message.permit)
            case "walk" if self._delivery.requests is not None:
                self._requests = self._delivery.requests()
                self._requests.take(message.walk, self._answer)
                await asyncio.sleep(REQUEST_PAUSE)
            case "cancel" if self._requests is not None:
                self._requests.cancel(message.cancel.id)

    def _answer(self, answer: pb.WalkAnswer) -> None:
        self._offer(pb.AgentMessage(walk=answer))

    def _acknowledged(self, ack: pb.Ack) -> None:
        if not self._sent or ack.sequence < self._sent:
            return
        tally = self._delivery.tally
        for refusal in ack.refused:
            tally.refused += 1
            reason = printable(refusal.reason, 300)
            if reason not in tally.reasons and len(tally.reasons) < REFUSALS_LOGGED:
                tally.reasons.add(reason)
                logger.error("collector %s refused a finding: %s", self._delivery.address, reason)
        self._delivery.outbox.acknowledge(self._sent)
        tally.acknowledged += self._count_sent
        self._sent = self._count_sent = 0
        self._wake.set()

    async def _ended(self) -> Lost:
        return Lost(told(await self._stream.code(), await self._stream.details()))


def told(code: grpc.StatusCode, details: str | None) -> str:
    """Return why a stream ended, as one line."""
    if code is grpc.StatusCode.OK:
        return ENDED
    return f"{code.name}: {printable(details or 'no details', 300)}"
