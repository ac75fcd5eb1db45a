"""Who is asked when: the same round for all collectors, at a registry's pace, first those that were never asked about."""

from typing import Any

from collector.samples import NOW

from pullwhy.collector.compare.rounds import REGISTRY_AT_ONCE, Rounds, following_id, round_id


def rounds() -> Rounds:
    nothing: Any = None  # turns are not stored
    return Rounds(nothing, lambda: NOW)


def test_a_round_that_left_it_open_is_followed_by_the_same_one_for_all_who_know_it() -> None:
    first = round_id("", "registry.example/shop/web:1", NOW)
    chain = [first, following_id(first), following_id(following_id(first))]
    assert chain == [first, f"{first}-1", f"{first}-2"]
    assert following_id(round_id("blue", "registry.example/shop/web:1", NOW)) not in chain


def test_who_asks_again_leaves_the_turns_of_a_registry_to_who_waits_for_his_first() -> None:
    made = rounds()
    spent = [made.turn("", "r", spare=True) for _ in range(int(REGISTRY_AT_ONCE) + 1)]
    assert spent == [0.0] * int(REGISTRY_AT_ONCE) + [1.0], "what nobody else wants is spent, and no turn kept"
    first, second = made.turn("", "r"), made.turn("", "r")
    assert 0.9 < first < second
    assert made.turn("", "other") == 0.0
    assert made.turn("", "other", spare=True) == 0.0
    for _ in range(int(REGISTRY_AT_ONCE)):
        made.turn("", "other")
    assert made.turn("", "other", spare=True) == 1.0
