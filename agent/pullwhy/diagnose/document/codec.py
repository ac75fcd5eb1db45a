"""A finding as the agent sends it to the collector: JSON with the remedy by id, within bounds that the collector insists on."""

from __future__ import annotations

import dataclasses
import enum
import functools
from datetime import UTC, datetime
from typing import Any

import msgspec

from pullwhy.model import Finding

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


_encoder = msgspec.json.Encoder()


def encode(finding: Finding) -> bytes:
    """Return `finding` as JSON that the collector takes: long texts and lists are cut to the bounds."""
    return _encoder.encode(_cut(finding, ""))


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
        return {key: _cut(getattr(value, key), key) for key in _keys(type(value))}
    return value


@functools.cache
def _keys(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(kind))


def _encodable(text: str) -> str:
    """Return `text` without lone surrogates, which have no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _items(name: str) -> int:
    return MAX_ITEMS.get(name, MAX_OTHER_ITEMS)
