"""A part of the matrix through agents and a collector: a fault for each cause, and every remedy that is local to the node, executed."""

from collections.abc import Iterator, Mapping

import pytest

from matrix.catalogue import ALL, CORE
from matrix.fault import Fault
from matrix.run import Result, at_hand, belongs, playing

from lab import lab as labs

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

GENERATION = at_hand()


def part() -> list[Fault]:
    """Return every fault with a local remedy, and one for each cause that neither those nor the core's own test make."""
    own = [fault for fault in ALL if belongs(fault, GENERATION)]
    chosen = {fault.name: fault for fault in own if fault.mend is not None}
    made = {fault.cause for fault in (*chosen.values(), *CORE)}
    for fault in own:
        if fault.cause not in made:
            made.add(fault.cause)
            chosen[fault.name] = fault
    return list(chosen.values())


PART = part()


@pytest.fixture(scope="module")
def results() -> Iterator[Mapping[str, Result]]:
    with labs.running() as lab, playing(lab, GENERATION, lambda _: None) as player:
        yield {result.fault.name: result for result in player.play(PART)}


@pytest.mark.parametrize("name", [fault.name for fault in PART])
def test_the_cause_follows_from_how_it_was_made(results: Mapping[str, Result], name: str) -> None:
    result = results[name]
    assert result.right, (result.told, result.trouble, result.seen and result.seen.finding["summary"])
    assert result.confidence in {result.fault.confidence, "Proved"}


@pytest.mark.parametrize("name", [fault.name for fault in PART if fault.mend is not None])
def test_the_remedy_s_own_commands_mend_it(results: Mapping[str, Result], name: str) -> None:
    result = results[name]
    assert result.remedy == result.fault.expected_remedy
    assert result.mended is not None, result.told
    assert result.mended.fault == ""
