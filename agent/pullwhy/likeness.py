"""Which of many names is most like one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_SIMILAR: Final = 5
MAX_COMPARED: Final = 2_000_000
"""Pairs of characters compared for likeness: about 0.1 s, whatever is listed."""
_CUTOFF: Final = 0.6
"""Likeness (difflib's ratio) from which a name is shown."""


def similar(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names most like `name`, itself left out, the likest first."""
    import difflib  # noqa: PLC0415 - a resting agent does not keep it in memory

    if not name:
        return ()
    left = MAX_COMPARED // len(name)
    compared: list[str] = []
    for other in names:
        left -= len(other)
        if left < 0:
            break
        if other != name:
            compared.append(other)
    return tuple(difflib.get_close_matches(name, compared, MAX_SIMILAR, _CUTOFF))
