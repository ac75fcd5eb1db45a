"""Findings as they arrive from elsewhere and as they are stored, decoded within the bounds of diagnose/document/codec.py.

The bounds are compiled into msgspec's decoder: a burst brings thousands of documents in seconds, and to walk each in Python costs
ten times as much.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from pullwhy.diagnose.document.codec import (
    MAX_COUNT,
    MAX_DOCUMENT,
    MAX_ITEMS,
    MAX_OTHER_ITEMS,
    MAX_SHORT,
    MAX_STRINGS,
    InvalidDocument,
)
from pullwhy.model import SCHEMA, Finding


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
        raise InvalidDocument(f"the schema is {finding.schema!r}, not {SCHEMA!r}: `$.schema`")
    for name in ("id", "node", "image"):
        if not getattr(finding, name):
            raise InvalidDocument(f"it is empty: `$.{name}`")
    moments = [finding.first_seen, finding.last_seen, finding.resolved_at, finding.kubelet.next_retry_at]
    moments += [pod.next_retry_at for pod in finding.pods]
    if any(moment is not None and moment.tzinfo is not UTC for moment in moments):
        raise InvalidDocument("a time is not in UTC")
    return finding


def _bounded(hint: Any, name: str) -> Any:
    """Return the type that takes what `hint` takes, within the bounds of a field called `name`."""
    if hint is str:
        return Annotated[str, msgspec.Meta(max_length=MAX_STRINGS.get(name, MAX_SHORT))]
    if hint in (int, float):
        return Annotated[hint, msgspec.Meta(ge=0, le=MAX_COUNT)]
    if hint is datetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _bounded_fields(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    items = msgspec.Meta(max_length=MAX_ITEMS.get(name, MAX_OTHER_ITEMS))
    if origin is tuple:
        return Annotated[types.GenericAlias(tuple, (_bounded(arguments[0], ""), ...)), items]
    if origin is dict:
        return Annotated[types.GenericAlias(dict, (_bounded(arguments[0], ""), _bounded(arguments[1], ""))), items]
    if origin in (types.UnionType, typing.Union):
        return typing.Union[tuple(_bounded(each, name) for each in arguments)]  # noqa: UP007 - made of a tuple
    return hint


def _bounded_fields(kind: type[Any]) -> Any:
    """Return a subclass of the dataclass `kind` whose fields are bounded: what it decodes to is a `kind`."""
    hints = typing.get_type_hints(kind)
    fields = [(each.name, _bounded(hints[each.name], each.name), _default(each)) for each in dataclasses.fields(kind)]
    return dataclasses.make_dataclass(kind.__name__, fields, bases=(kind,), frozen=True, slots=True)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory)
    return dataclasses.field() if field.default is dataclasses.MISSING else dataclasses.field(default=field.default)


_decoder: Final[msgspec.json.Decoder[Finding]] = msgspec.json.Decoder(_bounded_fields(Finding))
