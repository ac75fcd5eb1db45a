"""`printable`: what strangers write is shown, never obeyed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.text import ELLIPSIS, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Grüße, 日本", "plain text, Grüße, 日本"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("\u2066x\u2069\u200b\ufeff", "\\u2066x\\u2069\\u200b\\ufeff"),
        ("line\u2028sep\u00a0nbsp", "line\\u2028sep\\xa0nbsp"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_invisible_characters_become_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 11, limit=10) == "x" * 9 + ELLIPSIS
    assert printable("x" * 10, limit=10) == "x" * 10


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_result_is_printable_and_within_its_limit(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
