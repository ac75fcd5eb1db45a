"""The runtime's version and what changed between its releases as far as pulling images goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NUMBERS: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")

NEWEST: Final = (2, 3, 0)
"""Assumed where the runtime does not tell its version: the rules that newer releases share."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A runtime's version; `known` is False where it had to be assumed."""

    numbers: tuple[int, int, int] = NEWEST
    known: bool = False

    def at_least(self, major: int, minor: int) -> bool:
        """Whether this is the given release or a newer one."""
        return self.numbers >= (major, minor, 0)

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers)) if self.known else "unknown version"


def parse_version(text: str) -> Version:
    """Read a version as runtimes write it: `v2.1.9`, `1.7.24~ds1`, `1.36.3`."""
    match = _NUMBERS.match(text.strip())
    if match is None:
        return Version()
    return Version((int(match[1]), int(match[2]), int(match[3] or 0)), known=True)
