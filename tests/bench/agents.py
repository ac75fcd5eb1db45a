"""Simulated agents: real gRPC streams, each over a connection of its own, that report when they are told to."""

import asyncio
import random
import resource
import sys
from datetime import UTC, datetime
from typing import Any

import grpc.aio

from pullwhy import __version__
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import (
    SCHEMA,
    Answer,
    CauseId,
    Confidence,
    Diagnosis,
    Evidence,
    FailingPod,
    Finding,
    KubeletState,
    Outcome,
    RemedyRef,
    Retryable,
    Stage,
    TraceLine,
)
from pullwhy.node.report.reporter import HELLO_SECONDS, pause
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import METHOD, agent_options

CONNECTING = 50
"""At a time."""
STAGES = (Stage.REFERENCE, Stage.CONFIG, Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.AUTH, Stage.MANIFEST)


class Ended(Exception):
    """The collector ended a stream."""


class Agent:
    """One agent with its stream."""

    def __init__(self, address: str, node: str) -> None:
        self._address, self._node = address, node
        self.attempts = 0
        self._channel = grpc.aio.insecure_channel(address, options=agent_options())
        self._stream: Any = None
        self._sequence = 0

    async def connect(self) -> None:
        """Say hello, take the welcome."""
        self._stream = self._channel.stream_stream(
            METHOD,
            request_serializer=pb.AgentMessage.SerializeToString,
            response_deserializer=pb.CollectorMessage.FromString,
        )()
        hello = pb.Hello(node=self._node, agent_version=__version__, schema=SCHEMA, outbox_id="bench")
        await self._stream.write(pb.AgentMessage(hello=hello))
        welcome = await self._stream.read()
        if welcome is grpc.aio.EOF:
            raise Ended
        assert welcome.HasField("welcome")

    async def come_back(self) -> None:
        """Connect as a real agent does that lost its collector: after a random pause, and again after a longer one if that failed."""
        while True:
            self.attempts += 1
            await asyncio.sleep(pause(self.attempts, random.Random()))
            try:
                async with asyncio.timeout(HELLO_SECONDS):
                    await self.connect()
                    return
            except (grpc.aio.AioRpcError, TimeoutError, Ended):
                await self._channel.close()
                self._channel = grpc.aio.insecure_channel(self._address, options=agent_options())

    def prepare(self) -> pb.AgentMessage:
        """Return the batch with the agent's next finding."""
        self._sequence += 1
        made = finding(self._node, self._sequence)
        report = pb.Report(sequence=self._sequence, finding_id=made.id, document=encode(made))
        report.observed_at.FromDatetime(made.last_seen)
        return pb.AgentMessage(batch=pb.Batch(reports=[report]))

    async def report(self, message: pb.AgentMessage) -> None:
        """Send it, and wait until it is acknowledged."""
        await self._stream.write(message)
        answer = await self._stream.read()
        assert answer.ack.sequence == self._sequence
        assert not answer.ack.refused, answer.ack.refused


def finding(node: str, number: int) -> Finding:
    """Return a finding as large as a real one."""
    now = datetime.now(UTC)
    image = f"registry.example/shop/web-{number}:1.4"
    evidence = [
        Evidence(stage, f"registry.example answered 404 MANIFEST_UNKNOWN for {image}", "walk") for stage in STAGES[-3:]
    ]
    trace = [
        TraceLine(stage, "registry.example:443", Outcome.PASSED, 0.0123, "200 OK, anonymously", "anonymous")
        for stage in STAGES
    ]
    why = Retryable(Answer.NO, "the tag stays absent until somebody pushes it")
    remedy = RemedyRef("right-tag", {"image": image, "repository": "registry.example/shop/web"})
    return Finding(
        id=f"{number:016x}",
        node=node,
        image=image,
        registry="registry.example",
        diagnosis=Diagnosis(
            CauseId.TAG_NOT_FOUND,
            Stage.MANIFEST,
            Confidence.PROVED,
            why,
            "the registry has no such tag",
            remedy,
            evidence=tuple(evidence),
        ),
        trace=tuple(trace),
        first_seen=now,
        last_seen=now,
        pods=(FailingPod("shop", f"web-{number}-7d9c", "8a0f6c1e-0000-4000-8000-000000000001", "app", attempts=1),),
        kubelet=KubeletState(
            1, f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": not found', 10.0, now
        ),
    )


async def serve(address: str, number: int, count: int, *, storm: bool) -> None:
    """Connect `count` agents, then have each report one finding whenever standard input says so.

    In a storm each comes after the pause of a real agent that lost its collector; else they come one after the other.
    """
    agents = [Agent(address, f"node-{number}-{index}") for index in range(count)]
    places = asyncio.Semaphore(CONNECTING)

    async def connect(agent: Agent) -> None:
        if storm:
            await agent.come_back()
            return
        async with places:
            await agent.connect()

    await asyncio.gather(*map(connect, agents))
    messages = [agent.prepare() for agent in agents]
    if storm:
        again = sum(agent.attempts > 1 for agent in agents)
        print(f"  {again} of {count} agents needed more than one attempt", file=sys.stderr, flush=True)
    print("connected", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        await asyncio.gather(*(agent.report(message) for agent, message in zip(agents, messages, strict=True)))
        print("acknowledged", flush=True)
        messages = [agent.prepare() for agent in agents]


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), storm="storm" in sys.argv))
