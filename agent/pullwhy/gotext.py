"""Go's text forms: quoted strings, and the key=value pairs that klog and logfmt write with them."""

from __future__ import annotations

import json
import re
from typing import Final

MAX_PAIRS: Final = 64
"""Pairs read from one line; klog lines have fewer than a dozen."""

LITERAL: Final = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
"""Pattern of a whole quoted string; its group is the value, still escaped."""

_SIMPLE: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
_SIMPLE_NAMES: Final = {character: name for name, character in _SIMPLE.items() if character != "'"}

_QUOTED: Final = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)("?)', re.DOTALL)
_ESCAPE: Final = re.compile(
    r"((?:\\x[0-9a-fA-F]{2}|\\[0-3][0-7]{2})+)|\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_BYTE: Final = re.compile(r"\\x([0-9a-fA-F]{2})|\\([0-3][0-7]{2})")
_NAME: Final = r"[ \t]*+([A-Za-z_][\w.\-/]{0,127})="
_KEY: Final = re.compile(_NAME)
_QUOTED_PAIR: Final = re.compile(_NAME + LITERAL, re.DOTALL)
_BARE: Final = re.compile(r"[^\s]*+")
_MULTILINE: Final = re.compile(r"<\n((?:\t[^\n]*+\n)*+) >")
_JSON: Final = json.JSONDecoder()
_LAST_RUNE: Final = 0x10FFFF


def quote(text: str) -> str:
    """Return `text` as Go's strconv.Quote writes it (Go 1.27: strconv/quote.go)."""
    return '"' + "".join(_quoted(character) for character in text) + '"'


def unquote(literal: str) -> str:
    r"""Return the value of a whole interpreted Go string literal, the opposite of `quote`.

    Raises ValueError where `literal` is none. Escapes that are bytes (`\xff`) are put together as UTF-8.
    """
    match = _QUOTED.fullmatch(literal)
    if match is None or not match[2]:
        raise ValueError("no Go string literal")
    return unescape(match[1])


def scan_quoted(text: str, start: int = 0) -> tuple[str, int] | None:
    """Return the value of the literal that begins at `start` and the position after it, or None where none begins.

    A literal without its end (a line that was cut) has what is there as its value.
    """
    match = _QUOTED.match(text, start)
    return None if match is None else (unescape(match[1]), match.end())


def unescape(text: str) -> str:
    """Return `text`, the inside of a Go string literal, with its escapes resolved; unknown escapes stay as they are."""
    if "\\" not in text:
        return text
    # Nearly every escape is one of these; each pair of backslashes is one token, so between pairs plain replacing is right.
    plain = [part.replace('\\"', '"') for part in text.split("\\\\")]
    if "\\" in "".join(plain):
        plain = [part.replace("\\n", "\n").replace("\\t", "\t") for part in plain]
        if "\\" in "".join(plain):
            return _ESCAPE.sub(_unescaped, text)
    return "\\".join(plain)


def pairs(text: str, start: int = 0) -> dict[str, str]:
    """Return the key=value pairs of `text` from `start` on, values unquoted; of equal keys the last counts.

    Understands what klog (v2.140: internal/serialize/keyvalues.go) and logfmt write: quoted strings, JSON values, bare
    words, and klog's multi-line form (`key=<`, lines led by a tab, ` >`). Reading stops at the first text that is no pair.
    """
    found: dict[str, str] = {}
    for _ in range(MAX_PAIRS):
        key = _QUOTED_PAIR.match(text, start)  # nearly every pair of an error is one
        if key is not None:
            value, start = unescape(key[2]), key.end()
        else:
            key = _KEY.match(text, start)
            if key is None:
                break
            value, start = _value(text, key.end())
        found.pop(key[1], None)
        found[key[1]] = value
    return found


def _value(text: str, start: int) -> tuple[str, int]:
    first = text[start : start + 1]
    if first == '"':
        scanned = scan_quoted(text, start)
        if scanned is not None:
            return scanned
    if first == "<":
        block = _MULTILINE.match(text, start)
        if block is not None:
            return "\n".join(line[1:] for line in block[1].split("\n")[:-1]), block.end()
    if first in ("{", "["):
        try:
            _, end = _JSON.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            return text[start:end], end
    bare = _BARE.match(text, start)
    end = bare.end() if bare else start
    return text[start:end], end


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        raw = bytes(int(hexed, 16) if hexed else int(octal, 8) for hexed, octal in _BYTE.findall(match[1]))
        return raw.decode("utf-8", errors="replace")
    number = int(match[2] or match[3] or "-1", 16)
    if number >= 0:
        return chr(number) if number <= _LAST_RUNE else "\ufffd"
    return _SIMPLE.get(match[4], match[0])


def _quoted(character: str) -> str:
    if character in _SIMPLE_NAMES:
        return f"\\{_SIMPLE_NAMES[character]}"
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x80:  # noqa: PLR2004 - ASCII; above it Go writes runes
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004 - the basic plane
