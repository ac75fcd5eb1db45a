"""The parameters of questions, each with its type as OpenAPI tells it; params.py reads them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from pullwhy.collector.api.operation import Parameter
from pullwhy.collector.params import AGO, CURSOR, DEFAULT_LIMIT, ID_PREFIX, MAX_LIMIT, MAX_VALUE, NODE_CURSOR
from pullwhy.model import CauseId, State

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_VALUE, pattern=r"^[^\x00]*$")]


def moment(*patterns: str) -> Any:
    """Return the type of a text that is a time, or a span of time that one of `patterns` takes."""
    forms = [*({"pattern": f"^{pattern}$"} for pattern in patterns), {"format": "date-time"}]
    return Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"anyOf": forms})]


def _matching(pattern: str) -> Any:
    return Annotated[str, msgspec.Meta(pattern=f"^{pattern}$")]


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
SINCE: Final = Parameter("since", moment(AGO), "last seen since then: how long ago, or a time")
LIMIT: Final = Parameter(
    "limit", Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)], f"items of a page; default {DEFAULT_LIMIT}"
)
CURSOR_PARAMETER: Final = Parameter("cursor", _matching(CURSOR), "the `next` of the page before")
NODE_CURSOR_PARAMETER: Final = Parameter("cursor", _matching(NODE_CURSOR), "the `next` of the page before")
PATH_ID: Final = Parameter("id", _matching("[0-9A-Za-z_.-]{1,64}"), "the whole id")
