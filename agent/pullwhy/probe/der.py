"""Reads DER (X.690) as far as certificates need it: bounded, without copies, and strict about lengths."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pullwhy.frozen import frozen

MAX_CHILDREN: Final = 512
"""Elements of one sequence or set."""

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
SEQUENCE: Final = 0x30
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18

_LONG: Final = 0x80
_MAX_LENGTH_BYTES: Final = 4
_CENTURY: Final = 50
"""Two-digit years below it are of the 21st century (RFC 5280 section 4.1.2.5.1)."""


class Malformed(ValueError):
    """Bytes that are no DER, or not what was looked for."""


@frozen
class Element:
    """One element: its tag, its content and, in `whole`, all of its bytes."""

    tag: int
    content: bytes
    whole: bytes

    def children(self) -> list[Element]:
        """Return the elements inside; raises Malformed."""
        found: list[Element] = []
        place = 0
        while place < len(self.content):
            if len(found) == MAX_CHILDREN:
                raise Malformed("too many elements")
            element, place = _read(self.content, place)
            found.append(element)
        return found


def only(data: bytes, tag: int | None = None) -> Element:
    """Return the one element that `data` is; raises Malformed, for trailing bytes too."""
    element, end = _read(data, 0)
    if end != len(data):
        raise Malformed("trailing data")
    if tag is not None and element.tag != tag:
        raise Malformed(f"tag {element.tag:#x} where {tag:#x} was expected")
    return element


def _read(data: bytes, start: int) -> tuple[Element, int]:
    if len(data) - start < 2:  # noqa: PLR2004 - tag and length
        raise Malformed("cut short")
    tag, length, place = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:  # noqa: PLR2004 - a tag of several bytes, which no certificate has
        raise Malformed("a tag of several bytes")
    if length >= _LONG:
        size = length - _LONG
        if not 0 < size <= _MAX_LENGTH_BYTES or len(data) - place < size or data[place] == 0:
            raise Malformed("no DER length")
        length = int.from_bytes(data[place : place + size], "big")
        place += size
        if length < _LONG:
            raise Malformed("no DER length")
    end = place + length
    if end > len(data):
        raise Malformed("cut short")
    return Element(tag, data[place:end], data[start:end]), end


def oid(content: bytes) -> str:
    """Return an object identifier in dotted form; raises Malformed."""
    numbers: list[int] = []
    value = 0
    for position, byte in enumerate(content):
        value = (value << 7) | (byte & 0x7F)
        if value >> 64:
            raise Malformed("an object identifier out of bounds")
        if byte < _LONG:
            numbers.append(value)
            value = 0
        elif position == len(content) - 1:
            raise Malformed("an object identifier cut short")
    if not numbers:
        raise Malformed("an empty object identifier")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def integer(content: bytes) -> int:
    """Return an INTEGER's value; raises Malformed for one that is empty or longer than it need be."""
    if not content:
        raise Malformed("an empty integer")
    if len(content) > 1 and (content[0], content[1] >> 7) in {(0, 0), (0xFF, 1)}:
        raise Malformed("an integer that is not the shortest")
    return int.from_bytes(content, "big", signed=True)


def time(element: Element) -> datetime:
    """Return a UTCTime's or GeneralizedTime's moment; raises Malformed."""
    text = element.content.decode("ascii", "replace")
    try:
        if element.tag == UTC_TIME and len(text) in {11, 13} and text.endswith("Z"):
            century = "20" if int(text[:2]) < _CENTURY else "19"
            pattern = "%Y%m%d%H%M%SZ" if len(text) == 13 else "%Y%m%d%H%MZ"  # noqa: PLR2004 - with seconds
            return datetime.strptime(century + text, pattern).replace(tzinfo=UTC)
        if element.tag == GENERALIZED_TIME and len(text) == 15:  # noqa: PLR2004 - YYYYMMDDHHMMSSZ
            return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed("no time") from error
    raise Malformed("no time")


def bits(content: bytes) -> tuple[bytes, int]:
    """Return a BIT STRING's bytes and how many bits of the last one do not count; raises Malformed."""
    if not content or content[0] > 7 or (len(content) == 1 and content[0]):  # noqa: PLR2004 - bits of a byte
        raise Malformed("no bit string")
    return content[1:], content[0]
