"""Walks that nodes are asked for: orders go to the agents that are connected here, answers to the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pullwhy.collector.compare.asking import WALK
from pullwhy.collector.fleet import Change, FleetStore, Purpose, Walk, WalkOrder, WalkState
from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.intake import ingest
from pullwhy.collector.intake.ingest import Refused
from pullwhy.collector.intake.streams import Key, Streams
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import Speaker, StoreError
from pullwhy.pb.v1 import report_pb2 as pb

logger = logging.getLogger(__name__)

TOGETHER: Final = 500
"""Orders that are taken at a time."""
GATHER_SECONDS: Final = 0.05
"""Changes and arrivals of so long are looked at together."""
ARRIVALS_SECONDS: Final = 1.0
"""How often nodes that came are looked at, in a storm of them."""
UNTOLD_SECONDS: Final = 1.0
"""How often all is looked at without a change: one by another collector may not be told while the database reconnects."""
AGAIN_SECONDS: Final = 2.0
"""Pause after the store failed."""

_PURPOSES: Final = {
    Purpose.SECOND_OPINION: pb.WalkRequest.SECOND_OPINION,
    Purpose.PROBE: pb.WalkRequest.PROBE,
    Purpose.CANARY: pb.WalkRequest.CANARY,
}


class Orders:
    """Sends WalkRequest and WalkCancel, and takes WalkAnswer. `run` ends only when it is cancelled."""

    def __init__(self, store: FleetStore, streams: Streams, metrics: Metrics, clock: Callable[[], datetime]) -> None:
        self._store, self._streams, self._metrics, self._clock = store, streams, metrics, clock
        self._open: dict[tuple[Key, str], tuple[WalkOrder, asyncio.TimerHandle]] = {}
        self._wake = asyncio.Event()
        self._changed, self._looked = True, 0.0
        store.listen(self._on_change)

    async def run(self) -> None:
        """Send what waits for the nodes that are connected here, again and again."""
        try:
            while True:
                try:
                    await self._next()
                except StoreError as error:
                    logger.warning("no walks can be asked for: %s", error)
                    self._changed = True
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            for _, timer in self._open.values():
                timer.cancel()

    async def answer(self, speaker: Speaker, answer: pb.WalkAnswer) -> None:
        """Keep an agent's answer; one that nobody waits for, or that is not of its node, is dropped and counted."""
        try:
            walk, image = ingest.walk(answer, speaker, self._clock())
            if image:
                await self._check_image(speaker, answer.id, image)
            asked = await self._store.answer_walk(answer.id, speaker.cluster, walk)
        except Refused as refused:
            self._metrics.walk_answers_refused.inc()
            logger.warning("node %s: its answer to a walk is not taken: %s", speaker.node, refused)
            return
        except StoreError as error:
            logger.warning("the answer of node %s is lost: %s", speaker.node, error)
            return
        self._close(((speaker.cluster, speaker.node), answer.id))
        if asked:
            self._metrics.walk_answers.labels(walk.state).inc()
        else:
            self._metrics.walk_answers_refused.inc()

    async def _check_image(self, speaker: Speaker, probe_id: str, told: str) -> None:
        order = self._open.get(((speaker.cluster, speaker.node), probe_id))
        if order:
            asked = order[0].image
        elif probe := await self._store.probe_alone(probe_id):  # asked over another stream
            asked = probe.image
        else:
            return
        if told != image_columns(asked)[0]:
            raise Refused("it is of another image than was asked for")

    def _on_change(self, change: Change) -> None:
        if change & Change.WALKS:
            self._changed = True
            self._wake.set()

    async def _next(self) -> None:
        """Wait for a change or an arrival, and send what there is."""
        if not self._changed:
            try:
                async with asyncio.timeout(ARRIVALS_SECONDS):
                    await self._wake.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            except TimeoutError:
                self._changed |= asyncio.get_running_loop().time() - self._looked >= UNTOLD_SECONDS
        self._wake.clear()
        keys = list(self._streams) if self._changed else list(self._streams.arrived)
        if self._changed:
            self._changed, self._looked = False, asyncio.get_running_loop().time()
        self._streams.arrived.clear()
        if not keys:
            return
        while len(await self._send(keys)) == TOGETHER:
            pass

    async def _send(self, keys: list[Key]) -> list[WalkOrder]:
        orders = await self._store.take_walks(keys, TOGETHER, self._streams.numbers(keys))
        for order in orders:
            await self._send_one(order)
        return orders

    async def _send_one(self, order: WalkOrder) -> None:
        key = (order.cluster, order.node)
        stream = self._streams.get(key)
        left = (order.deadline - self._clock()).total_seconds()
        if stream is None or left <= 0:
            return  # it left a moment ago, or it is too late: the deadline tells
        if WALK not in stream.abilities:
            await self._refuse(order, "its agent cannot walk on request: a newer one can")
            return
        request = pb.WalkRequest(
            id=order.probe, image=order.image, purpose=_PURPOSES[order.purpose], deadline_ms=int(left * 1000)
        )
        if not stream.send(pb.CollectorMessage(walk=request)):
            await self._refuse(order, "its agent does not read what it is sent")
            return
        self._metrics.walks_asked.labels(order.purpose).inc()
        self._close((key, order.probe))  # asked before, over a stream that broke
        timer = asyncio.get_running_loop().call_later(left, self._expire, (key, order.probe))
        self._open[key, order.probe] = order, timer

    async def _refuse(self, order: WalkOrder, reason: str) -> None:
        await self._store.answer_walk(
            order.probe, order.cluster, Walk(order.node, WalkState.REFUSED, self._clock(), reason)
        )

    def _expire(self, at: tuple[Key, str]) -> None:
        """Tell an agent that did not answer in time that nobody waits any more."""
        self._open.pop(at, None)
        self._metrics.walk_answers.labels(WalkState.LATE).inc()
        stream = self._streams.get(at[0])
        if stream:
            stream.send(pb.CollectorMessage(cancel=pb.WalkCancel(id=at[1])))

    def _close(self, at: tuple[Key, str]) -> None:
        if found := self._open.pop(at, None):
            found[1].cancel()
