"""The form in which plans and traces go between the agent and the walk's child: JSON behind its length."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from pullwhy.frozen import frozen
from pullwhy.plan import WalkPlan
from pullwhy.secret import Secret
from pullwhy.trace import Trace

HEADER: Final = 4
"""Bytes of a frame's length, big-endian."""
MAX_PLAN: Final = 16 * 1024 * 1024
"""Bytes; a large trust store has two million."""
MAX_TRACE: Final = 4 * 1024 * 1024
"""Bytes; a walk of eight endpoints in which everything fails has a tenth of it."""


class BrokenFrame(Exception):
    """What came over the pipe is no frame of ours."""


@frozen
class PlanFrame:
    """A plan to walk, under a number that its answer repeats."""

    id: int
    plan: WalkPlan | None
    """None gives up the walk of this number: nobody waits for it any more."""


@frozen
class TraceFrame:
    """What came of a plan."""

    id: int
    trace: Trace


_Frame = TypeVar("_Frame", PlanFrame, TraceFrame)


def encode(frame: PlanFrame | TraceFrame) -> bytes:
    """Return a frame with its length. Secrets are in it: the pipe is the one way that they go, and nobody keeps what went."""
    body = msgspec.json.encode(frame, enc_hook=_reveal)
    return len(body).to_bytes(HEADER, "big") + body


def length(header: bytes, limit: int) -> int:
    """Return the length of the frame that `header` begins; raises BrokenFrame where it is over `limit`."""
    size = int.from_bytes(header, "big")
    if size > limit:
        raise BrokenFrame(f"a frame of {size} bytes, more than {limit}")
    return size


def decode(body: bytes, kind: type[_Frame]) -> _Frame:
    """Read a frame's body; raises BrokenFrame, whose text repeats none of it."""
    try:
        return msgspec.json.decode(body, type=kind, dec_hook=_hide)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BrokenFrame(f"a frame that is no {kind.__name__}: {type(error).__name__}") from error


def _reveal(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"no form for {type(value).__name__}")


def _hide(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError(f"no {kind.__name__}")
