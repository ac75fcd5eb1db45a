"""SQLite behind the store: one thread writes, in groups with one commit each; others read beside it (WAL)."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from pullwhy.collector.fleet import Change
from pullwhy.collector.records import OddRecord, StoreError
from pullwhy.collector.store import findingsql
from pullwhy.collector.store.database import Database
from pullwhy.collector.store.problemsql import Touched
from pullwhy.collector.store.sqliteschema import prepare
from pullwhy.collector.store.transaction import NOTHING, Connection, FindingState, Transaction, Work

READERS: Final = 3
"""Questions at a time: a long one must not keep the short ones waiting."""
LONGEST_READ_SECONDS: Final = 10.0
_INSTRUCTIONS_PER_CHECK: Final = 100_000

_INSERT_FINDING: Final = f"""
INSERT INTO findings ({findingsql.FINDING_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (node, cluster, id) DO
"""  # noqa: S608 - constants
_ADD_FINDING: Final = f"{_INSERT_FINDING} NOTHING"
_KNOWN_FINDING: Final = "SELECT state, problem FROM findings WHERE node = ? AND cluster = ? AND id = ?"
# A later outbox of the node wins over an earlier one, then the higher sequence number; what was overtaken changes nothing.
_UPDATE_FINDING: Final = f"""{_INSERT_FINDING} UPDATE SET
    session = excluded.session, sequence = excluded.sequence, image = excluded.image, repository = excluded.repository,
    registry = excluded.registry, cause = excluded.cause, state = excluded.state,
    first_us = min(first_us, excluded.first_us), last_us = excluded.last_us, received_us = excluded.received_us,
    document = excluded.document, problem = excluded.problem, pod_count = excluded.pod_count
WHERE (excluded.session, excluded.sequence) > (session, sequence)
RETURNING key
"""
_CLEAR_PODS: Final = "DELETE FROM pods WHERE finding = ?"
_ADD_POD: Final = "INSERT OR IGNORE INTO pods (namespace, name, finding) VALUES (?, ?, ?)"
_GIVE_BACK: Final = "PRAGMA incremental_vacuum(1000)"


class SQLiteDatabase(Database):
    """One file. Make it with `open_sqlite`."""

    def __init__(self, path: Path, writing: sqlite3.Connection, reading: Sequence[sqlite3.Connection]) -> None:
        self._path, self._writing, self._reading = path, writing, reading
        self._free: asyncio.LifoQueue[sqlite3.Connection] = asyncio.LifoQueue()
        for connection in reading:
            self._free.put_nowait(connection)
        self._readers = ThreadPoolExecutor(len(reading), "store-read")
        self._writes = ThreadPoolExecutor(1, "store-write")
        super().__init__(str(path), self._writes)

    async def read(self, text: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that a question is answered with; raises StoreError."""
        loop, connection = asyncio.get_running_loop(), await self._free.get()
        deadline = loop.time() + LONGEST_READ_SECONDS

        def read() -> list[Any]:
            # A question over too much data ends by itself, so that it cannot keep others waiting.
            connection.set_progress_handler(lambda: loop.time() > deadline, _INSTRUCTIONS_PER_CHECK)
            return connection.execute(text, parameters).fetchall()

        asking = loop.run_in_executor(self._readers, read)
        # Who asked may go away; the connection is not free before its thread is.
        asking.add_done_callback(lambda _: self._free.put_nowait(connection))
        try:
            return await asyncio.shield(asking)
        except sqlite3.Error as error:
            raise _store_error(self._path, error) from error

    async def size(self) -> int:
        """Bytes that the stored data take, without what deletions left free."""
        pages = [(await self.read(f"PRAGMA {name}"))[0][0] for name in ("page_count", "freelist_count", "page_size")]
        return int((pages[0] - pages[1]) * pages[2])

    def alone(self, connection: Connection) -> bool:
        """Return True: one collector, one file."""
        del connection
        return True

    def deleted(self, connection: Connection, findings: int = 0, walks: int = 0) -> None:
        """Give pages that deletions left free back to the filesystem, some at a time."""
        del findings, walks
        connection.execute(_GIVE_BACK).fetchall()

    async def close(self) -> None:
        """Commit what is under way and let go."""
        await super().close()
        for pool in (self._readers, self._writes):
            pool.shutdown()
        for connection in (*self._reading, self._writing):
            connection.close()

    def commit(self, group: Sequence[Work]) -> tuple[list[Any], Change]:
        """Do all of `group` in one transaction; a StoreError stands in place of each result that is lost."""
        transaction = Transaction(self._writing)
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            results = [work(transaction) for work in group]
            self.flush(transaction)
            self._writing.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - one agent's odd value must not stop the one writer of all
            with contextlib.suppress(sqlite3.Error):
                self._writing.execute("ROLLBACK")
            if len(group) > 1 and not isinstance(error, sqlite3.OperationalError):
                return self.commit_singly(group)
            return [_store_error(self._path, error) for _ in group], NOTHING
        return results, transaction.change

    def store_states(self, connection: Connection, states: Sequence[FindingState]) -> Touched:
        """Store states of findings one by one: without a network between, a statement for each costs least."""
        touched = Touched()
        for state in states:
            _put(connection, state, touched)
        return touched


def _put(connection: Any, state: FindingState, touched: Touched) -> None:
    row = findingsql.finding_row(state)
    added = connection.execute(_ADD_FINDING, row)
    key, changed = added.lastrowid, True
    if not added.rowcount:
        # Known already; asking for that only now spares each new finding of a burst a quarter of its price.
        cluster, node, finding_id = row[:3]
        before, problem = connection.execute(_KNOWN_FINDING, (node, cluster, finding_id)).fetchone()
        updated = connection.execute(_UPDATE_FINDING, row).fetchone()
        if not updated:
            return
        (key,) = updated
        connection.execute(_CLEAR_PODS, (key,))
        changed = (before, problem) != (state.record.state, row[14])
        if problem != row[14]:
            touched.left.add(problem)
    for namespace, name in state.record.pods:
        connection.execute(_ADD_POD, (namespace, name, key))
    touched.add(state, row, changed=changed)


def open_sqlite(path: Path) -> SQLiteDatabase:
    """Open or make the file and start its writer; needs a running event loop. Raises StoreError."""
    try:
        path.parent.mkdir(exist_ok=True)  # no more than that: a path that is mistyped, or not mounted, is to be seen
        # What fails where is its owner's business alone; SQLite gives -wal and -shm the same mode (sqlite.org: src/os_unix.c).
        if not path.exists():
            path.touch(0o600)
        writing = _connect(path)
        prepare(writing, str(path))
        reading = [_connect(path) for _ in range(READERS)]
        for connection in reading:
            connection.execute("PRAGMA query_only = ON")
    except OSError as error:
        above = path.parent.parent
        why = error.strerror if above.is_dir() else f"there is no directory {above}"
        raise StoreError(f"{path}: {why}: name a file in a directory that can be written, as `database`") from error
    except sqlite3.Error as error:
        raise _store_error(path, error) from error
    return SQLiteDatabase(path, writing, reading)


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
    if isinstance(error, StoreError):
        return error
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
