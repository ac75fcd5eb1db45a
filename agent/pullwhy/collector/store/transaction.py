"""What one group of work is done with: a connection of whichever database, and what is gathered until the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pullwhy.collector.fleet import Change
from pullwhy.collector.records import FindingRecord, Session

NOTHING: Final = Change(0)


class Cursor(Protocol):
    """What a statement came to."""

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""

    def fetchone(self) -> Any:
        """Return the next row, None where there is none."""

    def fetchall(self) -> list[Any]:
        """Return all rows."""


class Connection(Protocol):
    """Runs statements; parameters are written `?`, whatever the database."""

    def execute(self, text: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run one statement."""

    def executemany(self, text: str, rows: Iterable[Sequence[Any]], /) -> Cursor:
        """Run a statement once for each row of parameters."""


@dataclass(frozen=True, slots=True)
class FindingState:
    """A state of a finding that is to be stored: who reported it, and when it came."""

    session: Session
    record: FindingRecord
    received_us: int


@dataclass(slots=True)
class Transaction:
    """What one group of work does; the states of findings are stored together at its end."""

    connection: Connection
    states: list[FindingState] = field(default_factory=list)
    acknowledged: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Session → sequence number up to which everything is stored, and when that was."""
    change: Change = NOTHING


Work = Callable[[Transaction], Any]
