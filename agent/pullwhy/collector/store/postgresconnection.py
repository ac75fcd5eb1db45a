"""Connections to PostgreSQL: bounded in time at every point, found again after a loss, and silent about passwords."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import conninfo

from pullwhy.collector.records import BadDatabase, OddRecord, StoreError
from pullwhy.collector.store.postgresfindings import text as plain
from pullwhy.collector.store.postgresschema import SCHEMA
from pullwhy.collector.store.transaction import Cursor
from pullwhy.text import printable

_DEFAULTS: Final = {
    # What a network partition may cost at most (libpq: PQconnectdbParams; tcp(7)).
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "pullwhy collector",
    # Of several hosts the one that can be written to.
    "target_session_attrs": "read-write",
}
CONNECT_SECONDS: Final = 5
_MENDS: Final = {
    "42501": f"this user may not: make it the owner of the database, or of its schema `{SCHEMA}`",
    "53100": "its disk is full: give it space, or lower `retention_days` or `database_mib`",
    "57014": "the question took too long: narrow it",
}


class Target:
    """Where the database is; `name` says so without a secret. Raises StoreError for a URL that is none."""

    def __init__(self, url: str, password_file: str) -> None:
        self._password_file = password_file
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            # libpq's own words may repeat what stands around the fault, a password included.
            raise BadDatabase(
                "database: libpq cannot read this URL: write postgresql://USER@HOST:PORT/NAME?sslmode=verify-full, with special "
                "characters percent-encoded"
            ) from None
        self._parameters = _DEFAULTS | {key: str(value) for key, value in given.items() if value is not None}
        if "PGCONNECT_TIMEOUT" not in os.environ:
            self._parameters.setdefault("connect_timeout", str(CONNECT_SECONDS))
        host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "local socket"
        database = given.get("dbname") or os.environ.get("PGDATABASE") or given.get("user") or ""
        self.name = printable(f"PostgreSQL ({host}, database {database})", 300)

    def parameters(self) -> dict[str, Any]:
        """Return what a connection is made with; the password is read anew, as it may have been changed."""
        if not self._password_file:
            return dict(self._parameters)
        try:
            password = Path(self._password_file).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"database_password_file {self._password_file}: {error}: name a readable file") from error
        return self._parameters | {"password": password}

    def error(self, error: Exception) -> StoreError:
        """Return what `error` means for who asked."""
        if isinstance(error, StoreError):
            return error
        if not isinstance(error, psycopg.Error) or isinstance(error, psycopg.DataError | psycopg.IntegrityError):
            return OddRecord(f"{self.name}: {type(error).__name__}: {printable(str(error), 300)}")
        told = printable(" ".join(str(error).split()) or type(error).__name__, 300)
        return StoreError(f"{self.name}: {_MENDS.get(error.sqlstate or '') or told}")


class Session:
    """One connection, made when it is needed; used by one thread at a time."""

    def __init__(self, target: Target, settings: dict[str, str]) -> None:
        self._target, self._settings = target, settings | {"search_path": SCHEMA}
        self.raw: psycopg.Connection[Any] | None = None

    def connection(self) -> psycopg.Connection[Any]:
        """Return the connection, made anew where there is none; raises psycopg.Error."""
        if self.raw is None:
            self.raw = psycopg.connect(**self._target.parameters(), autocommit=True)
            for name, value in self._settings.items():
                self.raw.execute("SELECT set_config(%s, %s, false)", (name, value))
            # What an agent may forget must survive a crash of the server; stronger settings stay.
            self.raw.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
            )
        return self.raw

    @property
    def pid(self) -> int:
        """Of the server's process, 0 without a connection; may be asked for while another thread uses the session."""
        raw = self.raw  # once: the thread that uses it may discard it meanwhile
        return raw.info.backend_pid if raw is not None and not raw.closed else 0

    def discard(self) -> None:
        """Close the connection."""
        raw, self.raw = self.raw, None
        if raw is not None:
            raw.close()

    def recover(self) -> None:
        """After an error: end its transaction, or the connection where that cannot be done."""
        if self.raw is None:
            return
        try:
            self.raw.rollback()
        except psycopg.Error:
            self.discard()

    def sever(self) -> None:
        """End what another thread waits for: a server that is stopped answers never, and libpq would wait as long."""
        raw = self.raw
        if raw is not None:
            with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(raw.fileno())) as connected:
                connected.shutdown(socket.SHUT_RDWR)


class Statements:
    """A psycopg connection as `transaction.Connection`."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw

    def execute(self, text: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement."""
        return self._raw.execute(_translated(text), _values(parameters))

    def executemany(self, text: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        """Run a statement once for each row of parameters, without waiting between them."""
        cursor = self._raw.cursor()
        cursor.executemany(_translated(text), list(map(_values, rows)))
        return cursor


@functools.lru_cache(maxsize=512)
def _translated(text: str) -> bytes:
    return text.replace("?", "%s").encode()


def _values(parameters: Sequence[Any]) -> list[Any]:
    return [plain(each) if isinstance(each, str) else each for each in parameters]
