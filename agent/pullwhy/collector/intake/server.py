"""The gRPC side: one stream per agent, bounded in size, number and rate; an acknowledgement follows its commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pullwhy import __version__
from pullwhy.collector.access.agents import Gate, Identity, OpenGate
from pullwhy.collector.denials import CannotTell, Denial, Denials, Denied
from pullwhy.collector.intake import ingest
from pullwhy.collector.intake.greeted import Greeted, NoPlace
from pullwhy.collector.intake.ingest import OtherNode, Refused
from pullwhy.collector.intake.orders import Orders
from pullwhy.collector.intake.paces import Paces
from pullwhy.collector.intake.permits import Permits
from pullwhy.collector.intake.streams import Context, Stream, Streams
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import Attend, FindingRecord, NodeFacts, Session, Speaker, Store, StoreError
from pullwhy.image import MAX_LENGTH
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_BATCH, MAX_BATCH_BYTES, MAX_MESSAGE, SERVICE
from pullwhy.secret import Secret
from pullwhy.text import printable

logger = logging.getLogger(__name__)

HELLO_SECONDS: Final = 20.0
"""A stream that does not say who it is within this time is closed: an agent gives up after so long too."""
MOST_HEARD: Final = 128
"""Hellos that are read at a time, as each may take a message's memory: one that does not come delays others, until its time is up."""
FAREWELL_SECONDS: Final = 2.0
"""How long the first message of somebody who is turned away is waited for."""
MOST_FAREWELLS: Final = 32
"""Of them at a time, as each may take a message's memory; more are ended without the reason."""


@dataclass(frozen=True, slots=True)
class Desks:
    """Who deals with what agents send besides reports."""

    streams: Streams
    orders: Orders
    permits: Permits


