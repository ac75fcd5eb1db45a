"""The operation behind which events.py stands."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from pullwhy.collector.api import parameters as of
from pullwhy.collector.api.events import MOST_WATCHERS, TOPICS, EventStream, TooManyWatchers
from pullwhy.collector.api.operation import Backend, Operation, Question
from pullwhy.collector.params import BadParameter
from pullwhy.text import printable


async def _watch(backend: Backend, question: Question) -> EventStream:
    topics = dict.fromkeys(question.values.get("topics", ",".join(TOPICS)).split(","))
    for topic in topics:
        if topic not in TOPICS:
            raise BadParameter(f"topics: '{printable(topic, 60)}' is unknown; known: {', '.join(TOPICS)}")
    try:
        return EventStream(backend.watchers.watch(topics, question.last_event))
    except TooManyWatchers:
        raise HTTPException(
            503, f"{MOST_WATCHERS} watch already, the most that are served: ask now and then instead, with the ETag"
        ) from None


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/events",
        "watch",
        "Server-sent events: what kind of thing changed",
        _watch,
        str,
        (of.TOPIC,),
        media="text/event-stream",
    ),
)
