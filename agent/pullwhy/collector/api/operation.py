"""What an operation of the API is: one declaration from which it is routed, checked and described."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from starlette.exceptions import HTTPException

from pullwhy.collector.api.asker import Asker
from pullwhy.collector.api.events import Watchers
from pullwhy.collector.compare.misses import Found
from pullwhy.collector.fleet import WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.pace import Pace

T = TypeVar("T")

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Backend:
    """What answers are made from."""

    store: WholeStore
    metrics: Metrics
    connected: Callable[[], set[tuple[str, str]]]
    """Cluster and name of the nodes that have a stream to this collector."""
    clock: Callable[[], datetime]
    watchers: Watchers
    changes: Pace
    """Of silences and other small changes."""
    probes: Pace
    """Of probes that people ask for."""
    black_holes: Callable[[], Found]
    """Nodes that fail for many images what others pull."""


@dataclass(frozen=True, slots=True)
class Question:
    """A checked request."""

    asker: Asker
    values: Mapping[str, str]
    """Of the query's parameters."""
    path: Mapping[str, str]
    body: Any = None
    """Of the operation's type."""
    last_event: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query or, where the path names it, of the path."""

    name: str
    kind: Any
    """The type, as msgspec describes it in JSON Schema."""
    meaning: str


Handler = Callable[[Backend, Question], Awaitable[Any]]
"""Returns what is encoded as JSON, or a whole response."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    id: str
    summary: str
    handler: Handler
    answer: Any
    """Its type; `str` for text that is no JSON, None for nothing."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    status: int = 200
    media: str = JSON
    errors: tuple[int, ...] = ()
    """Beside those that every operation of its kind may answer."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Operation that can be asked next → where in the answer the id stands that it needs (a JSON pointer, RFC 6901)."""
    tagged: bool = False
    """Carries an ETag, and is answered 304 while nothing changed."""
    fresh_seconds: int = 0
    """After so long an ETag no longer holds, because time alone changes the answer: a silence ends."""
    open: bool = False
    """Answered whoever asks, and unknown parameters are passed over: health, metrics, the description itself."""


def pace(bucket: Pace, what: str) -> None:
    """Spend a token; raises HTTPException 429 where there is none."""
    if seconds := bucket.try_spend():
        after = str(math.ceil(seconds))
        raise HTTPException(429, f"too many {what} at once: try again in {after} s", {"retry-after": after})


def page_of(found: Sequence[T], size: int, cursor: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """Return the page that begins `found`, of which one more than its size was asked for, and where the next one begins."""
    page = found[:size]
    return page, cursor(page[-1]) if len(found) > size else None
