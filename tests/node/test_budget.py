from pullwhy.node.report.budget import MAX_KEYS, Budget, Rate


def test_a_bucket_holds_so_much_and_fills_so_fast() -> None:
    budget = Budget(Rate(2, 0.1), Rate(100, 1))
    assert [budget.take("a", 0), budget.take("a", 0), budget.take("a", 0)] == [True, True, False]
    assert [budget.take("a", 9), budget.take("a", 10), budget.take("a", 10)] == [False, True, False]
    assert [budget.take("a", 10_000) for _ in range(3)] == [True, True, False]


def test_one_key_does_not_spend_what_another_has_but_all_share_the_total() -> None:
    budget = Budget(Rate(2, 0.1), Rate(3, 0.1))
    assert [budget.take(key, 0) for key in ("a", "a", "a", "b", "b")] == [True, True, False, True, False]
    assert budget.take("b", 10)


def test_what_is_refused_costs_nothing() -> None:
    budget = Budget(Rate(1, 0.001), Rate(2, 0.001))
    assert [budget.take("a", 0) for _ in range(50)].count(True) == 1
    assert budget.take("b", 0)


def test_keys_are_bounded_and_the_total_is_never_forgotten() -> None:
    budget = Budget(Rate(1, 0), Rate(2 * MAX_KEYS, 0))
    assert all(budget.take(str(number), 0) for number in range(2 * MAX_KEYS))
    assert not budget.take("one more", 0)
    assert len(budget._left) <= MAX_KEYS
