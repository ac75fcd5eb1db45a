"""Findings, nodes and sessions in the store: `records.Store`, whatever database is behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from pullwhy.collector.fleet import Change
from pullwhy.collector.records import (
    FindingRecord,
    NodeFacts,
    Query,
    Session,
    Speaker,
    StoredFinding,
    StoredNode,
    Transition,
)
from pullwhy.collector.store import findingsql, problemsql
from pullwhy.collector.store.database import Part
from pullwhy.collector.store.findingsql import microseconds, moment
from pullwhy.collector.store.transaction import FindingState, Transaction


class Findings(Part):
    """Implements `records.Store`."""

    async def open_session(self, speaker: Speaker, facts: NodeFacts) -> Session:
        """Note that an agent is there, and return its session."""
        now = microseconds(self._clock())
        identity = (speaker.cluster, speaker.node, speaker.outbox_id, now)
        row = findingsql.node_row(speaker, facts, now)

        def work(transaction: Transaction) -> tuple[int, int, int]:
            number, acknowledged = transaction.connection.execute(findingsql.OPEN_SESSION, identity).fetchone()
            transaction.connection.execute(findingsql.NOTE_NODE, row)
            (stream,) = transaction.connection.execute(findingsql.NOTE_STREAM, row[:2]).fetchone()
            transaction.change |= Change.NODES
            return number, acknowledged, stream

        number, acknowledged, stream = await self._database.write(work)
        return Session(number, speaker, acknowledged, stream)

    async def write(self, session: Session, records: Sequence[FindingRecord], through: int) -> None:
        """Store `records` and that everything up to `through` is; returns when both are committed."""
        now = microseconds(self._clock())
        states = [FindingState(session, record, now) for record in records]

        def work(transaction: Transaction) -> None:
            transaction.states += states
            before = transaction.acknowledged.get(session.number, (0, 0))[0]
            transaction.acknowledged[session.number] = (max(before, through), now)

        await self._database.write(work)

    async def leave_out(self, finding: tuple[str, str, str], pod: tuple[str, str]) -> None:
        """Take a pod out of a finding, whatever was last stored of it."""

        def work(transaction: Transaction) -> None:
            self._database.flush(transaction)  # the report that named it may be in the same group
            transaction.states.clear()
            row = transaction.connection.execute(findingsql.DOCUMENT, finding).fetchone()
            if row is None:
                return
            document, pods = findingsql.without_pod(row[1], pod)
            transaction.connection.execute(findingsql.SET_DOCUMENT, (document, pods, row[0]))
            transaction.connection.execute(findingsql.LEAVE_OUT, (row[0], *pod))
            transaction.change |= Change.FINDINGS | Change.PROBLEMS

        await self._database.write(work)

    async def note_facts(self, speaker: Speaker, facts: NodeFacts) -> None:
        """Keep a node's changed status."""
        row = findingsql.node_row(speaker, facts, microseconds(self._clock()))

        def work(transaction: Transaction) -> None:
            transaction.connection.execute(findingsql.NOTE_NODE, row)
            transaction.change |= Change.NODES

        await self._database.write(work)

    async def change_facts(self, cluster: str, node: str, change: Callable[[NodeFacts], NodeFacts]) -> None:
        """Change what is known of a node, as it was last told; nothing where the node is not known."""

        def work(transaction: Transaction) -> None:
            row = transaction.connection.execute(findingsql.FACTS, (cluster, node)).fetchone()
            if row is not None:
                changed = findingsql.encode_facts(change(findingsql.facts_of(row[0])))
                transaction.connection.execute(findingsql.SET_FACTS, (changed, cluster, node))
                transaction.change |= Change.NODES

        await self._database.write(work)

    async def note_seen(self, speakers: Sequence[tuple[str, str]]) -> None:
        """Note that these nodes are there now."""
        now = microseconds(self._clock())
        rows = [(now, *speaker) for speaker in sorted(speakers)]

        def work(transaction: Transaction) -> None:
            transaction.connection.executemany(findingsql.NOTE_SEEN, rows)

        await self._database.write(work)

    async def findings(self, query: Query) -> list[StoredFinding]:
        """Return up to `query.limit` findings, last seen first."""
        return [findingsql.stored_finding(row) for row in await self._database.read(*findingsql.findings(query))]

    async def finding(self, finding_id: str, cluster: str) -> list[tuple[StoredFinding, list[Transition]]]:
        """Return the finding of this id in each cluster (or in the one named) that has it."""
        rows = await self._database.read(findingsql.FINDING, (finding_id, cluster, cluster))
        history = [await self._database.read(findingsql.TRANSITIONS, (row[4],)) for row in rows]
        return [
            (findingsql.stored_finding(row), [Transition(moment(at), state) for at, state in changes])
            for row, changes in zip(rows, history, strict=True)
        ]

    async def of_nodes(self, cluster: str, nodes: Sequence[str]) -> list[StoredNode]:
        """Return what is stored of these nodes of a cluster."""
        rows = await self._database.read(*findingsql.of_nodes(cluster, nodes)) if nodes else []
        return [findingsql.stored_node(row) for row in rows]

    async def nodes(self, cluster: str, node: str, limit: int, after: tuple[str, str] | None) -> list[StoredNode]:
        """Return up to `limit` nodes in the order of cluster and name."""
        rows = await self._database.read(*findingsql.nodes(cluster, node, limit, after))
        return [findingsql.stored_node(row) for row in rows]

    async def active_by_cause(self) -> dict[str, int]:
        """Count the findings that are Active."""
        counted = await self._database.read(findingsql.ACTIVE_BY_CAUSE)
        return {cause: int(findings) for cause, findings in counted}

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` findings, and nodes, not heard of since `before`, with what hangs on them."""
        until, now = microseconds(before), microseconds(self._clock())

        def work(transaction: Transaction) -> int:
            connection = transaction.connection
            if not self._database.alone(connection):
                return 0
            connection.execute(findingsql.FORGET_NODES, (until,))
            connection.execute(findingsql.FORGET_SESSIONS, (until,))
            gone = connection.execute(findingsql.FORGET_FINDINGS, (until, limit)).fetchall()
            problemsql.findings_left(transaction, {problem for (problem,) in gone}, now)
            problemsql.forget_silenced(connection, now)
            self._database.deleted(connection, len(gone))
            return len(gone)

        return await self._database.write(work)

    async def shrink(self, limit: int) -> int:
        """Delete the `limit` findings that are missed least."""
        now = microseconds(self._clock())

        def work(transaction: Transaction) -> int:
            connection = transaction.connection
            for statement in findingsql.SHRINK if self._database.alone(connection) else ():
                if gone := connection.execute(statement, (limit,)).fetchall():
                    self._database.deleted(connection, len(gone))
                    problemsql.findings_left(transaction, {problem for (problem,) in gone}, now)
                    return len(gone)
            return 0

        return await self._database.write(work)

    async def size(self) -> int:
        """Bytes that the stored data take, without what deletions left free."""
        return await self._database.size()
