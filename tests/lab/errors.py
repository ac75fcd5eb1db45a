"""What the lab raises, and how it waits: every wait has a deadline and says what it waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class LabError(Exception):
    """A part of the lab did not come up or did not answer; the text names it, with its last log lines."""


def wait_for(
    what: str,
    probe: Callable[[], Result | None],
    *,
    seconds: float,
    every: float = 0.02,
    log: Callable[[], str] = str,
) -> Result:
    """Return the first truthy answer of *probe*, asked every *every* seconds for at most *seconds*.

    Raises LabError with *what* and the text of *log* when the time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            tail = log()
            raise LabError(f"waited {seconds:g} s in vain for {what}" + (f"; its last lines:\n{tail}" if tail else ""))
        time.sleep(every)


def last_lines(text: str, count: int = 25) -> str:
    """Return the last *count* lines of *text*."""
    return "\n".join(text.splitlines()[-count:])
