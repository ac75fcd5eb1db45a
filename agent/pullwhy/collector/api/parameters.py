"""The parameters of questions, each with its type as OpenAPI tells it; params.py reads them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from pullwhy.collector.api.contract import SpanOrTime, Text
from pullwhy.collector.api.events import TOPICS
from pullwhy.collector.api.operation import Parameter
from pullwhy.collector.fleet import Purpose
from pullwhy.collector.params import (
    CURSOR,
    DEFAULT_LIMIT,
    ID_PREFIX,
    MAX_LIMIT,
    NODE_CURSOR,
    PROBLEM_CURSOR,
    PROBLEM_ID,
)
from pullwhy.model import CauseId, State


def _matching(pattern: str) -> Any:
    return Annotated[str, msgspec.Meta(pattern=f"^{pattern}$")]


_TOPICS: Final = "|".join(TOPICS)

CLUSTER: Final = Parameter("cluster", Text, "only this cluster")
WHICH_CLUSTER: Final = Parameter("cluster", Text, "needed where the id is in several clusters")
NAMESPACE: Final = Parameter("namespace", Text, "only with a pod of this namespace that waits")
POD: Final = Parameter("pod", Text, "only with a pod of this name that waits")
NODE: Final = Parameter("node", Text, "only this node")
IMAGE: Final = Parameter("image", Text, "only this image, as a pod names it; without a tag or digest every tag of it")
REGISTRY: Final = Parameter("registry", Text, "only this registry: host and port, `docker.io` for Docker Hub")
CAUSE: Final = Parameter("cause", CauseId, "only this cause; case does not count")
STATE: Final = Parameter("state", State, "only in this state; case does not count")
ID: Final = Parameter("id", _matching(ID_PREFIX), "only ids that begin so")
SINCE: Final = Parameter("since", SpanOrTime, "last seen since then: how long ago, or a time")
SILENCED: Final = Parameter("silenced", Literal["true", "false"], "only those that are silenced now, or that are not")
ACTIVE: Final = Parameter("active", Literal["true", "false"], "only with an active finding, or without")
PURPOSE: Final = Parameter("purpose", Purpose, "only probes of this kind")
LIMIT: Final = Parameter(
    "limit", Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)], f"items of a page; default {DEFAULT_LIMIT}"
)
CURSOR_PARAMETER: Final = Parameter("cursor", _matching(CURSOR), "the `next` of the page before")
NODE_CURSOR_PARAMETER: Final = Parameter("cursor", _matching(NODE_CURSOR), "the `next` of the page before")
PROBLEM_CURSOR_PARAMETER: Final = Parameter("cursor", _matching(PROBLEM_CURSOR), "the `next` of the page before")
PROBLEM: Final = Parameter("problem", _matching(PROBLEM_ID), "only findings of the problem with this id")
ANSWERED_SINCE: Final = Parameter("since", SpanOrTime, "only walks that took their state since then")
WALKING_NODE: Final = Parameter("node", Text, "only this node, with the whole of what it found")
TOPIC: Final = Parameter(
    "topics", _matching(f"({_TOPICS})(,({_TOPICS})){{0,3}}"), "what to watch, with commas between; default all"
)
PATH_ID: Final = Parameter("id", _matching("[0-9A-Za-z_.-]{1,64}"), "the whole id")
PATH_REGISTRY: Final = Parameter("registry", Text, "host and port, `docker.io` for Docker Hub")
