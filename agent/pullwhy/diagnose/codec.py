"""A finding as the agent sends it to the collector: JSON with the remedy by id, bounded on both sides."""

from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, datetime
from typing import Any

import msgspec

from pullwhy.model import SCHEMA, Finding

MAX_DOCUMENT = 512 * 1024
"""Bytes of one document."""
MAX_STRINGS: dict[str, int] = {"last_message": 8192, "message": 8192, "id": 64, "schema": 32}
"""Characters, where they differ from `MAX_SHORT`."""
MAX_SHORT = 2048
MAX_ITEMS: dict[str, int] = {"pods": 256, "evidence": 64, "trace": 256, "factors": 32, "arguments": 64, "in_common": 32}
"""Entries of a list or map; others have `MAX_OTHER_ITEMS`. A node runs fewer pods than that at once."""
MAX_OTHER_ITEMS = 32
MAX_COUNT = 2**53
"""The largest whole number that every JSON reader takes for what it is."""


class InvalidDocument(ValueError):
    """Bytes that are no finding; the text names the key and what is wrong with it."""


_decoder = msgspec.json.Decoder(Finding, strict=True)
_encoder = msgspec.json.Encoder()


def encode(finding: Finding) -> bytes:
    """Return `finding` as JSON that `decode` takes: long texts and lists are cut to the bounds."""
    return _encoder.encode(_cut(finding, ""))


def decode(data: bytes) -> Finding:
    """Return the finding in `data`, times in UTC.

    Raises InvalidDocument for what is no finding of this schema or exceeds the bounds.
    """
    if len(data) > MAX_DOCUMENT:
        raise InvalidDocument(f"the document has {len(data)} bytes, more than {MAX_DOCUMENT}")
    try:
        finding = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidDocument(str(error)[:300]) from error
    if finding.schema != SCHEMA:
        raise InvalidDocument(f"the schema is {finding.schema[:40]!r}, not {SCHEMA!r}: `$.schema`")
    for name in ("id", "node", "image"):
        if not getattr(finding, name):
            raise InvalidDocument(f"it is empty: `$.{name}`")
    checked: Finding = _check(finding, "$", "")
    return checked


def _cut(value: Any, name: str) -> Any:
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return _encodable(value)[: MAX_STRINGS.get(name, MAX_SHORT)]
    if isinstance(value, dict):
        return {_encodable(key)[:MAX_SHORT]: _cut(item, "") for key, item in list(value.items())[: _items(name)]}
    if isinstance(value, tuple):
        return tuple(_cut(item, "") for item in value[: _items(name)])
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return dataclasses.replace(value, **{f.name: _cut(getattr(value, f.name), f.name) for f in fields})
    return value


def _encodable(text: str) -> str:
    """Return `text` without lone surrogates, which have no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _check(value: Any, path: str, name: str) -> Any:
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        _bound(len(value), MAX_STRINGS.get(name, MAX_SHORT), path, "characters")
    elif isinstance(value, dict):
        _bound(len(value), _items(name), path, "entries")
        for key, item in value.items():
            _check(key, f"{path}[...]", "")
            _check(item, f"{path}[...]", "")
    elif isinstance(value, tuple):
        _bound(len(value), _items(name), path, "entries")
        return tuple(_check(item, f"{path}[{index}]", "") for index, item in enumerate(value))
    elif isinstance(value, datetime):
        return _in_utc(value, path)
    elif isinstance(value, (int, float)):
        if not 0 <= value <= MAX_COUNT:
            raise InvalidDocument(f"{value} is out of range: `{path}`")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        new = {f.name: _check(getattr(value, f.name), f"{path}.{f.name}", f.name) for f in fields}
        return dataclasses.replace(value, **new)
    return value


def _in_utc(value: datetime, path: str) -> datetime:
    if value.tzinfo is None:
        raise InvalidDocument(f"the time has no zone: `{path}`")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidDocument(f"the time is out of range: `{path}`") from error


def _items(name: str) -> int:
    return MAX_ITEMS.get(name, MAX_OTHER_ITEMS)


def _bound(size: int, limit: int, path: str, unit: str) -> None:
    if size > limit:
        raise InvalidDocument(f"{size} {unit}, more than {limit}: `{path}`")
