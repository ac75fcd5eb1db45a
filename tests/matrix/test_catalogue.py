"""The catalogue of faults is whole: names are unique, and the core is a part of it."""

from collections import Counter

from matrix.catalogue import ALL, CORE


def test_no_two_faults_share_a_name_or_a_pod() -> None:
    assert [name for name, count in Counter(fault.name for fault in ALL).items() if count > 1] == []
    assert [name for name, count in Counter(fault.pod for fault in ALL).items() if count > 1] == []


def test_the_core_needs_no_node_of_its_own() -> None:
    assert [fault.name for fault in CORE if fault.home.private or fault.then or fault.generations] == []
