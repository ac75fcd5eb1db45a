"""Connects to every address of a host, and keeps what each one said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pullwhy.probe.addressorder import ordered, winner
from pullwhy.probe.clock import Clock
from pullwhy.probe.network import ConnectFailed, Network, Stream
from pullwhy.trace import ConnectAttempt, ConnectResult

MAX_ADDRESSES: Final = 8
"""Addresses tried of one host."""
EVIDENCE_GRACE: Final = 0.5
"""Seconds that the other addresses still have once one is connected: a dead one among several shows only now and then."""


async def connect(
    network: Network,
    clock: Clock,
    addresses: tuple[str, ...],
    port: int,
    within: float,
    refuses: Callable[[str], str],
) -> tuple[Stream | None, tuple[ConnectAttempt, ...]]:
    """Connect to all `addresses` at once and return the connection that Go would go on with, and every attempt in Go's order.

    An address for which `refuses` gives a reason is not dialled.
    """
    addresses = ordered(addresses, network.source)[:MAX_ADDRESSES]
    attempts: list[ConnectAttempt | None] = []
    tasks: dict[int, asyncio.Task[tuple[Stream | None, ConnectAttempt]]] = {}
    for index, address in enumerate(addresses):
        reason = refuses(address)
        attempts.append(ConnectAttempt(address, port, ConnectResult.NOT_ALLOWED, 0.0, reason) if reason else None)
        if not reason:
            tasks[index] = asyncio.create_task(_attempt(network, clock, address, port, within))
    started = clock.monotonic()
    try:
        await _until_decided(tasks)
    except BaseException:
        _abandon(tasks)
        raise
    streams: dict[int, Stream] = {}
    for index, task in tasks.items():
        if not task.done():
            seconds = clock.monotonic() - started
            detail = f"no answer within {seconds:.1f} s, while another address answered"
            attempts[index] = ConnectAttempt(addresses[index], port, ConnectResult.TIMED_OUT, seconds, detail)
            continue
        stream, attempts[index] = task.result()
        if stream is not None:
            streams[index] = stream
    _abandon({index: task for index, task in tasks.items() if not task.done()})
    made = [attempt for attempt in attempts if attempt is not None]
    chosen = winner(made)
    for index, stream in streams.items():
        if index != chosen:
            stream.close()
    if chosen is None:
        return None, tuple(made)
    made[chosen] = replace(made[chosen], used=True)
    return streams[chosen], tuple(made)


def _abandon(tasks: dict[int, asyncio.Task[tuple[Stream | None, ConnectAttempt]]]) -> None:
    """End attempts; what still connects is closed."""
    for task in tasks.values():
        task.cancel()
        task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[tuple[Stream | None, ConnectAttempt]]) -> None:
    if not task.cancelled() and task.exception() is None:
        stream, _ = task.result()
        if stream is not None:
            stream.close()


async def _until_decided(tasks: dict[int, asyncio.Task[tuple[Stream | None, ConnectAttempt]]]) -> None:
    """Wait until every attempt ended, or one is connected and the others had their grace."""
    pending = set(tasks.values())
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending and any(task.result()[0] is not None for task in done):
            await asyncio.wait(pending, timeout=EVIDENCE_GRACE)
            return


async def _attempt(
    network: Network, clock: Clock, address: str, port: int, within: float
) -> tuple[Stream | None, ConnectAttempt]:
    started = clock.monotonic()
    try:
        stream = await network.connect(address, port, within)
    except ConnectFailed as error:
        return None, ConnectAttempt(address, port, error.result, clock.monotonic() - started, error.detail)
    return stream, ConnectAttempt(address, port, ConnectResult.CONNECTED, clock.monotonic() - started)
