"""A database as the store's parts see it: work in groups with one commit each, questions beside it, and who is told of changes."""

from __future__ import annotations

import abc
import asyncio
import functools
import logging
import operator
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pullwhy.collector.fleet import Change
from pullwhy.collector.records import OddRecord, StoreError
from pullwhy.collector.store import findingsql, problemsql
from pullwhy.collector.store.problemsql import Touched
from pullwhy.collector.store.transaction import NOTHING, Connection, FindingState, Transaction, Work
from pullwhy.text import printable

logger = logging.getLogger(__name__)

T = TypeVar("T")

GROUP: Final = 1000
"""Pieces of work of one commit at most: under load a commit's cost is shared, and no piece waits long."""
TELL_SECONDS: Final = 0.05
"""Changes within this time are told together."""


@dataclass(slots=True)
class _Job:
    work: Work
    done: asyncio.Future[Any]


class Database(abc.ABC):
    """Groups work, gives each piece its result, and tells listeners; made in a running event loop."""

    def __init__(self, name: str, writer: Executor) -> None:
        self.name, self._writer = name, writer
        self._jobs: list[_Job] = []
        self._work = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._write_groups(), name="store-writer")
        self._listeners: list[Callable[[Change], None]] = []
        self._untold = NOTHING
        self.version = 0
        self.fault = ""
        self.commits = 0

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in the writer's thread, with others in one transaction; returns its result when that is committed."""
        if self._closing:
            raise StoreError(f"{self.name}: the collector stops")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._work.set()
        result: T = await job.done
        return result

    @abc.abstractmethod
    async def read(self, text: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that a question is answered with; raises StoreError."""

    @abc.abstractmethod
    async def size(self) -> int:
        """Bytes that the stored data take, without what deletions left free."""

    @abc.abstractmethod
    def store_states(self, connection: Connection, states: Sequence[FindingState]) -> Touched:
        """Store states of findings, in this order and idempotently; return what they say about problems."""

    @abc.abstractmethod
    def alone(self, connection: Connection) -> bool:
        """Return whether this collector is the one that forgets, until the transaction's end."""

    @abc.abstractmethod
    def deleted(self, connection: Connection, findings: int = 0, walks: int = 0) -> None:
        """Note that so many findings or walks were deleted, and give their space back where the database does not by itself."""

    def flush(self, transaction: Transaction) -> None:
        """Store what a transaction gathered; the last that is done in it."""
        if transaction.states:
            touched = self.store_states(transaction.connection, transaction.states)
            problemsql.note(transaction, touched, max(state.received_us for state in transaction.states))
        rows = [(through, through, now, number) for number, (through, now) in sorted(transaction.acknowledged.items())]
        if rows:
            transaction.connection.executemany(findingsql.ACKNOWLEDGE, rows)

    def commit_singly(self, group: Sequence[Work]) -> tuple[list[Any], Change]:
        """Do each piece in a transaction of its own, so that only the odd one fails."""
        alone = [self.commit([work]) for work in group]
        return [results[0] for results, _ in alone], functools.reduce(operator.or_, (change for _, change in alone))

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener`, in the event loop, soon after something changed."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Commit what is under way and let go."""
        self._closing = True
        self._work.set()
        await self._task

    @abc.abstractmethod
    def commit(self, group: Sequence[Work]) -> tuple[list[Any], Change]:
        """Do all of `group` in one transaction, in the writer's thread, and flush it.

        Returns results and what changed; a StoreError stands in place of each result that is lost.
        """

    def changed(self, change: Change) -> None:
        """Note that `change` is committed, and tell of it soon."""
        self.version += 1
        if not change or not self._listeners:
            return
        if not self._untold:
            asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell)
        self._untold |= change

    def _tell(self) -> None:
        change, self._untold = self._untold, NOTHING
        for listener in self._listeners:
            listener(change)

    async def run(self, group: Sequence[Work]) -> tuple[list[Any], Change]:
        """Commit `group` in the writer's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.commit, group)

    async def _write_groups(self) -> None:
        while self._jobs or not self._closing:
            if not self._jobs:
                self._work.clear()
                await self._work.wait()
                continue
            group, self._jobs = self._jobs[:GROUP], self._jobs[GROUP:]
            try:
                results, change = await self.run([job.work for job in group])
            except (
                Exception
            ) as error:  # whatever it is, writes to come must not wait for ever, and those of this group neither
                logger.exception("%s: a group of writes is lost", self.name)
                fault = f"{self.name}: {type(error).__name__}: {printable(str(error), 300)}"
                results, change = [StoreError(fault) for _ in group], NOTHING
            self._settle(group, results)
            self.changed(change)

    def _settle(self, group: Sequence[_Job], results: Sequence[Any]) -> None:
        """Give each job its result; a StoreError is raised to who waits for it."""
        faults = {str(each) for each in results if isinstance(each, StoreError) and not isinstance(each, OddRecord)}
        for fault in faults - {self.fault}:
            logger.error("%s", fault)
        if self.fault and not faults:
            logger.info("%s can be written again", self.name)
        self.fault = min(faults, default="")
        self.commits += 1
        for job, result in zip(group, results, strict=True):
            if job.done.done():  # who waited for it is gone
                continue
            if isinstance(result, StoreError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)


class Part:
    """A theme of the store: its methods over one database."""

    def __init__(self, database: Database, clock: Callable[[], Any]) -> None:
        self._database, self._clock = database, clock