class Servicer:
    """Takes findings in. One object serves all agents."""

    def __init__(
        self,
        store: Store,
        desks: Desks,
        metrics: Metrics,
        clock: Callable[[], float],
        max_agents: int,
        hello_seconds: float = HELLO_SECONDS,
        gate: Gate | None = None,
        attend: Attend | None = None,
        complete: Callable[[Speaker, NodeFacts], NodeFacts] = lambda _, facts: facts,
    ) -> None:
        self._store, self._desks, self._metrics = store, desks, metrics
        self._max_agents, self._hello_seconds = max_agents, hello_seconds
        self._gate, self._denials = gate or OpenGate(), Denials(metrics.deny, clock)
        self._attend, self._complete = attend, complete
        self._farewells, self._greeted = 0, Greeted()
        self._paces = Paces(max_agents, clock)
        self._hearing = asyncio.Semaphore(MOST_HEARD)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a gRPC server needs to know of this service."""
        report = grpc.stream_stream_rpc_method_handler(
            self._report,
            request_deserializer=_parse,
            response_serializer=pb.CollectorMessage.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Report": report})

    def connected(self) -> set[tuple[str, str]]:
        """Return cluster and name of the nodes whose agents have a stream now."""
        return set(self._desks.streams)

    async def _report(self, messages: AsyncIterator[pb.AgentMessage], context: Context) -> None:
        del messages  # read through the context, one at a time
        try:
            await self._serve(context)
        except StoreError as error:
            self._metrics.store_failures.inc()
            await _abort(context, grpc.StatusCode.UNAVAILABLE, f"the collector cannot store: {error}")
        except Refused as refused:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(refused))
        except Denied as denied:
            self._denials.note(denied, context.peer())
            await _abort(context, _CODES.get(denied.denial, grpc.StatusCode.PERMISSION_DENIED), str(denied))
        except CannotTell as error:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, str(error))

    async def _serve(self, context: Context) -> None:
        # Before anything is read: what a stranger sends takes no memory but HTTP/2's first window, 64 KiB.
        try:
            identity = await self._gate.admit(context.auth_context(), _token(context))
        except (Denied, CannotTell):
            await self._hear_out(context)
            raise
        lasting, stream = asyncio.timeout(identity.seconds), None
        try:
            async with lasting:
                with self._greeted.one_more(identity):
                    session, facts = await self._greet(context, await self._hear(context), identity)
                stream = Stream(context, lasting, frozenset(facts.abilities), session.stream)
                await self._converse(context, stream, session, facts)
        except TimeoutError:
            # What let the agent in has ended: it comes again with what it has then. What was not acknowledged it sends again.
            if not lasting.expired():
                raise
            if stream is not None and stream.replaced:
                await _abort(context, grpc.StatusCode.ABORTED, "another agent of this node, or the same anew, has come")
        except NoPlace as full:
            await _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(full))

    async def _converse(self, context: Context, stream: Stream, session: Session, facts: NodeFacts) -> None:
        streams, key = self._desks.streams, (session.speaker.cluster, session.speaker.node)
        streams.enter(key, stream)
        self._metrics.connected.set(len(streams))
        try:
            await self._take_messages(context, stream, session, facts)
        finally:
            streams.leave(key, stream)
            self._metrics.connected.set(len(streams))

    async def _hear_out(self, context: Context) -> None:
        """Take a first message, for nothing: a stream that ends before that tells its agent INTERNAL, not the reason."""
        if self._farewells >= MOST_FAREWELLS:
            return
        self._farewells += 1
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await context.read()
        except TimeoutError:
            pass
        finally:
            self._farewells -= 1

    async def _hear(self, context: Context) -> pb.Hello:
        try:
            async with asyncio.timeout(self._hello_seconds), self._hearing:
                message = await _next(context)
        except TimeoutError:
            await _abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, "no Hello came")
        if message is None or not message.HasField("hello"):
            raise Refused("the first message must be a Hello")
        return message.hello

    async def _greet(self, context: Context, hello: pb.Hello, identity: Identity) -> tuple[Session, NodeFacts]:
        try:
            speaker = ingest.speaker(hello)
        except Refused as refused:
            logger.warning("agent %s: %s", printable(context.peer(), 100), refused)
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(refused))
        identity.check(speaker.cluster, speaker.node)
        streams = self._desks.streams
        if len(streams) >= self._max_agents and (speaker.cluster, speaker.node) not in streams:
            raise NoPlace(f"{len(streams)} agents are connected, the most that `max_agents` allows")
        if seconds := self._paces.of(speaker).requests.try_spend():
            raise NoPlace(f"node '{printable(speaker.node, 253)}' comes too often: in {seconds:.1f} s it may again")
        facts = ingest.facts(hello.status)
        session = await self._store.open_session(speaker, self._complete(speaker, facts))
        welcome = pb.Welcome(
            collector_version=__version__,
            acknowledged=session.acknowledged,
            max_batch=MAX_BATCH,
            max_batch_bytes=MAX_BATCH_BYTES,
            abilities=["permit"],
        )
        await context.write(pb.CollectorMessage(welcome=welcome))
        return session, facts

    async def _take_messages(self, context: Context, stream: Stream, session: Session, facts: NodeFacts) -> None:
        paces = self._paces.of(session.speaker)
        await asyncio.sleep(paces.reports.spend(0))  # what the stream before it had not waited for
        while message := await _next(context):
            match message.WhichOneof("message"):
                case "batch":
                    facts = await self._take_batch(message.batch, stream, session, facts)
                    seconds = paces.reports.spend(1 + len(message.batch.reports))
                case "walk":
                    await self._desks.orders.answer(session.speaker, message.walk)
                    seconds = paces.requests.spend(1)
                case "permit":
                    await self._permit(message.permit, stream, session.speaker)
                    seconds = paces.requests.spend(1)
                case _:
                    raise Refused("after the Hello only batches, answers to walks and requests for permits may follow")
            if seconds:
                await asyncio.sleep(seconds)

    async def _take_batch(self, batch: pb.Batch, stream: Stream, session: Session, facts: NodeFacts) -> NodeFacts:
        """Store what a batch holds and acknowledge it; return what the node told of itself last."""
        if len(batch.reports) > MAX_BATCH:
            raise Refused(f"a batch of {len(batch.reports)} reports, more than {MAX_BATCH}")
        if batch.HasField("status"):
            facts = ingest.facts(batch.status, facts)
            stream.abilities = frozenset(facts.abilities)
            await self._store.note_facts(session.speaker, self._complete(session.speaker, facts))
        if batch.reports:
            await stream.write(pb.CollectorMessage(ack=await self._take(batch, session, stream.peer)))
        return facts

    async def _permit(self, request: pb.PermitRequest, stream: Stream, speaker: Speaker) -> None:
        if not ingest.is_token(request.id) or len(request.image) > MAX_LENGTH:
            raise Refused("a request for a permit without an id, or for no image")
        try:
            permit = await self._desks.permits.decide(speaker, request)
        except StoreError as error:
            # An agent that gets no answer goes by its own budgets.
            logger.warning("no permit for node %s: %s", speaker.node, error)
            return
        await stream.write(pb.CollectorMessage(permit=permit))

    async def _take(self, batch: pb.Batch, session: Session, peer: str) -> pb.Ack:
        """Store a batch and return its acknowledgement."""
        ack = pb.Ack(sequence=ingest.in_order(batch.reports))
        records: list[FindingRecord] = []
        for report in batch.reports:
            try:
                records.append(ingest.record(report, session.speaker, self._attend))
            except Refused as refused:
                ack.refused.add(sequence=report.sequence, reason=printable(str(refused), 300))
                denial = Denial.WRONG_NODE if isinstance(refused, OtherNode) else Denial.BAD_REPORT
                self._denials.note(Denied(denial, str(refused), f"node '{session.speaker.node}'"), peer)
        await self._store.write(session, records, ack.sequence)
        self._metrics.reports.inc(len(batch.reports))
        if ack.refused:
            self._metrics.refused.inc(len(ack.refused))
        return ack


_CODES: Final = {
    Denial.NO_CREDENTIALS: grpc.StatusCode.UNAUTHENTICATED,
    Denial.BAD_CERTIFICATE: grpc.StatusCode.UNAUTHENTICATED,
    Denial.BAD_TOKEN: grpc.StatusCode.UNAUTHENTICATED,
    Denial.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def _parse(data: bytes) -> pb.AgentMessage | Denied | Refused:
    # gRPC's own refusal of a large message looks like an agent that went away: only this one can be logged and counted.
    if len(data) > MAX_MESSAGE:
        return Denied(Denial.TOO_LARGE, f"a message of {len(data)} bytes, more than {MAX_MESSAGE}")
    try:
        return pb.AgentMessage.FromString(data)
    except DecodeError:
        return Refused("a message that is none of pullwhy's")


def _token(context: Context) -> Secret | None:
    """Return the bearer token that came with the call (RFC 6750, section 2.1)."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            return Secret(token.strip()) if scheme.lower() == "bearer" else None
    return None


async def _next(context: Context) -> pb.AgentMessage | None:
    message: object = await context.read()
    if isinstance(message, Denied | Refused):
        raise message
    return message if isinstance(message, pb.AgentMessage) else None


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("unreachable: abort raises")
