"""PostgreSQL behind the store: one connection writes, in groups with one commit each; some read; one listens for other collectors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg

from pullwhy.collector.fleet import Change
from pullwhy.collector.records import StoreError
from pullwhy.collector.store import postgresfindings
from pullwhy.collector.store.database import Database
from pullwhy.collector.store.postgresconnection import Session, Statements, Target
from pullwhy.collector.store.postgresschema import APPLICATION_ID, FORGETTING, prepare
from pullwhy.collector.store.problemsql import Touched
from pullwhy.collector.store.transaction import NOTHING, Connection, FindingState, Transaction, Work

logger = logging.getLogger(__name__)

READERS: Final = 4
"""Questions at a time."""
LONGEST_READ_SECONDS: Final = 10.0
LONGEST_WRITE_SECONDS: Final = 30.0
SPARE_SECONDS: Final = 5.0
"""What the server has to end a statement by itself before its connection is cut."""
POLL_SECONDS: Final = 15.0
"""Listeners are woken at least so often, should a notification be lost."""
AGAIN_SECONDS: Final = 2.0
"""Between two tries to listen; until one succeeds, listeners are woken so often."""
CHANNEL: Final = "pullwhy"
EVERYTHING: Final = Change.FINDINGS | Change.WALKS | Change.PROBLEMS | Change.NODES

_FINDING_OVERHEAD: Final = 1200
"""Bytes of a finding beside its document: columns, eleven index entries, a pod and a transition. An estimate."""
_WALK_OVERHEAD: Final = 200
"""Bytes of a walk beside its document: columns and an index entry. An estimate."""
_MEASURED_SECONDS: Final = 60.0
_COUNT: Final = "SELECT count(*) FROM findings"
_DOCUMENT: Final = """
SELECT coalesce(avg(pg_column_size(document)), 0) FROM (
    SELECT document FROM findings ORDER BY received_us DESC LIMIT 1000
) AS latest
"""
_WALKS: Final = "SELECT count(*), coalesce(avg(pg_column_size(document)), 0) FROM walks"


@dataclass(frozen=True, slots=True)
class _Measured:
    """What is stored, and since when that is so."""

    when: float = -_MEASURED_SECONDS
    findings: int = 0
    finding: float = 0.0
    """Bytes of one."""
    walks: int = 0
    walk: float = 0.0


class PostgresDatabase(Database):
    """Our schema in one database, which other collectors may use too. Make it with `open_postgres`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._write_session = Session(target, _limits(LONGEST_WRITE_SECONDS) | {"lock_timeout": "10s"})
        readers = [
            Session(target, _limits(LONGEST_READ_SECONDS) | {"default_transaction_read_only": "on"})
            for _ in range(READERS)
        ]
        self._sessions = (self._write_session, *readers)
        self._free: asyncio.LifoQueue[Session] = asyncio.LifoQueue()
        for reader in readers:
            self._free.put_nowait(reader)
        self._readers = ThreadPoolExecutor(READERS, "store-read")
        self._writes = ThreadPoolExecutor(1, "store-write")
        self._measured = _Measured()
        super().__init__(target.name, self._writes)
        self._listening = asyncio.create_task(self._listen(), name="store-listener")

    async def read(self, text: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that a question is answered with; raises StoreError."""
        session = await self._free.get()
        asking = asyncio.get_running_loop().run_in_executor(self._readers, _fetch, session, text, parameters)
        # Who asked may go away; the connection is not free before its thread is.
        asking.add_done_callback(lambda _: self._free.put_nowait(session))
        _cut_when_late(asking, session, LONGEST_READ_SECONDS + SPARE_SECONDS)
        try:
            return await asyncio.shield(asking)
        except (psycopg.Error, StoreError) as error:
            raise self._target.error(error) from error

    async def size(self) -> int:
        """Bytes that findings and walks take, estimated: files of PostgreSQL do not shrink when rows are deleted."""
        now, measured = asyncio.get_running_loop().time(), self._measured
        if now - measured.when >= _MEASURED_SECONDS:
            count, document = (await self.read(_COUNT))[0][0], (await self.read(_DOCUMENT))[0][0]
            ((walks, answer),) = await self.read(_WALKS)
            measured = _Measured(now, count, float(document) + _FINDING_OVERHEAD, walks, float(answer) + _WALK_OVERHEAD)
            self._measured = measured
        return int(measured.findings * measured.finding + measured.walks * measured.walk)

    def alone(self, connection: Connection) -> bool:
        """Take a lock, for this transaction, that one collector has at a time."""
        locked = connection.execute("SELECT pg_try_advisory_xact_lock(?, ?)", (APPLICATION_ID, FORGETTING))
        return bool(locked.fetchone()[0])

    def deleted(self, connection: Connection, findings: int = 0, walks: int = 0) -> None:
        """Count what went until it is measured again; the space is PostgreSQL's own business (autovacuum)."""
        del connection
        before = self._measured
        self._measured = replace(
            before, findings=max(0, before.findings - findings), walks=max(0, before.walks - walks)
        )

    async def close(self) -> None:
        """Commit what is under way and let go."""
        cut = asyncio.get_running_loop().call_later(SPARE_SECONDS, self._write_session.sever)
        await super().close()
        cut.cancel()
        self._listening.cancel()
        await asyncio.wait([self._listening])
        for pool in (self._readers, self._writes):
            await asyncio.to_thread(pool.shutdown)
        for session in self._sessions:
            session.discard()

    async def run(self, group: Sequence[Work]) -> tuple[list[Any], Change]:
        """Commit `group` in the writer's thread, which never waits for a server that is silent."""
        running = asyncio.get_running_loop().run_in_executor(self._writes, self.commit, group)
        _cut_when_late(running, self._write_session, LONGEST_WRITE_SECONDS + SPARE_SECONDS)
        return await running

    def commit(self, group: Sequence[Work]) -> tuple[list[Any], Change]:
        """Do all of `group` in one transaction; a StoreError stands in place of each result that is lost."""
        for last in (False, False, True):
            progress = _Progress(reused=bool(self._write_session.pid))
            try:
                return self._attempt(group, progress)
            except Exception as error:  # noqa: BLE001 - one agent's odd value must not stop the one writer of all
                self._write_session.recover()
                if last or not progress.may_repeat(error):
                    if len(group) > 1 and not isinstance(error, psycopg.OperationalError | StoreError):
                        return self.commit_singly(group)
                    return [self._target.error(error) for _ in group], NOTHING
        raise AssertionError("unreachable: the last attempt returns")

    def store_states(self, connection: Connection, states: Sequence[FindingState]) -> Touched:
        """Store states of findings, all in a few statements."""
        return postgresfindings.store_states(connection, states)

    def _attempt(self, group: Sequence[Work], progress: _Progress) -> tuple[list[Any], Change]:
        raw = self._write_session.connection()
        transaction = Transaction(Statements(raw))
        raw.execute("BEGIN")
        results = [work(transaction) for work in group]
        self.flush(transaction)
        if transaction.change:
            transaction.connection.execute("SELECT pg_notify(?, ?)", (CHANNEL, str(transaction.change.value)))
        progress.committing = True
        raw.execute("COMMIT")
        return results, transaction.change

    async def _listen(self) -> None:
        """Be told of other collectors' changes, again and again until cancelled."""
        told = True
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    **self._target.parameters(), autocommit=True
                ) as listening:
                    await listening.execute(f"LISTEN {CHANNEL}".encode())
                    if not told:
                        logger.info("%s: changes of other collectors are told again", self.name)
                    told = True
                    await self._hear(listening)
            except Exception as error:  # noqa: BLE001 - whatever it is: without this task no change of others is seen soon
                if told:
                    logger.warning("changes of other collectors are looked for: %s", self._target.error(error))
                told = False
            self.changed(EVERYTHING)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _hear(self, listening: psycopg.AsyncConnection[Any]) -> None:
        while True:
            self.changed(EVERYTHING)  # what happened while nobody listened
            async for notice in listening.notifies(timeout=POLL_SECONDS):
                if notice.pid != self._write_session.pid:
                    self.changed(_change(notice.payload))
            async with asyncio.timeout(SPARE_SECONDS):
                await listening.execute(b"SELECT 1")


