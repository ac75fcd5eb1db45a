import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.runtime import toml

DOCUMENT = """\
server = "a"
text = '''
[host.hidden]
'''
# [host.commented]
"quoted" = 1
[host."https://one"]
  ca = "x" # [host.no]
  list = [
    ["a", "b"],
  ]
 [ host . 'two' ] # yes
[host."https://one".header]
  X = \"\"\"
[host.three] \\\"\"\" still inside
\"\"\"
[[array]]
"""


def test_headers_skip_strings_comments_arrays_and_array_tables() -> None:
    assert [(mark.line, mark.keys) for mark in toml.headers(DOCUMENT)] == [
        (7, ("host", "https://one")),
        (12, ("host", "two")),
        (13, ("host", "https://one", "header")),
    ]


@pytest.mark.parametrize(
    ("table", "key", "line"),
    [
        ((), "server", 1),
        ((), "quoted", 6),
        (("host", "https://one"), "ca", 8),
        (("host", "https://one"), "CA", 8),
        (("host", "https://one"), "server", None),
        (("host", "none"), "ca", None),
    ],
)
def test_the_line_of_a_key_is_found(table: tuple[str, ...], key: str, line: int | None) -> None:
    assert toml.line_of(DOCUMENT, table, key) == line


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"a = 1\nb = \n", 2, 5),
        (b"a = 1\n[host", 2, None),
        (b"a = 1\n\xff", 2, None),
        (b"a = 1\na = 2\n", 2, 6),
    ],
)
def test_faults_name_their_place(data: bytes, line: int, column: int | None) -> None:
    with pytest.raises(toml.InvalidTOML) as raised:
        toml.parse(data)
    assert (raised.value.line, raised.value.column) == (line, column)


def test_a_fault_shows_no_password_of_a_key() -> None:
    with pytest.raises(toml.InvalidTOML) as raised:
        toml.parse(b'[host."http://u:canary@m.example"]\n[host."http://u:canary@m.example"]\n')
    assert "m.example" in raised.value.why
    assert "canary" not in raised.value.why


def test_deep_nesting_is_a_fault_and_no_crash() -> None:
    with pytest.raises(toml.InvalidTOML):
        toml.parse(b"a = " + b"[" * 200_000)


def test_get_takes_any_case_and_prefers_the_exact_one() -> None:
    assert toml.get({"Server": 1}, "server") == 1
    assert toml.get({"SERVER": 1, "server": 2}, "server") == 2
    assert toml.get({}, "server") is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_parse_or_are_invalid(data: bytes) -> None:
    with contextlib.suppress(toml.InvalidTOML):
        assert isinstance(toml.parse(data), dict)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_scanning_arbitrary_text_ends(text: str) -> None:
    for mark in toml.headers(text):
        assert mark.line <= text.count("\n") + 1
