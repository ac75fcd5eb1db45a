"""Names that are spelled alike."""

import time

import pytest

from pullwhy.likeness import MAX_SIMILAR, similar


@pytest.mark.parametrize(
    ("tag", "tags", "first"),
    [
        ("lattest", ["1.0", "latest", "edge"], "latest"),
        ("1.2.33", ["1.2.3", "1.2.4", "2.0.0"], "1.2.3"),
        ("v1.0", ["1.0", "nightly"], "1.0"),
    ],
)
def test_a_typo_leads_to_the_tag_that_was_meant(tag: str, tags: list[str], first: str) -> None:
    assert similar(tag, tags)[0] == first


def test_unlike_tags_are_not_shown_and_like_ones_are_counted() -> None:
    assert similar("zzz", ["latest", "1.0"]) == ()
    assert len(similar("1.0.0", [f"1.0.{i}" for i in range(100)])) == MAX_SIMILAR
    assert similar("", ["latest"]) == ()


def test_likeness_is_not_sought_without_end() -> None:
    started = time.process_time()
    similar("ab-." * 32, ["ba.-" * 32] * 20_000)
    assert time.process_time() - started < 1.0
