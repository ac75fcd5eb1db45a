"""Simulated nodes: agents over real gRPC that report what they are told to and answer walks as their script says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc.aio
from collector.samples import collector, finding, get, until

from pullwhy.collector.service import Collector
from pullwhy.diagnose.document.finding import encode, finding_id
from pullwhy.model import CauseId, Finding
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import METHOD, agent_options

HOST = "registry.example"
IMAGE = f"{HOST}/shop/web:1.4"
Script = Callable[["Agent", pb.WalkRequest], Iterable[pb.WalkAnswer]]


def passes(_: "Agent", asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
    return [pb.WalkAnswer(id=asked.id, outcome=pb.WalkAnswer.PASSES)]


def silent(_: "Agent", __: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
    return []


def fails(cause: CauseId) -> Script:
    def answer(agent: "Agent", asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
        document = encode(failure(agent.node, cause, asked.image))
        return [pb.WalkAnswer(id=asked.id, outcome=pb.WalkAnswer.FAILS, document=document)]

    return answer


def failure(node: str, cause: CauseId, image: str = IMAGE) -> Finding:
    now = datetime.now(UTC)
    made = finding(
        1, node=node, cause=cause, image=image, registry=image.split("/", maxsplit=1)[0], first_seen=now, last_seen=now
    )
    return replace(made, id=finding_id(node, image, cause))


class Agent:
    """One node."""

    def __init__(self, address: str, node: str, script: Script = passes, **status: Any) -> None:
        self.node, self.script = node, script
        self.asked: list[pb.WalkRequest] = []
        self.permits: list[pb.Permit] = []
        self.asked_at = 0.0
        self.waited: list[float] = []
        """Seconds until each permit came."""
        self._status = pb.NodeStatus(**({"abilities": ["walk", "permit"], "registries": [HOST]} | status))
        self._channel = grpc.aio.insecure_channel(address, options=agent_options())
        self._acks: asyncio.Queue[pb.Ack] = asyncio.Queue()
        self._sequence = 0
        self._stream: Any = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._stream = self._channel.stream_stream(
            METHOD, pb.AgentMessage.SerializeToString, pb.CollectorMessage.FromString
        )()
        hello = pb.Hello(node=self.node, schema="pullwhy/v1", outbox_id="sim", status=self._status)
        await self._stream.write(pb.AgentMessage(hello=hello))
        assert (await self._stream.read()).HasField("welcome")
        self._task = asyncio.create_task(self._read())

    async def report(self, *found: Finding) -> None:
        """Report and wait for the acknowledgement."""
        batch = pb.Batch()
        for each in found:
            self._sequence += 1
            batch.reports.add(sequence=self._sequence, finding_id=each.id, document=encode(each))
        await self._stream.write(pb.AgentMessage(batch=batch))
        ack = await self._acks.get()
        assert not ack.refused, ack.refused

    async def ask_permit(self, image: str = IMAGE, cause: str = "TagNotFound") -> None:
        self.asked_at = asyncio.get_running_loop().time()
        await self._stream.write(pb.AgentMessage(permit=pb.PermitRequest(id="r", image=image, cause=cause)))

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._channel.close()

    async def _read(self) -> None:
        while isinstance(message := await self._stream.read(), pb.CollectorMessage):
            kind = message.WhichOneof("message")
            if kind == "ack":
                self._acks.put_nowait(message.ack)
            elif kind == "permit":
                self.permits.append(message.permit)
                self.waited.append(asyncio.get_running_loop().time() - self.asked_at)
            elif kind == "walk":
                self.asked.append(message.walk)
                for answer in self.script(self, message.walk):
                    await self._stream.write(pb.AgentMessage(walk=answer))


class World:
    """Collectors on one database, and agents."""

    def __init__(self, collectors: list[Collector]) -> None:
        self.collectors = collectors
        self.agents: dict[str, Agent] = {}

    async def node(self, name: str, script: Script = passes, at: int = 0, **status: Any) -> Agent:
        agent = self.agents[name] = Agent(self.collectors[at].grpc_address, name, script, **status)
        await agent.connect()
        return agent

    async def nodes(self, *names: str, script: Script = passes, **status: Any) -> list[Agent]:
        return list(await asyncio.gather(*(self.node(name, script, **status) for name in names)))

    def asked(self) -> list[str]:
        """Return who was asked to walk, once for each time."""
        return sorted(agent.node for agent in self.agents.values() for _ in agent.asked)

    async def problems(self, at: int = 0) -> list[dict[str, Any]]:
        address = self.collectors[at].http_address
        status, body, _ = await asyncio.to_thread(get, address, "/api/v1/problems?limit=500")
        assert status == 200, body
        return list(body["items"])

    async def scope(self, verdict: str, seconds: float = 15.0) -> dict[str, Any]:
        """Wait until the one problem has this verdict, and return its scope."""
        scopes: list[dict[str, Any]] = []

        async def judged() -> bool:
            scopes[:] = [problem["scope"] for problem in await self.problems()]
            return len(scopes) == 1 and scopes[0]["verdict"] == verdict

        try:
            await until(judged, seconds)
        except TimeoutError:
            raise AssertionError(f"not {verdict} but {scopes}") from None
        return scopes[0]

    async def metrics(self, at: int = 0) -> str:
        _, text, _ = await asyncio.to_thread(get, self.collectors[at].http_address, "/metrics")
        return str(text)


@contextlib.asynccontextmanager
async def world(folder: Path, collectors: int = 1, **settings: Any) -> AsyncIterator[World]:
    # A busy machine must not make agents late that are not meant to be.
    settings = {"second_opinion_seconds": 20.0} | settings
    async with contextlib.AsyncExitStack() as stack:
        running = [await stack.enter_async_context(collector(folder, **settings)) for _ in range(collectors)]
        made = World(running)
        try:
            yield made
        finally:
            await asyncio.gather(*(agent.close() for agent in made.agents.values()))
