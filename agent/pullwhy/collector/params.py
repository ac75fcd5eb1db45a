"""What a question to the collector may say: every parameter checked and named in the error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pullwhy.collector.fleet import ProblemQuery
from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.records import Query
from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, State
from pullwhy.text import printable

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 500
MAX_VALUE: Final = 512
"""Characters of one value; no name that is looked for is longer."""

FEW: Final = 10
"""Values that an error lists in full."""
SOME: Final = 5
"""Values that an error names of many."""

AGO: Final = "([0-9]{1,6})([smhdw])"
ID_PREFIX: Final = "[0-9a-f]{4,16}"
CURSOR: Final = "(-?[0-9]{1,18})\\.([0-9]{1,18})"
NODE_CURSOR: Final = "((?:[0-9a-f]{2}){0,1012})\\.((?:[0-9a-f]{2}){0,1012})"
PROBLEM_ID: Final = "[0-9a-f]{16}"
PROBLEM_CURSOR: Final = "(-?[0-9]{1,18})\\.([0-9a-f]{1,16})"
MAX_CURSOR: Final = 4096
"""Characters; a node's name may take four bytes for each of its."""

_AGO: Final = re.compile(f"{AGO}\\Z")
_UNIT: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_ID_PREFIX: Final = re.compile(f"{ID_PREFIX}\\Z")
_CURSOR: Final = re.compile(f"{CURSOR}\\Z")
_NODE_CURSOR: Final = re.compile(f"{NODE_CURSOR}\\Z")
_PROBLEM_CURSOR: Final = re.compile(f"{PROBLEM_CURSOR}\\Z")
_PROBLEM_ID: Final = re.compile(f"{PROBLEM_ID}\\Z")
_LEAP_SECOND: Final = re.compile("T[0-9]{2}:[0-9]{2}:60")
_EVER: Final = datetime.min.replace(tzinfo=UTC)


class BadParameter(ValueError):
    """A parameter is unknown or wrong; names it and what it may be."""


