"""What a question to the collector may say: every parameter checked and named in the error."""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.records import Query
from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, State
from pullwhy.text import printable

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 500
MAX_VALUE: Final = 512
"""Characters of one value; no name that is looked for is longer."""

FINDING_PARAMETERS: Final = (
    "cluster", "namespace", "pod", "id", "node", "image", "registry", "cause", "state", "since", "limit", "cursor",
)  # fmt: skip
NODE_PARAMETERS: Final = ("cluster", "node", "limit", "cursor")

FEW: Final = 10
"""Values that an error lists in full."""
SOME: Final = 5
"""Values that an error names of many."""

_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])\Z")
_UNIT: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ID_PREFIX: Final = re.compile(r"[0-9a-f]{4,16}\Z")
_POSITION: Final = re.compile(r"(-?[0-9]{1,19})\.([0-9]{1,19})\Z")


class BadParameter(ValueError):
    """A parameter is unknown or wrong; names it and what it may be."""


def check(items: Iterable[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return the parameters by name; raises BadParameter for one that is unknown, given twice or too long."""
    values: dict[str, str] = {}
    for name, value in items:
        if name not in known:
            raise BadParameter(f"unknown parameter '{printable(name, 60)}'; known here: {', '.join(known)}")
        if name in values:
            raise BadParameter(f"{name} is given twice; give it once")
        if len(value) > MAX_VALUE:
            raise BadParameter(f"{name} has {len(value)} characters, more than {MAX_VALUE}")
        values[name] = value
    return values


def query(items: Iterable[tuple[str, str]], now: datetime) -> Query:
    """Return which findings are asked for; raises BadParameter."""
    values = check(items, FINDING_PARAMETERS)
    image, repository = _image(values.get("image", ""))
    return Query(
        cluster=values.get("cluster", ""),
        namespace=values.get("namespace", ""),
        pod=values.get("pod", ""),
        id_prefix=_id_prefix(values.get("id", "")),
        node=values.get("node", ""),
        image=image,
        repository=repository,
        registry=values.get("registry", ""),
        cause=one_of("cause", values.get("cause", ""), [str(cause) for cause in CauseId]),
        state=one_of("state", values.get("state", ""), [str(state) for state in State]),
        since=since(values["since"], now) if values.get("since") else None,
        limit=limit(values.get("limit", "")),
        after=_position(values.get("cursor", "")),
    )


def _image(text: str) -> tuple[str, str]:
    """Return the image and repository columns that `text` asks for: one that names no tag asks for every tag."""
    if not text:
        return "", ""
    canonical, repository = image_columns(text)
    try:
        every_tag = "tag" in parse(text).defaulted
    except InvalidReference:
        every_tag = False
    return "" if every_tag else canonical, repository


def one_of(name: str, value: str, known: Sequence[str]) -> str:
    """Return `value` in its own spelling (case does not count); raises BadParameter where it is none of `known`."""
    if not value:
        return ""
    spelled = {each.lower(): each for each in known}
    if value.lower() in spelled:
        return spelled[value.lower()]
    raise BadParameter(f"{name}={printable(value, 60)} is unknown; {_nearest(value[:60].lower(), spelled)}")


def _nearest(value: str, spelled: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(value, spelled, n=1)
    if close:
        return f"did you mean {spelled[close[0]]}?"
    if len(spelled) <= FEW:
        return f"known: {', '.join(spelled.values())}"
    near = [each for each in spelled if value in each] or difflib.get_close_matches(value, spelled, n=SOME, cutoff=0.0)
    return f"the nearest are {', '.join(spelled[each] for each in near[:SOME])}"


def since(text: str, now: datetime) -> datetime:
    """Return the time that `10m`, `2h`, `7d` (ago) or an RFC 3339 time means; raises BadParameter."""
    try:
        if ago := _AGO.match(text):
            return now - timedelta(**{_UNIT[ago[2]]: int(ago[1])})
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadParameter(
            f"since={printable(text, 60)} is no time: write how long ago (30s, 10m, 2h, 7d) or an RFC 3339 time (2026-01-31T12:00:00Z)"
        ) from None


def limit(text: str) -> int:
    """Return the page's size; raises BadParameter."""
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise BadParameter(f"limit={printable(text, 20)} must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def cursor(position: tuple[int, int]) -> str:
    """Return the text that continues after a finding."""
    return f"{position[0]}.{position[1]}"


def _id_prefix(text: str) -> str:
    if text and not _ID_PREFIX.match(text):
        raise BadParameter(f"id={printable(text, 60)} must be 4 to 16 characters of an id, 0 to 9 and a to f")
    return text


def _position(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = _POSITION.match(text)
    if not match or max(int(match[1]), int(match[2])) >= 2**63:
        raise BadParameter("cursor is not one that this collector gave; begin again without it")
    return int(match[1]), int(match[2])


def node_cursor(cluster: str, node: str) -> str:
    """Return the text that continues after a node."""
    return base64.urlsafe_b64encode(f"{cluster}\n{node}".encode()).decode()


def node_position(text: str) -> tuple[str, str] | None:
    """Return what `node_cursor` put into `text`; raises BadParameter."""
    if not text:
        return None
    try:
        cluster, node = base64.urlsafe_b64decode(text).decode().split("\n")
    except ValueError:
        raise BadParameter("cursor is not one that this collector gave; begin again without it") from None
    return cluster, node
