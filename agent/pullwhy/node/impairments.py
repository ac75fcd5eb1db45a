"""What this agent cannot see or do at present: one line each, said once in the log, and sent along with the node's status."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pullwhy.text import printable

logger = logging.getLogger(__name__)


class Impairments:
    """One line for each source of trouble."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self.listener: Callable[[], None] = lambda: None
        """Called after each change."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Every line, oldest first."""
        return tuple(self._lines.values())

    def of(self, source: str) -> str:
        """Return what is wrong with `source`; empty where all is well."""
        return self._lines.get(source, "")

    def set(self, source: str, line: str) -> None:
        """Say what is wrong with `source`; an empty line says that all is well."""
        before = self._lines.get(source, "")
        if line == before:
            return
        if line:
            self._lines[source] = line
            logger.warning("%s", printable(line, 1000))
        else:
            del self._lines[source]
            logger.info("%s: works again", source)
        self.listener()
