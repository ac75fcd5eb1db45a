"""A verdict follows from who fails, who passes and what tells them apart, and claims no more than was seen."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.collector.compare.contrast import MOST, Facts, Node, Others, node_facts
from pullwhy.collector.compare.scope import Comparison, judge, may_be_one_fault
from pullwhy.collector.problem import KIND, ProblemKey, SubjectKind
from pullwhy.collector.records import NodeFacts
from pullwhy.diagnose.catalogue.causes import ABSENT, KIN, UNREACHABLE, same_fault
from pullwhy.model import CauseId, ScopeVerdict

HOST = "registry.example.com"
CA = f"{HOST}: ca"
GOOD = "sha256:ab12cd34ef56" + "0" * 52


def key(cause: CauseId = CauseId.CERTIFICATE_UNTRUSTED) -> ProblemKey:
    subject = {SubjectKind.REGISTRY: HOST, SubjectKind.IMAGE: f"{HOST}/a:1", SubjectKind.NODE: ""}[KIND[cause]]
    return ProblemKey("", cause, "", KIND[cause], subject)


def nodes(prefix: str, number: int, **facts: str) -> list[Node]:
    return [Node(f"{prefix}{i}", tuple(facts.items())) for i in range(number)]


def compare(failing: list[Node], cause: CauseId = CauseId.CERTIFICATE_UNTRUSTED, **seen: Any) -> Comparison:
    return Comparison(key(cause), HOST, failing, **seen)


def rest(others: list[Node]) -> Others:
    return Others(len(others), Counter(fact for node in others for fact in node.facts))


def with_ca(prefix: str, number: int, ca: str, **facts: str) -> list[Node]:
    return nodes(prefix, number, **({CA: ca} | facts))


def test_the_difference_is_named_where_three_nodes_lack_what_forty_have() -> None:
    scope = judge(compare(with_ca("bad", 3, "none"), healthy=with_ca("good", 40, GOOD)))
    assert scope.verdict is ScopeVerdict.GROUP_SPECIFIC
    assert (scope.failing, scope.healthy, scope.unknown) == (3, 40, 0)
    assert scope.in_common == (f"{CA} = none on the 3 failing nodes, sha256:ab12cd34ef56… on the 40 healthy ones",)


def test_nodes_that_nobody_asked_but_that_have_it_too_are_counted() -> None:
    scope = judge(
        compare(with_ca("bad", 3, "none"), healthy=with_ca("good", 6, GOOD), others=rest(with_ca("rest", 4, "none")))
    )
    assert scope.in_common[0].endswith("on the 6 healthy ones; 4 more nodes not asked have it too")


def test_one_failing_node_is_named_with_what_is_odd_about_it() -> None:
    scope = judge(compare(with_ca("bad", 1, "none"), healthy=with_ca("good", 4, GOOD)))
    assert scope.verdict is ScopeVerdict.NODE_SPECIFIC
    assert scope.in_common == (f"{CA} = none on the failing node, sha256:ab12cd34ef56… on the 4 healthy ones",)


def test_a_node_for_which_nothing_speaks_is_said_to_be_so() -> None:
    scope = judge(compare(nodes("bad", 1, zone="a"), healthy=nodes("good", 4, zone="a")))
    assert scope.verdict is ScopeVerdict.NODE_SPECIFIC
    assert scope.in_common == ("nothing known of the nodes tells the failing node from the healthy",)


def test_all_who_answered_fail() -> None:
    for cause, verdict in (
        (CauseId.CONNECTION_REFUSED, ScopeVerdict.REGISTRY_WIDE),
        (CauseId.TAG_NOT_FOUND, ScopeVerdict.IMAGE_WIDE),
    ):
        scope = judge(compare(nodes("bad", 1), cause, fails_too=nodes("asked", 4)))
        assert (scope.verdict, scope.failing, scope.healthy) == (verdict, 5, 0)


def test_a_registry_that_serves_other_images_is_not_down() -> None:
    scope = judge(compare(nodes("bad", 2), CauseId.CREDENTIALS_REJECTED, fails_too=nodes("asked", 4), elsewhere=2))
    assert scope.verdict is ScopeVerdict.IMAGE_WIDE
    assert scope.in_common == (f"other images of {HOST} could be pulled meanwhile, on 2 nodes",)


def test_one_answer_of_six_is_no_rule() -> None:
    silent = ["no answer in time"] * 5
    scope = judge(compare(nodes("bad", 1), fails_too=nodes("asked", 1), unknown=silent))
    assert scope.verdict is ScopeVerdict.UNKNOWN
    assert scope.in_common == ("5 nodes asked, without a clear answer: no answer in time (5)",)


def test_nodes_that_fail_by_themselves_are_all_only_where_hardly_any_is_left() -> None:
    assert judge(compare(nodes("bad", 5))).verdict is ScopeVerdict.REGISTRY_WIDE
    assert judge(compare(nodes("bad", 1))).verdict is ScopeVerdict.UNKNOWN
    assert judge(compare(nodes("bad", 5), others=rest(nodes("rest", 5)))).verdict is ScopeVerdict.UNKNOWN


def test_where_nobody_may_be_asked_the_reason_is_told() -> None:
    scope = judge(compare(nodes("bad", 2), not_asked="the registry limits requests", others=rest(nodes("rest", 9))))
    assert (scope.verdict, scope.in_common) == (ScopeVerdict.UNKNOWN, ("the registry limits requests",))


def test_a_reference_that_is_wrong_is_wrong_everywhere() -> None:
    scope = judge(compare(nodes("bad", 1), CauseId.INVALID_IMAGE_REFERENCE, others=rest(nodes("rest", 9))))
    assert scope.verdict is ScopeVerdict.IMAGE_WIDE


def test_a_fault_of_the_nodes_themselves_is_compared_with_the_nodes_that_do_not_have_it() -> None:
    full = compare(nodes("bad", 5, pool="gpu"), CauseId.DISK_FULL, healthy=nodes("good", 35, pool="web"))
    assert judge(full).in_common == ("pool = gpu on the 5 failing nodes, web on the 35 healthy ones",)
    assert judge(full).verdict is ScopeVerdict.GROUP_SPECIFIC
    assert judge(compare(nodes("bad", 5), CauseId.DISK_FULL)).in_common == ("all 5 nodes have it",)
    assert judge(compare(nodes("bad", 1), CauseId.DISK_FULL)).verdict is ScopeVerdict.NODE_SPECIFIC


def test_many_that_nothing_separates_are_not_called_few() -> None:
    scope = judge(compare(nodes("bad", 60), others=rest(nodes("rest", 100)), healthy=nodes("good", 3)))
    assert scope.verdict is ScopeVerdict.UNKNOWN
    assert scope.in_common[0] == "60 nodes fail and 3 do not"


def test_a_fault_that_every_second_node_meets_is_not_specific_to_the_first() -> None:
    scope = judge(
        compare(nodes("bad", 1), fails_too=nodes("a", 3), healthy=nodes("good", 3), others=rest(nodes("rest", 790)))
    )
    assert scope.verdict is ScopeVerdict.UNKNOWN


def test_what_bears_on_the_cause_comes_first_and_labels_are_few() -> None:
    noise = {f"label l{i}": "x" for i in range(9)}
    failing = [
        Node(f"b{i}", tuple((noise | {"zone": "z1", CA: "none", "other.example: ca": "none"}).items()))
        for i in range(3)
    ]
    changed = {name: f"{i}" for i, name in enumerate(noise)} | {"zone": "z2", CA: GOOD, "other.example: ca": "x"}
    # Every second healthy node differs a little more, so that no two facts say the same.
    healthy = [Node(f"g{i}", tuple((changed | {f"label l{i}": "odd"}).items())) for i in range(9)]
    scope = judge(compare(failing, healthy=healthy))
    assert scope.in_common[0].startswith(CA)
    assert scope.in_common[1].startswith("zone")
    assert sum(line.startswith("label ") for line in scope.in_common) == 2
    assert len(scope.in_common) <= MOST


def test_what_only_repeats_another_fact_is_left_out() -> None:
    same = {"zone": "a", "label topology.kubernetes.io/zone": "a"}
    other = {"zone": "b", "label topology.kubernetes.io/zone": "b"}
    scope = judge(compare(nodes("bad", 2, **same), healthy=nodes("good", 4, **other)))
    assert scope.in_common == ("zone = a on the 2 failing nodes, b on the 4 healthy ones",)


def test_an_unknown_fact_is_neither_none_nor_a_difference() -> None:
    healthy = [*with_ca("good", 3, GOOD), *nodes("silent", 2)]
    scope = judge(compare(with_ca("bad", 2, "none"), healthy=healthy))
    assert scope.in_common[0].endswith("on the 5 healthy ones (unknown on 2 of them)")
    scope = judge(compare(nodes("bad", 2), healthy=with_ca("good", 4, GOOD)))
    assert scope.in_common == ("nothing known of the nodes tells the 2 failing nodes from the healthy",)


def test_a_name_of_the_node_tells_nothing() -> None:
    failing = [Node("n0", (("label hostname", "n0"), ("label instance", "i-0")))]
    healthy = [Node(f"n{i}", (("label hostname", f"n{i}"), ("label instance", f"i-{i}"))) for i in range(1, 5)]
    assert judge(compare(failing, healthy=healthy)).in_common == (
        "nothing known of the nodes tells the failing node from the healthy",
    )


def test_what_all_healthy_nodes_share_and_no_failing_one_has_separates_too() -> None:
    failing = [*with_ca("x", 1, "none"), *with_ca("y", 1, "sha256:old")]
    scope = judge(compare(failing, healthy=with_ca("good", 4, GOOD)))
    assert scope.verdict is ScopeVerdict.GROUP_SPECIFIC
    assert scope.in_common == (
        f"{CA} = none or sha256:old on the 2 failing nodes, sha256:ab12cd34ef56… on the 4 healthy ones",
    )


def test_a_fact_that_separates_in_part_is_told_where_none_does_exactly() -> None:
    failing = [*nodes("a", 5, zone="z1"), *nodes("b", 1, zone="z2")]
    scope = judge(compare(failing, healthy=nodes("good", 6, zone="z2"), others=rest(nodes("rest", 100))))
    assert scope.verdict is ScopeVerdict.UNKNOWN  # six are more than a few of 112
    assert "zone = z1 on 5 of the 6 failing nodes, on none of the 6 healthy ones" in scope.in_common


def test_hostile_facts_are_safe_to_show() -> None:
    scope = judge(compare(with_ca("bad", 2, "\x1b[2J" + "x" * 500), healthy=with_ca("good", 4, "\u202eevil")))
    assert scope.in_common
    assert all(line.isprintable() and len(line) < 400 for line in scope.in_common)


def test_facts_are_called_as_people_know_them() -> None:
    told = NodeFacts(
        zone="a", runtime_name="containerd", runtime_version="1.7.1", labels={"rack": "r7"}, configuration={CA: "none"}
    )
    assert node_facts(told) == (("zone", "a"), ("runtime", "containerd 1.7.1"), ("label rack", "r7"), (CA, "none"))


facts = st.dictionaries(
    st.sampled_from(["zone", "pool", "proxy", CA, "label rack", "kubelet"]), st.sampled_from(["a", "b", "c"])
).map(lambda told: tuple(told.items()))
fleets = st.lists(facts, max_size=12)


def fleet(prefix: str, told: list[Facts]) -> list[Node]:
    return [Node(f"{prefix}{i}", each) for i, each in enumerate(told)]


comparisons = st.builds(
    lambda cause, failing, too, healthy, unknown, others, elsewhere: Comparison(
        key(cause), HOST, fleet("f", failing), fleet("t", too), fleet("h", healthy), unknown, rest(fleet("o", others)), "", elsewhere
    ),
    st.sampled_from([CauseId.CERTIFICATE_UNTRUSTED, CauseId.TAG_NOT_FOUND, CauseId.DISK_FULL]),
    fleets, fleets, fleets, st.lists(st.sampled_from(["late", "budget"]), max_size=6), fleets, st.integers(0, 3),
)  # fmt: skip


@given(comparisons)
def test_the_counts_are_of_nodes_and_what_is_said_is_short(seen: Comparison) -> None:
    scope = judge(seen)
    assert scope.failing == len(seen.failing) + len(seen.fails_too)
    assert (scope.healthy, scope.unknown) == (len(seen.healthy), len(seen.unknown))
    assert len(scope.in_common) <= MOST + 1
    assert all(line for line in scope.in_common)


@given(comparisons)
def test_nobody_passes_where_it_is_wide_and_somebody_does_where_it_is_not(seen: Comparison) -> None:
    verdict = judge(seen).verdict
    if verdict in (ScopeVerdict.IMAGE_WIDE, ScopeVerdict.REGISTRY_WIDE):
        assert not seen.healthy
    if verdict in (ScopeVerdict.NODE_SPECIFIC, ScopeVerdict.GROUP_SPECIFIC):
        assert seen.healthy or seen.problem.kind is SubjectKind.NODE


@given(comparisons, st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_come_makes_no_difference(seen: Comparison, chance: random.Random) -> None:
    def shuffled(told: Any) -> list[Any]:
        return chance.sample(list(told), len(told))

    other = Comparison(
        seen.problem, seen.registry, shuffled(seen.failing), shuffled(seen.fails_too), shuffled(seen.healthy),
        shuffled(seen.unknown), seen.others, seen.not_asked, seen.elsewhere,
    )  # fmt: skip
    assert judge(other) == judge(seen)


@given(comparisons)
def test_a_group_is_named_by_a_fact_that_really_separates(seen: Comparison) -> None:
    scope = judge(seen)
    if scope.verdict is not ScopeVerdict.GROUP_SPECIFIC or not seen.healthy:
        return
    failing, healthy = [*seen.failing, *seen.fails_too], seen.healthy
    for line in scope.in_common:
        name = line.split(" = ")[0]
        left = {value for node in failing if (value := dict(node.facts).get(name)) is not None}
        right = {value for node in healthy if (value := dict(node.facts).get(name)) is not None}
        assert left
        assert right
        assert not left & right
        assert 1 in (len(left), len(right))


@pytest.mark.parametrize("failing", [500, 15_000])
def test_a_large_fleet_is_judged_soon(failing: int) -> None:
    told = tuple((f"fact {i}", "x") for i in range(60))
    scope = judge(compare([Node(f"b{i}", told) for i in range(failing)], healthy=[Node("g", told)] * 6))
    assert scope.failing == failing


def test_nodes_have_one_fault_where_their_causes_look_alike_and_little_more() -> None:
    assert all(may_be_one_fault(one, other) for group in KIN for one in group for other in group)
    more = {
        cause
        for one in CauseId
        for other in CauseId
        if may_be_one_fault(one, other) and not same_fault(one, other) and not same_fault(other, one)
        for cause in (one, other)
    }
    assert more <= UNREACHABLE | ABSENT | {CauseId.REGISTRY_SERVER_ERROR, CauseId.ACCESS_DENIED_OR_NOT_FOUND}
    assert may_be_one_fault(CauseId.REGISTRY_SERVER_ERROR, CauseId.CONNECTION_REFUSED)
    assert may_be_one_fault(CauseId.ACCESS_DENIED_OR_NOT_FOUND, CauseId.REPOSITORY_NOT_FOUND)
    # A cause and the symptom that it explains on one node are two faults on two nodes.
    assert same_fault(CauseId.PROXY_FAILED, CauseId.CONNECTION_REFUSED)
    assert not may_be_one_fault(CauseId.PROXY_FAILED, CauseId.CONNECTION_REFUSED)
