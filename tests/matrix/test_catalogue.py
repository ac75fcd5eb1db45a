"""The catalogue of faults is whole: names are unique, and the core is a part of it."""

from collections import Counter

from matrix.catalogue import ALL, CORE
from matrix.run import GENERATIONS, belongs
from pullwhy.model import CauseId

NOT_MADE = {"Undetermined", "SandboxImageUnavailable"}
"""What is said where the cause is not known: no fault is made to be not known."""


def test_no_two_faults_share_a_name_or_a_pod() -> None:
    assert [name for name, count in Counter(fault.name for fault in ALL).items() if count > 1] == []
    assert [name for name, count in Counter(fault.pod for fault in ALL).items() if count > 1] == []


def test_the_core_needs_no_node_of_its_own() -> None:
    assert [fault.name for fault in CORE if fault.home.private or fault.then or fault.generations] == []


def test_every_cause_is_made_at_least_once() -> None:
    made = {fault.cause for fault in ALL}
    assert {cause.value for cause in CauseId} - made - NOT_MADE == set()


def test_there_are_enough_of_them_on_every_generation() -> None:
    for generation in GENERATIONS:
        assert sum(belongs(fault, generation) for fault in ALL) >= 100
