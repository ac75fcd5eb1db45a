"""The store in SQLite: one thread writes, in groups with one commit each; another reads beside it (WAL)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from pullwhy.collector import queries
from pullwhy.collector.queries import microseconds, moment
from pullwhy.collector.records import (
    FindingRecord,
    NodeFacts,
    OddRecord,
    Query,
    Session,
    Speaker,
    StoredFinding,
    StoredNode,
    StoreError,
    Transition,
)
from pullwhy.collector.schema import prepare

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

GROUP: Final = 1000
"""Pieces of work of one commit at most: under load a commit's cost is shared, and no piece waits long."""
LONGEST_READ_SECONDS: Final = 10.0
_INSTRUCTIONS_PER_CHECK: Final = 100_000


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    done: asyncio.Future[Any]


class SQLiteStore:
    """Implements `records.Store` in one file. Make it with `open_store`."""

    def __init__(
        self, path: Path, writing: sqlite3.Connection, reading: sqlite3.Connection, clock: Callable[[], datetime]
    ) -> None:
        self._path, self._writing, self._reading, self._clock = path, writing, reading, clock
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._reader = ThreadPoolExecutor(1, "store-read")
        self._jobs: list[_Job] = []
        self._work = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._write_groups(), name="store-writer")
        self._version = 0
        self.fault = ""
        self.commits = 0

    @property
    def version(self) -> int:
        """Grows with every change that a query could show."""
        return self._version

    async def open_session(self, speaker: Speaker, facts: NodeFacts) -> Session:
        """Note that an agent is there, and return its session."""
        now = microseconds(self._clock())

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            identity = (speaker.cluster, speaker.node, speaker.outbox_id, now)
            number, acknowledged = connection.execute(queries.OPEN_SESSION, identity).fetchone()
            connection.execute(queries.NOTE_NODE, queries.node_row(speaker, facts, now))
            return number, acknowledged

        number, acknowledged = await self._submit(work)
        return Session(number, speaker, acknowledged)

    async def write(self, session: Session, records: Sequence[FindingRecord], through: int) -> None:
        """Store `records` and that everything up to `through` is; returns when both are committed."""
        now = microseconds(self._clock())

        def work(connection: sqlite3.Connection) -> None:
            for record in records:
                _put(connection, session, record, now)
            connection.execute(queries.ACKNOWLEDGE, (through, now, session.number))

        await self._submit(work)

    async def note_facts(self, speaker: Speaker, facts: NodeFacts) -> None:
        """Keep a node's changed status."""
        row = queries.node_row(speaker, facts, microseconds(self._clock()))
        await self._submit(lambda connection: connection.execute(queries.NOTE_NODE, row).rowcount)

    async def note_seen(self, speakers: Sequence[tuple[str, str]]) -> None:
        """Note that these nodes are there now."""
        now = microseconds(self._clock())
        rows = [(now, *speaker) for speaker in speakers]
        await self._submit(lambda connection: connection.executemany(queries.NOTE_SEEN, rows).rowcount)

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` findings, and nodes, not heard of since `before`."""
        until = microseconds(before)

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(queries.FORGET_NODES, (until,))
            connection.execute(queries.FORGET_SESSIONS, (until,))
            gone = connection.execute(queries.FORGET_FINDINGS, (until, limit)).rowcount
            connection.execute(queries.GIVE_BACK).fetchall()
            return gone

        return await self._submit(work)

    async def shrink(self, limit: int) -> int:
        """Delete the `limit` findings that are missed least."""

        def work(connection: sqlite3.Connection) -> int:
            gone = connection.execute(queries.SHRINK[0], (limit,)).rowcount
            return gone or connection.execute(queries.SHRINK[1], (limit,)).rowcount

        return await self._submit(work)

    async def findings(self, query: Query) -> list[StoredFinding]:
        """Return up to `query.limit` findings, last seen first."""
        text, parameters = queries.findings(query)
        return [queries.stored_finding(row) for row in await self._read(text, parameters)]

    async def finding(self, finding_id: str, cluster: str) -> list[tuple[StoredFinding, list[Transition]]]:
        """Return the finding of this id in each cluster (or in the one named) that has it."""
        rows = await self._read(queries.FINDING, [finding_id, cluster, cluster])
        history = [await self._read(queries.TRANSITIONS, [row[4]]) for row in rows]
        return [
            (queries.stored_finding(row), [Transition(moment(at), state) for at, state in changes])
            for row, changes in zip(rows, history, strict=True)
        ]

    async def nodes(self, cluster: str, node: str, limit: int, after: tuple[str, str] | None) -> list[StoredNode]:
        """Return up to `limit` nodes in the order of cluster and name."""
        parameters: list[str | int] = [cluster, cluster, node, node, *(after or ("", "")), limit]
        rows = await self._read(queries.NODES, parameters)
        return [
            StoredNode(
                row[0],
                row[1],
                moment(row[2]),
                moment(row[3]),
                row[4],
                row[6],
                msgspec.json.decode(row[5], type=NodeFacts),
            )
            for row in rows
        ]

    async def active_by_cause(self) -> dict[str, int]:
        """Count the findings that are Active."""
        return dict(await self._read(queries.ACTIVE_BY_CAUSE, []))

    async def size(self) -> int:
        """Bytes that the stored data take, without what deletions left free."""
        pages = [
            (await self._read(f"PRAGMA {name}", []))[0][0] for name in ("page_count", "freelist_count", "page_size")
        ]
        return int((pages[0] - pages[1]) * pages[2])

    async def close(self) -> None:
        """Commit what is under way and let go."""
        self._closing = True
        self._work.set()
        await self._task
        for pool, connection in ((self._reader, self._reading), (self._writer, self._writing)):
            pool.submit(connection.close)
            pool.shutdown(wait=True)

    async def _submit(self, work: Work[T]) -> T:
        if self._closing:
            raise StoreError(f"{self._path}: the collector stops")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._work.set()
        result: T = await job.done
        return result

    async def _write_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while self._jobs or not self._closing:
            if not self._jobs:
                self._work.clear()
                await self._work.wait()
                continue
            group, self._jobs = self._jobs[:GROUP], self._jobs[GROUP:]
            results = await loop.run_in_executor(self._writer, self._commit, [job.work for job in group])
            self._settle(group, results)

    def _settle(self, group: Sequence[_Job], results: Sequence[Any]) -> None:
        """Give each job its result; a StoreError is raised to who waits for it."""
        faults = {str(each) for each in results if isinstance(each, StoreError) and not isinstance(each, OddRecord)}
        for fault in faults - {self.fault}:
            logger.error("%s", fault)
        if self.fault and not faults:
            logger.info("%s can be written again", self._path)
        self.fault = min(faults, default="")
        self._version += 1
        self.commits += 1
        for job, result in zip(group, results, strict=True):
            if job.done.done():  # who waited for it is gone
                continue
            if isinstance(result, StoreError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)

    def _commit(self, group: Sequence[Work[Any]]) -> list[Any]:
        """Run in the writer's thread: all of `group` in one transaction; a StoreError in place of each result that is lost."""
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            results = [work(self._writing) for work in group]
            self._writing.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - one agent's odd value must not stop the one writer of all
            with contextlib.suppress(sqlite3.Error):
                self._writing.execute("ROLLBACK")
            if len(group) > 1 and not isinstance(error, sqlite3.OperationalError):
                return [self._commit([work])[0] for work in group]
            return [_store_error(self._path, error) for _ in group]
        return results

    async def _read(self, text: str, parameters: list[str | int]) -> list[Any]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST_READ_SECONDS

        def read() -> list[Any]:
            # A question over too much data ends by itself, so that it cannot keep others waiting.
            self._reading.set_progress_handler(lambda: loop.time() > deadline, _INSTRUCTIONS_PER_CHECK)
            return self._reading.execute(text, parameters).fetchall()

        try:
            return await loop.run_in_executor(self._reader, read)
        except sqlite3.Error as error:
            raise _store_error(self._path, error) from error


def open_store(path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> SQLiteStore:
    """Open or make the database and start its writer; needs a running event loop. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What fails where is its owner's business alone; SQLite gives -wal and -shm the same mode (sqlite.org: src/os_unix.c).
        if not path.exists():
            path.touch(0o600)
        writing = _connect(path)
        prepare(writing, str(path))
        reading = _connect(path)
        reading.execute("PRAGMA query_only = ON")
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}: name a file in a directory that can be written, as `database`"
        ) from error
    except sqlite3.Error as error:
        raise _store_error(path, error) from error
    return SQLiteStore(path, writing, reading, clock)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=5.0, check_same_thread=False, cached_statements=256
    )
    # FULL: what an agent may forget must survive a power cut too. Groups share the price of the sync.
    # auto_vacuum comes first: it can be chosen only before anything is written to a new file.
    connection.executescript(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;"
        "PRAGMA wal_autocheckpoint = 8192; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;"
    )
    return connection


def _store_error(path: Path, error: Exception) -> StoreError:
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.DataError | sqlite3.IntegrityError):
        return OddRecord(f"{path}: {type(error).__name__}: {error}")
    mends = {
        "SQLITE_FULL": "the disk is full: give it space, or lower `retention_days` or `database_mib`",
        "SQLITE_CANTOPEN": "it cannot be opened: name a file in a directory that can be written, as `database`",
        "SQLITE_READONLY": "it is read-only: make the file and its directory writable for this user",
        "SQLITE_NOTADB": "this is no SQLite database: name another file in `database`",
        "SQLITE_BUSY": "another program uses it: one collector, one file",
        "SQLITE_INTERRUPT": f"the question took longer than {LONGEST_READ_SECONDS:.0f} s: narrow it",
    }
    name = getattr(error, "sqlite_errorname", "")
    return StoreError(f"{path}: {mends.get(name) or f'{error} ({name})'}")


def _put(connection: sqlite3.Connection, session: Session, record: FindingRecord, now: int) -> None:
    row = queries.finding_row(session, record, now)
    added = connection.execute(queries.ADD_FINDING, row)
    key = added.lastrowid
    if not added.rowcount:
        # Known already; asking for that only now spares each new finding of a burst a quarter of its price.
        updated = connection.execute(queries.UPDATE_FINDING, row).fetchone()
        if not updated:
            return
        (key,) = updated
        connection.execute(queries.CLEAR_PODS, (key,))
    connection.executemany(queries.ADD_POD, [(*pod, key) for pod in record.pods])
