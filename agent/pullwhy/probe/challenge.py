"""Parses WWW-Authenticate challenges (RFC 9110 section 11.6.1, RFC 6750 section 3) from whoever sends them."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Final

from pullwhy.frozen import frozen

MAX_LENGTH: Final = 8_192
"""Characters read of all challenges together."""
MAX_CHALLENGES: Final = 8
MAX_PARAMETERS: Final = 16
"""Parameters read of one challenge."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SPACE: Final = re.compile(r"[ \t]*")
_SEPARATOR: Final = re.compile(r"[ \t,]*")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|\Z))")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


@frozen
class Challenge:
    """One scheme with its parameters; scheme and names in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(values: tuple[str, ...]) -> tuple[Challenge, ...]:
    """Return the challenges of all WWW-Authenticate headers, in order; what cannot be read ends its header."""
    challenges: list[Challenge] = []
    left = MAX_LENGTH
    for value in values:
        challenges.extend(_parse_one(value[:left]))
        left -= len(value)
        if left <= 0:
            break
    return tuple(challenges[:MAX_CHALLENGES])


def choose(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Return the challenge that containerd answers: Bearer before Basic (containerd 2.1: core/remotes/docker/authorizer.go)."""
    for scheme in ("bearer", "basic"):
        found = next((one for one in challenges if one.scheme == scheme), None)
        if found is not None:
            return found
    return None


def _parse_one(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    position = _skip(_SEPARATOR, text, 0)
    while len(challenges) < MAX_CHALLENGES:
        scheme = _TOKEN.match(text, position)
        if scheme is None:
            break
        parameters, position = _parameters(text, scheme.end())
        challenges.append(Challenge(scheme[0].lower(), parameters))
    return challenges


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    """Read parameters from `position` on; return them and where the next challenge may begin."""
    parameters: dict[str, str] = {}
    position = _skip(_SPACE, text, position)
    blob = _TOKEN68.match(text, position)
    if blob is not None:
        return parameters, _skip(_SEPARATOR, text, blob.end())
    while len(parameters) < MAX_PARAMETERS:
        position = _skip(_SEPARATOR, text, position)
        name = _TOKEN.match(text, position)
        if name is None:
            break
        equals = _skip(_SPACE, text, name.end())
        if text[equals : equals + 1] != "=":
            return parameters, position  # a token without a value is the next scheme
        value, position = _value(text, _skip(_SPACE, text, equals + 1))
        parameters.setdefault(name[0].lower(), value)
    return parameters, position


def _value(text: str, position: int) -> tuple[str, int]:
    quoted = _QUOTED.match(text, position)
    if quoted is not None:
        return _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
    token = _TOKEN.match(text, position)
    if token is not None:
        return token[0], token.end()
    return "", len(text)


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position
