"""Nodes take turns, and who has most gives way, however work comes and goes."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.collector.kubernetes.turns import Turns

MOST, OF_NODE = 12, 5


async def done(turns: Turns[str], number: int) -> list[str]:
    """Return the work that is taken next."""
    taken: list[str] = []

    async def take(work: str) -> None:
        taken.append(work)
        if len(taken) == number:
            raise asyncio.CancelledError

    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(1):
            await turns.run(take)
    return taken


def test_nodes_take_turns() -> None:
    turns: Turns[str] = Turns(MOST, OF_NODE)
    for node, key in (("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("b", 2)):
        turns.put(node, key, f"{node}{key}")
    assert asyncio.run(done(turns, 6)) == ["a1", "b1", "c1", "a2", "b2", "a3"]


@pytest.mark.parametrize(
    ("waiting", "taken"), [({"a": 5, "b": 5, "c": 2}, True), ({str(n): 1 for n in range(12)}, False)]
)
def test_where_all_is_full_who_has_most_gives_a_place_to_who_has_less(waiting: dict[str, int], taken: bool) -> None:
    turns: Turns[str] = Turns(MOST, OF_NODE)
    for node, number in waiting.items():
        for key in range(number):
            turns.put(node, key, f"{node}{key}")
    turns.put("new", 1, "new1")
    assert turns.dropped == 1
    assert ("new1" in asyncio.run(done(turns, MOST))) is taken


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd"), st.integers(0, 7)), max_size=80))
def test_the_bounds_hold_whatever_comes_and_goes(steps: list[tuple[bool, str, int]]) -> None:
    turns: Turns[str] = Turns(MOST, OF_NODE)
    for puts, node, key in steps:
        if puts:
            turns.put(node, key, f"{node}{key}")
        else:
            turns.drop(node, key)
        lengths = {node: len(waiting) for node, waiting in turns._of.items()}
        assert turns._all == sum(lengths.values()) <= MOST
        assert all(0 < length <= OF_NODE for length in lengths.values())
        assert {name: length for length, names in turns._by_length.items() for name in names} == lengths
