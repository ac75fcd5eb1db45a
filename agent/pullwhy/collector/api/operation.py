"""What an operation of the API is: one declaration from which it is routed, checked and described."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pullwhy.collector.api.asker import Asker
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import Store

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Backend:
    """What answers are made from."""

    store: Store
    metrics: Metrics
    connected: Callable[[], set[tuple[str, str]]]
    """Cluster and name of the nodes that have a stream to this collector."""
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Question:
    """A checked request."""

    asker: Asker
    values: Mapping[str, str]
    """Of the query's parameters."""
    path: Mapping[str, str]
    body: Any = None
    """Of the operation's type."""


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
    """Its type; `str` for text that is no JSON."""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    status: int = 200
    media: str = JSON
    errors: tuple[int, ...] = ()
    """Beside those that every operation of its kind may answer."""
    tagged: bool = False
    """Carries an ETag, and is answered 304 while nothing changed."""
    open: bool = False
    """Answered whoever asks, and unknown parameters are passed over: health, metrics, the description itself."""
