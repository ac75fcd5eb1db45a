"""Who asks: the one place that decides it, before any question is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from pullwhy.collector.access.readers import Readers, Right, Sight, bearer


async def _everything(right: Right) -> bool:
    del right
    return True


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and what he may."""

    name: str = ""
    """Empty: not known."""
    sight: Sight | None = None
    """Whose pods he may see; None: all."""
    may: Callable[[Right], Awaitable[bool]] = _everything
    """Whether he may have nodes walk, or silence problems."""


Who = Callable[[Request], Awaitable[Asker]]
"""Decides who sent a request; raises Denied or CannotTell for one that is not answered."""


async def everybody(request: Request) -> Asker:
    """Take every request for one of somebody who may everything."""
    del request
    return Asker()


def by_token(readers: Readers) -> Who:
    """Return who goes by the bearer token of a request."""

    async def who(request: Request) -> Asker:
        known = await readers.reader(bearer(request.headers.get("authorization", "")))
        return Asker(known.name, known.sight, known.may)

    return who
