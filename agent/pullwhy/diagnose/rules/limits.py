"""Reads a registry's rate-limit headers: how much is allowed, what is left, whose limit it is, and when it ends."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pullwhy.diagnose.rules.verdict import header
from pullwhy.trace import HTTPFacts

MAX_WAIT: Final = timedelta(days=30)
"""A longer wait is not believed; the end is then this far off."""

_HOUR, _MINUTE = 3600, 60
_EPOCH_FROM: Final = 1_000_000_000
"""A number of seconds from here on is a time since 1970, below it is a wait."""
_FIRST: Final = re.compile(r"\s{0,4}(\d{1,12})")
_WINDOW: Final = re.compile(r";\s{0,4}w=(\d{1,9})")


def limit_arguments(http: HTTPFacts | None, now: datetime) -> dict[str, str]:
    """Return what the headers of an answer say about its limit, for summary and remedy; empty where they say nothing.

    Docker Hub sends `ratelimit-limit: N;w=SECONDS` and `docker-ratelimit-source` (docs.docker.com: docker-hub/usage/pulls); others
    `ratelimit-reset` (draft-ietf-httpapi-ratelimit-headers-06) or the same with the prefix `x-`; all may send Retry-After (RFC 9110,
    section 10.2.3).
    """
    limit, left = _either(http, "ratelimit-limit"), _either(http, "ratelimit-remaining")
    amount, remaining, window = _number(limit), remaining_of(http), _window(limit) or _window(left)
    found = {
        "limit": f"{amount} in {window}" if amount and window else amount,
        "remaining": remaining,
        "limited": _whose(header(http, "docker-ratelimit-source")),
        "until": _end(http, now),
    }
    found = {key: value for key, value in found.items() if value}
    if found:
        found["limit_hint"] = _hint(found)
    return found


def remaining_of(http: HTTPFacts | None) -> str:
    """Return how many requests the headers leave, empty where they do not tell."""
    return _number(_either(http, "ratelimit-remaining"))


def _either(http: HTTPFacts | None, name: str) -> str:
    return header(http, name) or header(http, f"x-{name}")


def _number(value: str) -> str:
    found = _FIRST.match(value)
    return str(int(found[1])) if found else ""


def _window(value: str) -> str:
    """Return the window of a limit (`N;w=SECONDS`) in words."""
    found = _WINDOW.search(value)
    seconds = int(found[1]) if found else 0
    if seconds == 0:
        return ""
    for unit, name in ((_HOUR, "h"), (_MINUTE, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _whose(source: str) -> str:
    """Return whose limit it is: an address is that of the node or of what it shares with others, anything else an account."""
    if not source:
        return ""
    try:
        return f"the source address {ipaddress.ip_address(source.strip())}"
    except ValueError:
        return f"the account {source[:80]}"


def _end(http: HTTPFacts | None, now: datetime) -> str:
    """Return when the headers say that the limit ends, empty where they do not, or where that is over."""
    told = (header(http, "retry-after"), header(http, "x-retry-after"), _either(http, "ratelimit-reset"))
    moment = next((found for value in told if value and (found := _moment(value, now)) is not None), None)
    if moment is None or moment <= now:
        return ""
    return min(moment, now + MAX_WAIT).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(value: str, now: datetime) -> datetime | None:
    """Read seconds from now, seconds since 1970, or an HTTP date."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 12:  # noqa: PLR2004 - years
        seconds = int(value)
        if seconds >= _EPOCH_FROM:
            return datetime.fromtimestamp(seconds, UTC)
        return now + min(timedelta(seconds=seconds), MAX_WAIT)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a resting agent does without the whole of email

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _hint(found: dict[str, str]) -> str:
    parts = (
        f"its limit is {found['limit']}" if "limit" in found else "",
        f"{found['remaining']} are left" if "remaining" in found else "",
        f"it counts for {found['limited']}" if "limited" in found else "",
        f"it asks to wait until {found['until']}" if "until" in found else "",
    )
    return "; " + ", ".join(part for part in parts if part)
