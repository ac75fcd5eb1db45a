"""Go's quoting and its key=value pairs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.gotext import pairs, quote, scan_quoted, unescape, unquote

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('"plain"', "plain"),
        (r'"a\"b\\c"', 'a"b\\c'),
        (r'"\a\b\f\n\r\t\v"', "\a\b\f\n\r\t\v"),
        (r'"\x41\101\u00e9\U0001F600"', "AAé😀"),
        (r'"\xc3\xa9 is \303\251"', "é is é"),
        (r'"\xff"', "\ufffd"),
        (r'"\U00110000"', "\ufffd"),
        ('"Grüße 日本"', "Grüße 日本"),
        (r'"\q stays"', r"\q stays"),
    ],
)
def test_go_literals_are_read(literal: str, value: str) -> None:
    assert unquote(literal) == value


@pytest.mark.parametrize("text", ["", "bare", '"open', 'a"b"', r'"end\"', '"a" "b"'])
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="literal"):
        unquote(text)


@given(TEXT)
def test_unquote_undoes_quote(text: str) -> None:
    assert unquote(quote(text)) == text


@given(TEXT)
def test_twice_quoted_text_is_unquoted_twice(text: str) -> None:
    assert unquote(unquote(quote(quote(text)))) == text


@given(st.text())
def test_reading_never_raises(text: str) -> None:
    unescape(text)
    scan_quoted(text)
    pairs(text)


def test_cut_literal_has_what_is_there() -> None:
    assert scan_quoted('"the line was c') == ("the line was c", 15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('err="a \\"b\\"" image="x:1"', {"err": 'a "b"', "image": "x:1"}),
        ("level=info msg=serving... host=r.example", {"level": "info", "msg": "serving...", "host": "r.example"}),
        ('event={"ID":"a b","Type":"x"} pod="n/p"', {"event": '{"ID":"a b","Type":"x"}', "pod": "n/p"}),
        ("list=[1, 2] n=3", {"list": "[1, 2]", "n": "3"}),
        ("err=<\n\tone\n\t\ttwo\n\n > image=x", {"err": "<"}),
        ("err=<\n\tone\n\t\ttwo\n > image=x", {"err": "one\n\ttwo", "image": "x"}),
        ('a="1" a="2"', {"a": "2"}),
        ("no pairs here", {}),
    ],
)
def test_pairs_of_klog_and_logfmt(text: str, expected: dict[str, str]) -> None:
    assert pairs(text) == expected


@pytest.mark.parametrize("unit", ["a=<\n\t", 'a="\\', "a={", "a=[", "a=" + '"' * 3, "\\x", "a=b "])
def test_hostile_pairs_cost_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    pairs(text)
    unescape(text)
    assert time.process_time() - start < 1.0
