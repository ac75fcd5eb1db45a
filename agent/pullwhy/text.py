"""Make text from strangers safe to show: control characters, terminal escapes and bidirectional marks become visible."""

from __future__ import annotations

from typing import Final

DEFAULT_LIMIT: Final = 2000
"""Characters that `printable` keeps unless told otherwise."""

ELLIPSIS: Final = "…"

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BYTE: Final = 0x100
_BASIC_PLANE: Final = 0x10000


def printable(text: str, limit: int = DEFAULT_LIMIT) -> str:
    r"""Return `text` with everything invisible escaped (`\x1b`, `\u202e`), cut to at most `limit` characters.

    What Unicode calls control, format (bidirectional marks, zero width), surrogate, private or unassigned, and every
    space but U+0020, is escaped. The result holds one line and is safe on a terminal; HTML needs its own escaping.
    """
    head = text[: limit + 1]
    if not head.isprintable():
        head = "".join(character if character.isprintable() else _escape(character) for character in head)
    if len(head) <= limit:
        return head
    return head[: max(limit - 1, 0)] + ELLIPSIS


def counted(number: int | str, noun: str) -> str:
    """Return a number of things, such as `1 node` or `3 nodes`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def _escape(character: str) -> str:
    short = _SHORT.get(character)
    if short is not None:
        return short
    number = ord(character)
    if number < _BYTE:
        return f"\\x{number:02x}"
    if number < _BASIC_PLANE:
        return f"\\u{number:04x}"
    return f"\\U{number:08x}"