def check(items: Iterable[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return the parameters by name; raises BadParameter for one that is unknown, given twice, empty or too long."""
    values: dict[str, str] = {}
    for name, value in items:
        if name not in known:
            may = f"known here: {', '.join(known)}" if known else "there are none here"
            raise BadParameter(f"unknown parameter '{printable(name, 60)}'; {may}")
        if name in values:
            raise BadParameter(f"{name} is given twice; give it once")
        if not value or "\0" in value:
            raise BadParameter(f"{name} is empty or has a NUL: give it a value, or leave it out")
        if len(value) > (MAX_CURSOR if name == "cursor" else MAX_VALUE):
            raise BadParameter(f"{name} has {len(value)} characters, more than {MAX_VALUE}")
        values[name] = value
    return values


def query(values: Mapping[str, str], now: datetime) -> Query:
    """Return which findings are asked for; raises BadParameter."""
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
        cause=one_of("cause", values.get("cause", ""), list(CauseId)),
        state=one_of("state", values.get("state", ""), list(State)),
        problem=_problem_id(values.get("problem", "")),
        since=since(values["since"], now) if "since" in values else None,
        limit=limit(values.get("limit", "")),
        after=_position(values.get("cursor", "")),
    )


def problem_query(values: Mapping[str, str], now: datetime) -> ProblemQuery:
    """Return which problems are asked for; raises BadParameter."""
    image, repository = _image(values.get("image", ""))
    return ProblemQuery(
        cluster=values.get("cluster", ""),
        id_prefix=_id_prefix(values.get("id", "")),
        namespace=values.get("namespace", ""),
        node=values.get("node", ""),
        image=image,
        repository=repository,
        registry=values.get("registry", ""),
        cause=one_of("cause", values.get("cause", ""), list(CauseId)),
        active=_flag("active", values),
        silenced=_flag("silenced", values),
        since=since(values["since"], now) if "since" in values else None,
        limit=limit(values.get("limit", "")),
        after=_problem_position(values.get("cursor", "")),
    )


def _flag(name: str, values: Mapping[str, str]) -> bool | None:
    told = one_of(name, values.get(name, ""), ["true", "false"])
    return told == "true" if told else None


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
            return _span_before(now, ago)
        return _moment(text)
    except ValueError:
        raise BadParameter(
            f"since={printable(text, 60)} is no time: write how long ago (30s, 10m, 2h, 7d) or an RFC 3339 time (2026-01-31T12:00:00Z)"
        ) from None


def until(text: str, now: datetime) -> datetime:
    """Return the time that `10m`, `2h`, `7d` (from now) or an RFC 3339 time means; raises BadParameter."""
    try:
        if span := _AGO.match(text):
            return now + (now - _span_before(now, span))
        return _moment(text)
    except (ValueError, OverflowError):
        raise BadParameter(
            f"until={printable(text, 60)} is no time: write how long (30m, 4h, 2d) or an RFC 3339 time (2026-01-31T12:00:00Z)"
        ) from None


def _span_before(now: datetime, span: re.Match[str]) -> datetime:
    try:
        return now - timedelta(**{_UNIT[span[2]]: int(span[1])})
    except OverflowError:
        return _EVER


def _moment(text: str) -> datetime:
    """Return an RFC 3339 time in UTC, the nearest there is for what lies beyond the calendar; raises ValueError."""
    # RFC 3339 knows the year 0 and leap seconds, Python neither.
    text = text.replace(":60", ":59", 1) if _LEAP_SECOND.search(text) else text
    if text.startswith("0000-"):
        datetime.fromisoformat("2000-" + text[5:])
        return _EVER
    when = datetime.fromisoformat(text)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    try:
        return when.astimezone(UTC)
    except OverflowError:
        return _EVER if when.year == 1 else datetime.max.replace(tzinfo=UTC)


def limit(text: str) -> int:
    """Return the page's size; raises BadParameter."""
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise BadParameter(f"limit={printable(text, 20)} must be a number from 1 to {MAX_LIMIT}")
    return int(text)


def _id_prefix(text: str) -> str:
    if text and not _ID_PREFIX.match(text):
        raise BadParameter(f"id={printable(text, 60)} must be 4 to 16 characters of an id, 0 to 9 and a to f")
    return text


def cursor(position: tuple[int, int]) -> str:
    """Return the text that continues after a finding."""
    return f"{position[0]}.{position[1]}"


def _position(text: str) -> tuple[int, int] | None:
    match = _parts(_CURSOR, text)
    return (int(match[1]), int(match[2])) if match else None


def problem_cursor(position: tuple[int, str]) -> str:
    """Return the text that continues after a problem."""
    return f"{position[0]}.{position[1]}"


def _problem_position(text: str) -> tuple[int, str] | None:
    match = _parts(_PROBLEM_CURSOR, text)
    return (int(match[1]), match[2]) if match else None


def node_cursor(cluster: str, node: str) -> str:
    """Return the text that continues after a node."""
    return f"{cluster.encode().hex()}.{node.encode().hex()}"


def node_position(text: str) -> tuple[str, str] | None:
    """Return what `node_cursor` put into `text`; raises BadParameter."""
    match = _parts(_NODE_CURSOR, text)
    if not match:
        return None
    cluster, node = (bytes.fromhex(part).decode(errors="replace").replace("\0", "") for part in match.groups())
    return cluster, node


def _problem_id(text: str) -> str:
    if text and not _PROBLEM_ID.match(text):
        raise BadParameter(
            f"problem={printable(text, 60)} must be the 16 characters of a problem's id, 0 to 9 and a to f"
        )
    return text


def _parts(form: re.Pattern[str], cursor: str) -> re.Match[str] | None:
    if not cursor:
        return None
    match = form.match(cursor)
    if not match:
        raise BadParameter("cursor is not one that this collector gave; begin again without it")
    return match
