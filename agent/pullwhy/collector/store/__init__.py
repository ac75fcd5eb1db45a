"""The store: one set of methods and statements over whichever database keeps the data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pullwhy.collector.fleet import Change
from pullwhy.collector.store.database import Database
from pullwhy.collector.store.findings import Findings
from pullwhy.collector.store.problems import Problems
from pullwhy.collector.store.registries import Registries
from pullwhy.collector.store.sqlite import open_sqlite
from pullwhy.collector.store.walks import Walks


class SQLStore(Findings, Problems, Registries, Walks):
    """Implements `records.Store` and `fleet.FleetStore`. Make it with `open_store`."""

    @property
    def version(self) -> int:
        """Grows with every change that a query could show."""
        return self._database.version

    @property
    def fault(self) -> str:
        """Why the last write failed, empty while writing works."""
        return self._database.fault

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener`, in the event loop, soon after something changed."""
        self._database.listen(listener)

    async def close(self) -> None:
        """Commit what is under way and let go."""
        await self._database.close()


def open_store(database: Path | str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> SQLStore:
    """Open or make the database and start its writer; needs a running event loop. Raises StoreError."""
    opened: Database = open_sqlite(Path(database))
    return SQLStore(opened, clock)
