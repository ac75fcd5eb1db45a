"""TOML as the runtimes read it, with what their readers see and Python's does not keep: table headers and lines."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.redact import redact

Table = dict[str, Any]

_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_SPANNING: Final = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
)


class InvalidTOML(ValueError):
    """A file is no TOML; `line` and `column` count from 1 and are None where the reader does not tell."""

    def __init__(self, why: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        self.column = column


@frozen
class Header:
    """A table header such as `[host."https://mirror.example"]`, with the line that it stands on."""

    line: int
    keys: tuple[str, ...]


def parse(data: bytes, *, go_toml_1: bool = False) -> Table:
    """Parse a file's bytes; raises InvalidTOML.

    `go_toml_1` says that containerd before 2.0 reads the file, whose reader ends a table header at the first bracket, in quotes or not
    (go-toml 1.9: lexer.go, lexInsideTableKey).
    """
    table = _parse(data)
    text = data.decode()
    for mark in (*headers(text), *headers(text, arrays=True)) if go_toml_1 else ():
        if any(bracket in key for key in mark.keys for bracket in "[]"):
            raise InvalidTOML("this containerd takes no bracket inside the name of a table", mark.line)
    return table


def _parse(data: bytes) -> Table:
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidTOML("it is not UTF-8", data.count(b"\n", 0, error.start) + 1) from None
    except tomllib.TOMLDecodeError as error:
        text = redact(str(error))  # it names keys, and a key may be an address with a password
        at = _AT.search(text)
        if at is None:
            raise InvalidTOML(text) from None
        why = text[: at.start()]
        line, column = (int(at[1]), int(at[2])) if at[1] else (data.count(b"\n") + 1, None)
        raise InvalidTOML(why, line, column) from None
    except RecursionError:
        raise InvalidTOML("it is nested too deeply") from None


def headers(text: str, *, arrays: bool = False) -> tuple[Header, ...]:
    """Return the `[table]` headers of a valid document, in file order; with `arrays` the `[[array]]` headers instead."""
    inside = _lines_inside_strings(text)
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        begin = line.lstrip(" \t")
        if number not in inside and begin.startswith("[") and begin.startswith("[[") == arrays:
            keys = _keys(line.strip(" \t\r"))
            if keys:
                found.append(Header(number, keys))
    return tuple(found)


def line_of(text: str, table: tuple[str, ...], key: str) -> int | None:
    """Return the line of `key = …` in `[table]` (the top level for an empty tuple), None where it is not found."""
    marks = headers(text)
    if table:
        begin = next((mark.line for mark in marks if mark.keys == table), None)
        if begin is None:
            return None
    else:
        begin = 0
    later = (mark.line for mark in (*marks, *headers(text, arrays=True)) if mark.line > begin)
    end = min(later, default=None)
    assignment = re.compile(rf"[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", re.IGNORECASE)
    lines = text.split("\n")
    for number in range(begin + 1, end if end is not None else len(lines) + 1):
        if assignment.match(lines[number - 1]):
            return number
    return None


def get(table: Table, key: str) -> Any:
    """Return a key's value as go-toml decodes it into a field: the exact spelling first, then any other case."""
    if key in table:
        return table[key]
    return next((value for name, value in table.items() if name.lower() == key), None)


def _keys(header: str) -> tuple[str, ...]:
    try:
        table = tomllib.loads(header)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    keys = []
    while len(table) == 1:
        key, value = next(iter(table.items()))
        if isinstance(value, list):  # the header of an array, and the one table in it
            value = value[0] if value else None
        if not isinstance(value, dict):
            return ()
        keys.append(key)
        table = value
    return tuple(keys)


def _lines_inside_strings(text: str) -> set[int]:
    inside: set[int] = set()
    line, position = 1, 0
    for token in _SPANNING.finditer(text):
        line += text.count("\n", position, token.start())
        breaks = text.count("\n", token.start(), token.end())
        inside.update(range(line + 1, line + breaks + 1))
        line, position = line + breaks, token.end()
    return inside