@dataclass(slots=True)
class _Progress:
    """How far a group came, for whether it may be done again."""

    reused: bool
    """The connection had been idle: it may have been lost long before."""
    committing: bool = False

    def may_repeat(self, error: Exception) -> bool:
        if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            return True
        # What was lost before the commit was sent was not done.
        return self.reused and not self.committing and _lost(error)


def open_postgres(url: str, password_file: str) -> PostgresDatabase:
    """Connect, bring the schema up to date and start writing; needs a running event loop. Raises StoreError."""
    target = Target(url, password_file)
    try:
        with psycopg.connect(**target.parameters(), autocommit=True) as connection:
            prepare(connection, target.name)
    except psycopg.Error as error:
        see = "" if error.sqlstate else ": see `database` and `database_password_file`"
        raise StoreError(f"{target.error(error)}{see}") from error
    return PostgresDatabase(target)


def _fetch(session: Session, text: str, parameters: Sequence[Any]) -> list[Any]:
    reused = bool(session.pid)
    try:
        return Statements(session.connection()).execute(text, parameters).fetchall()
    except psycopg.OperationalError as error:
        session.discard()
        if not reused or not _lost(error):
            raise
        # The connection was lost while it was idle, say over a restart of the server.
        return Statements(session.connection()).execute(text, parameters).fetchall()
    except psycopg.Error:
        session.recover()
        raise


def _lost(error: Exception) -> bool:
    """Return whether the connection went: the server is no longer there, or said that it goes (class 57P, manual appendix A)."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "57P").startswith("57P")


def _cut_when_late(running: asyncio.Future[Any], session: Session, seconds: float) -> None:
    def cut() -> None:
        if not running.done():
            session.sever()
            _cut_when_late(running, session, seconds)

    cutting = asyncio.get_running_loop().call_later(seconds, cut)
    running.add_done_callback(lambda _: cutting.cancel())


def _limits(seconds: float) -> dict[str, str]:
    milliseconds = f"{seconds * 1000:.0f}"
    return {"statement_timeout": milliseconds, "idle_in_transaction_session_timeout": milliseconds}


def _change(payload: str) -> Change:
    """Return what another collector says has changed; everything, where a newer one says more than is known here."""
    known = payload.isascii() and payload.isdigit() and int(payload[:9]) <= EVERYTHING.value
    return Change(int(payload)) if known else EVERYTHING
