"""Damaged and repeated input: each target ends well, in bounded time and memory."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.catalogue import TARGETS
from fuzz.target import Target

SIZE = 16_384
MEMORY_BASE = 8 << 20
MEMORY_PER_BYTE = 800
"""A parser of Python objects needs tens of bytes for one of input; hundreds are none that grow without bound."""

PATTERNS = [(target, pattern) for target in TARGETS.values() for pattern in target.patterns]


@st.composite
def damaged(draw: st.DrawFn, target: Target) -> bytes:
    """Draw a seed with pieces cut out, doubled, exchanged and overwritten."""
    data = draw(st.sampled_from(target.seeds))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        other = draw(st.sampled_from([*target.seeds, *target.patterns]))
        piece = draw(st.one_of(st.binary(max_size=8), st.just(data[start:end] * 2), st.just(other[:200])))
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_seeds_are_borne(target: Target) -> None:
    for seed in target.seeds:
        target.run(seed)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_damaged_input_is_borne(target: Target, data: st.DataObject) -> None:
    target.run(data.draw(damaged(target)))


@pytest.mark.timeout(30)  # what is linear takes well under a second; what is quadratic, minutes
@pytest.mark.parametrize(("target", "pattern"), PATTERNS, ids=[f"{one.name}-{p!r}" for one, p in PATTERNS])
def test_repeated_pieces_cost_bounded_time_and_memory(target: Target, pattern: bytes) -> None:
    repeated = pattern * (SIZE // len(pattern))
    tracemalloc.start()
    try:
        for data in (repeated, target.seeds[0][: len(target.seeds[0]) // 2] + repeated):
            target.run(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BASE + MEMORY_PER_BYTE * SIZE
