"""The store: one set of methods and statements over whichever database keeps the data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pullwhy.collector.fleet import Change
from pullwhy.collector.records import StoreError
from pullwhy.collector.store.findings import Findings
from pullwhy.collector.store.problems import Problems
from pullwhy.collector.store.registries import Registries
from pullwhy.collector.store.sqlite import open_sqlite
from pullwhy.collector.store.walks import Walks

POSTGRESQL: Final = ("postgresql://", "postgres://")
"""How the URL of a PostgreSQL database begins (libpq: Connection URIs)."""


class SQLStore(Findings, Problems, Registries, Walks):
    """Implements `records.Store` and `fleet.FleetStore`. Make it with `open_store`."""

    @property
    def name(self) -> str:
        """Where the data are, for people; without a secret."""
        return self._database.name

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


def open_store(
    database: Path | str, clock: Callable[[], datetime] = lambda: datetime.now(UTC), password_file: str = ""
) -> SQLStore:
    """Open a file, or the database of a `postgresql://` URL, and start its writer; needs a running event loop. Raises StoreError."""
    if not str(database).startswith(POSTGRESQL):
        return SQLStore(open_sqlite(Path(database)), clock)
    try:
        # Only who uses it needs the library.
        from pullwhy.collector.store.postgres import open_postgres  # noqa: PLC0415
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs psycopg ({error}): install pullwhy[collector,postgres]") from error
    return SQLStore(open_postgres(str(database), password_file), clock)
