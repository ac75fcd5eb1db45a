"""Pages of text for people: wrapped lines, and values taken out of a JSON document, escaped and bounded."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pullwhy.text import printable

DEFAULT_WIDTH: Final = 100
NARROWEST: Final = 40
"""Columns; a narrower terminal gets lines of this width."""
MAX_LINE: Final = 1200
"""Characters of one value."""


class Page:
    """Lines of at most a given width; every text that is added is escaped already."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: list[str] = []

    def title(self, text: str) -> None:
        """Begin a part."""
        self._lines += ["", text]

    def paragraph(self, text: str, indent: str = "  ", hanging: str | None = None) -> None:
        """Add `text`, already escaped, wrapped; its own line breaks stay."""
        for line in text.split("\n"):
            self._lines += textwrap.wrap(
                line,
                self._width,
                initial_indent=indent,
                subsequent_indent=indent if hanging is None else hanging,
                break_on_hyphens=False,
                drop_whitespace=True,
            )

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Add names with their values, those that have one."""
        for name, value in rows:
            if value:
                self.paragraph(f"{name:<11} {value}", "  ", " " * 14)

    def verbatim(self, text: str) -> None:
        """Add a line as it is."""
        self._lines.append(text)

    def text(self) -> str:
        """Return the page."""
        return "\n".join(self._lines).strip("\n") + "\n"


def text_of(source: Mapping[str, Any], key: str, default: str = "") -> str:
    """Return a value, escaped and bounded."""
    value = source.get(key)
    return default if value is None or value == "" else printable(str(value), MAX_LINE)


def mapping_of(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a part, empty where it is none."""
    value = source.get(key)
    return value if isinstance(value, Mapping) else {}


def list_of(source: Mapping[str, Any], key: str) -> Sequence[Any]:
    """Return a list, empty where it is none."""
    value = source.get(key)
    return value if isinstance(value, (list, tuple)) else ()


def rows_of(source: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of a list."""
    return (row for row in list_of(source, key) if isinstance(row, Mapping))
