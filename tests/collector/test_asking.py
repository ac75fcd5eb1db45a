"""Few nodes are asked, as different as the fleet has them; none where that tells nothing."""

from datetime import timedelta
from typing import Any

import pytest
from collector.samples import NOW
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.collector.compare.asking import MOST_ASKED, MOST_GROUPS, Fleet, choose, is_local, why_not
from pullwhy.collector.problem import KIND, ProblemKey
from pullwhy.collector.records import NodeFacts, StoredNode
from pullwhy.model import CauseId

HOST = "registry.example.com"


def stored(name: str, *, seen: timedelta = timedelta(), **facts: Any) -> StoredNode:
    return StoredNode("", name, NOW, NOW - seen, "1", 0, NodeFacts(**({"abilities": ("walk",)} | facts)))


def fleet(*nodes: StoredNode) -> Fleet:
    made = Fleet()
    for node in nodes:
        made.add(node, NOW)
    return made


def of_zones(*zones: str, each: int = 10, **facts: Any) -> list[StoredNode]:
    return [stored(f"{zone}{i}", zone=zone, **facts) for zone in zones for i in range(each)]


def test_those_asked_are_spread_over_zones_those_of_the_failing_ones_too() -> None:
    chosen = choose(fleet(*of_zones("a", "b", "c")), ["a0", "a1"], HOST)
    assert sorted(name[0] for name in chosen) == ["a", "a", "b", "b", "c", "c"]
    assert chosen[0].startswith("a")


def test_each_configuration_is_asked() -> None:
    nodes = [stored(f"n{i}", configuration={"proxy": "set" if i == 40 else "none"}) for i in range(50)]
    assert "n40" in choose(fleet(*nodes), ["n0"], HOST)


def test_those_that_hold_images_of_the_registry_come_first() -> None:
    nodes = [*of_zones("a", "b"), *of_zones("x", each=4, registries=(HOST,))]
    chosen = choose(fleet(*nodes), [], HOST)
    assert {name[0] for name in chosen[:4]} == {"x"}
    assert len(chosen) == MOST_ASKED


def test_who_cannot_walk_is_gone_or_fails_is_not_asked() -> None:
    nodes = [stored("old", abilities=()), stored("gone", seen=timedelta(hours=1)), stored("bad"), stored("good")]
    assert choose(fleet(*nodes), ["bad"], HOST) == ["good"]


def test_black_holes_are_asked_last_and_the_connected_first() -> None:
    nodes = fleet(*of_zones("a", each=5))
    assert choose(nodes, [], HOST, last={"a3"}, connected={"a1"})[::4] == ["a1", "a3"]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=12), st.integers(0, 99))
def test_nobody_is_asked_before_one_who_is_better_to_ask(nodes: list[tuple[bool, bool, bool]], seed: int) -> None:
    told = {f"n{i}": each for i, each in enumerate(nodes)}
    made = fleet(*(stored(name, registries=() if away else (HOST,)) for name, (_, away, _) in told.items()))
    last = {name for name, (is_last, _, _) in told.items() if is_last}
    connected = {name for name, (_, _, gone) in told.items() if not gone}
    chosen = choose(made, [], HOST, connected=connected, last=last, most=12, seed=str(seed))
    assert [told[name] for name in chosen] == sorted(nodes)


def test_of_a_fleet_in_which_each_node_is_another_kind_holders_are_asked_and_of_the_others_some_by_turns() -> None:
    number = 2 * MOST_GROUPS
    nodes = [stored(f"n{i}", zone=f"z{i}", registries=(HOST,) if i < 3 else ()) for i in range(number)]
    made = fleet(*nodes)
    chosen = [choose(made, [], HOST, seed=str(seed)) for seed in range(40)]
    assert all(sorted(each[:3]) == ["n0", "n1", "n2"] for each in chosen)
    assert max(int(name[1:]) for each in chosen for name in each) > MOST_GROUPS


def test_what_is_new_of_a_node_counts_when_the_next_are_chosen() -> None:
    made = fleet(stored("a"), stored("b"))
    assert choose(made, [], HOST) in (["a", "b"], ["b", "a"])
    for changed in (stored("a", abilities=()), stored("c", registries=(HOST,))):
        made.add(changed, NOW)
    assert choose(made, [], HOST) == ["c", "b"]


def test_those_not_compared_are_counted_with_what_they_have() -> None:
    made = fleet(*of_zones("a", each=5), *of_zones("b", each=3), stored("gone", zone="a", seen=timedelta(hours=1)))
    made.add(stored("a4", zone="b"), NOW)
    others = made.others({"a0", "b0", "gone", "unknown"})
    assert (others.number, others.have(("zone", "a")), others.have(("zone", "b"))) == (6, 3, 3)
    others = made.others({"a0", "a1", "a2", "b0", "b1", "b2"})
    assert (others.number, others.have(("zone", "a")), others.have(("zone", "b"))) == (2, 1, 1)


def test_another_time_others_are_asked() -> None:
    nodes = fleet(*of_zones("a", each=200))
    times = {tuple(choose(nodes, [], HOST, seed=f"{i}")) for i in range(5)}
    assert len(times) == 5


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.booleans()), max_size=30),
    st.sets(st.integers(0, 29)),
    st.integers(0, 8),
)
def test_the_choice_is_bounded_without_repeats_and_always_the_same(
    nodes: list[tuple[str, str, bool]], failing: set[int], most: int
) -> None:
    told = [
        stored(f"n{i}", zone=zone, pool=pool, abilities=("walk",) if walks else ())
        for i, (zone, pool, walks) in enumerate(nodes)
    ]
    names = {f"n{i}" for i in failing}
    chosen = choose(fleet(*told), names, HOST, most=most)
    able = {node.node for node in told if node.facts.abilities} - names
    assert len(chosen) == len(set(chosen)) == min(most, len(able))
    assert set(chosen) <= able
    assert chosen == choose(fleet(*told), sorted(names), HOST, most=most)


def key(cause: CauseId) -> ProblemKey:
    return ProblemKey("", cause, "", KIND[cause], "x")


@pytest.mark.parametrize(
    "registry",
    ["localhost", "localhost:5000", "a.localhost:5000", "127.0.0.1:5000", "[::1]:5000", "[::1]", "169.254.1.1:80", ""],
)
def test_a_registry_of_the_node_itself_is_not_asked_for(registry: str) -> None:
    assert why_not(key(CauseId.CONNECTION_REFUSED), registry)


@pytest.mark.parametrize("registry", ["docker.io", "registry.local:5000", "10.0.0.7:5000", "[2001:db8::1]:5000"])
def test_others_are(registry: str) -> None:
    assert why_not(key(CauseId.CONNECTION_REFUSED), registry) == ""


def test_nobody_is_asked_while_the_registry_limits() -> None:
    assert "limits" in why_not(key(CauseId.RATE_LIMITED), HOST)


def test_faults_of_the_nodes_themselves_are_compared_without_asking() -> None:
    local = {cause for cause in CauseId if is_local(key(cause))}
    assert {CauseId.DISK_FULL, CauseId.RUNTIME_UNAVAILABLE, CauseId.LOCAL_STORE_CORRUPT} <= local
    assert CauseId.CERTIFICATE_UNTRUSTED not in local


def test_what_nodes_share_is_kept_once() -> None:
    nodes = fleet(*(stored(f"n{i}", zone="a", configuration={f"f{j}": "x" for j in range(50)}) for i in range(100)))
    one, other = nodes.node("n0").facts, nodes.node("n1").facts
    assert one == other
    assert all(left is right for left, right in zip(one, other, strict=True))
