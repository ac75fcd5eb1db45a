"""Who asks: the one place that decides it, before any question is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and what he may."""

    name: str = ""
    """Empty: not known."""
    namespaces: frozenset[str] | None = None
    """Whose pods he may see; None: all."""
    may_change: bool = True
    """Silence problems and have nodes walk."""


Who = Callable[[Request], Awaitable[Asker]]
"""Decides who sent a request; raises HTTPException 401 or 403 for one that is not answered."""


async def everybody(request: Request) -> Asker:
    """Take every request for one of somebody who may everything."""
    del request
    return Asker()
