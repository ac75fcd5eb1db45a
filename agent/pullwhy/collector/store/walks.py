"""Walks that nodes are asked for, and the buckets of registries, in the store: their part of `FleetStore`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from pullwhy.collector.fleet import Change, Probe, Purpose, Walk, WalkOrder, WalkState
from pullwhy.collector.store import walksql
from pullwhy.collector.store.database import Part
from pullwhy.collector.store.findingsql import microseconds
from pullwhy.collector.store.transaction import NOTHING, Connection, Transaction

_SECOND = 1_000_000


class Walks(Part):
    """Implements the part of `FleetStore` that is about probes and walks."""

    async def add_probe(self, probe: Probe, nodes: Sequence[str]) -> bool:
        """Ask these nodes; False, and nothing is asked, where a probe of this id is known already."""
        asked = microseconds(probe.asked_at)

        def work(transaction: Transaction) -> bool:
            if not transaction.connection.execute(walksql.ADD_PROBE, walksql.probe_row(probe)).rowcount:
                return False
            transaction.connection.executemany(
                walksql.ADD_WALK, [(probe.id, node, asked, b"") for node in sorted(nodes)]
            )
            transaction.change |= Change.WALKS
            return True

        return await self._database.write(work)

    async def take_walks(
        self, connected: Collection[tuple[str, str]], limit: int, streams: Mapping[tuple[str, str], int] | None = None
    ) -> list[WalkOrder]:
        """Return orders that wait for one of these nodes (cluster, name) and mark them Asked: no other collector gets them.

        `streams` are the numbers of the nodes' streams here (`Session.stream`): a node that has a newer one elsewhere is left
        to who holds that.
        """
        now, here = microseconds(self._clock()), set(connected)
        waiting = await self._database.read(walksql.WAITING, (now,))
        held = [row for row in waiting if streams is None or streams.get((row[1], row[2]), 0) >= row[6]]
        wanted = [order for order in map(walksql.order, held) if (order.cluster, order.node) in here][:limit]
        if not wanted:  # asked often and answered so nearly always: no commit for it
            return []

        def work(transaction: Transaction) -> list[WalkOrder]:
            execute = transaction.connection.execute
            taken = [each for each in wanted if execute(walksql.TAKE, (now, each.probe, each.node)).rowcount]
            transaction.change |= Change.WALKS if taken else NOTHING
            return taken

        return await self._database.write(work)

    async def answer_walk(self, probe_id: str, cluster: str, walk: Walk) -> bool:
        """Keep an answer; False where nobody waits for it (unknown, answered already, or too late)."""
        walked = None if walk.walked_at is None else microseconds(walk.walked_at)
        kept = (walk.state, microseconds(walk.at), walk.reason, walk.document, walked)
        parameters = (*kept, probe_id, walk.node, cluster, microseconds(self._clock()))

        def work(transaction: Transaction) -> bool:
            waited = transaction.connection.execute(walksql.ANSWER, parameters).rowcount > 0
            transaction.change |= Change.WALKS if waited else NOTHING
            return waited

        return await self._database.write(work)

    async def probe(self, probe_id: str) -> tuple[Probe, list[Walk]] | None:
        """Return a probe and its nodes' answers so far, by name; walks without one past the deadline are Late."""
        probe = await self.probe_alone(probe_id)
        return (probe, await self.walks(probe)) if probe else None

    async def probe_alone(self, probe_id: str) -> Probe | None:
        """Return a probe without its nodes' answers."""
        rows = await self._database.read(walksql.PROBE, (probe_id,))
        return walksql.stored_probe(rows[0]) if rows else None

    async def walks(
        self, probe: Probe, node: str = "", since: datetime | None = None, *, documents: bool = True
    ) -> list[Walk]:
        """Return answers by name: of one node, of those that came since then, or all; without documents they cost little."""
        now = self._clock()
        rows = await self._database.read(*walksql.walks(probe, now, node, since, documents=documents))
        return [walksql.stored_walk(row, probe.deadline, now) for row in rows]

    async def answered(self, probe_ids: Sequence[str]) -> dict[str, int]:
        """Return of each of these probes that has answers how many nodes answered."""
        rows = await self._database.read(*walksql.answered(probe_ids)) if probe_ids else []
        return {probe_id: int(number) for probe_id, number in rows}

    async def count_walks(self, probe: Probe) -> dict[WalkState, int]:
        """Return how many nodes' walks are in which state."""
        now = self._clock()
        return walksql.counted(await self._database.read(walksql.COUNTS, (probe.id,)), probe.deadline, now)

    async def probes(self, cluster: str, purpose: Purpose | None, limit: int) -> list[Probe]:
        """Return the last probes, newest first."""
        wanted = purpose or ""
        rows = await self._database.read(walksql.PROBES, (cluster, cluster, wanted, wanted, limit))
        return list(map(walksql.stored_probe, rows))

    async def forget_walks(self, before: datetime, limit: int) -> int:
        """Forget some of what is too old, too much or of no use any more; return how many rows went or shrank."""
        return await self._forget(lambda connection: walksql.forget(connection, before, self._clock(), limit))

    async def shrink_walks(self, limit: int) -> int:
        """Forget the oldest probes that are over, until `limit` rows or more went; return how many did."""
        now = self._clock()
        return await self._forget(lambda connection: walksql.forget_oldest(connection, now, now, limit))

    async def _forget(self, some: Callable[[Connection], int]) -> int:
        def work(transaction: Transaction) -> int:
            connection = transaction.connection
            gone = some(connection) if self._database.alone(connection) else 0
            if gone:
                self._database.deleted(connection, walks=gone)
            return gone

        return await self._database.write(work)

    async def take_token(
        self, cluster: str, registry: str, per_second: float, at_once: float, longest: float
    ) -> float | None:
        """Spend one token of a registry's bucket; return 0 where there was one, else the seconds until it is this caller's turn.

        None, and none is spent, where that would be more than `longest` seconds.
        """
        now, each = microseconds(self._clock()), round(_SECOND / per_second)
        at_most = now + int(at_once * each + longest * _SECOND) - each
        parameters = (cluster, registry, now + each, now, now, each, at_most)

        def work(transaction: Transaction) -> int | None:
            row = transaction.connection.execute(walksql.SPEND, parameters).fetchone()
            return int(row[0]) if row else None

        full = await self._database.write(work)
        return None if full is None else max(0.0, (full - now - at_once * each) / _SECOND)
