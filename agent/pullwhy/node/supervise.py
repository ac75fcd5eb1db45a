"""Keeps the agent's tasks running: a fault is logged with its context, counted, and the task begun again after a pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

logger = logging.getLogger(__name__)

PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds; the last one repeats."""
LASTING: Final = 300.0
"""Seconds after which a task that ran counts as healthy again."""


async def supervise(
    name: str,
    task: Callable[[], Awaitable[None]],
    failed: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    told: tuple[type[Exception], ...] = (),
) -> None:
    """Run `task` for ever; ends only by cancellation. `failed` is told the name at each fault.

    A task that ends is begun again too: none of the agent's tasks has an end. Faults of the kinds `told` are the node's and no
    fault of ours: the task has told them in a line of its own, and where they were raised helps nobody.
    """
    faults = 0
    said = ""
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await task()
            error = "it ended"
        except Exception as caught:  # the place where every fault of a task must be caught
            error = f"{type(caught).__name__}: {caught}"
            if error != said and not isinstance(caught, told):
                logger.exception("%s failed; it is started again", name)
        said = error
        failed(name)
        faults = 0 if asyncio.get_running_loop().time() - began > LASTING else faults
        await sleep(PAUSES[min(faults, len(PAUSES) - 1)])
        faults += 1
