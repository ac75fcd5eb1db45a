import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.probe.challenge import MAX_CHALLENGES, MAX_PARAMETERS, Challenge, choose, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        ("Basic", (Challenge("basic"),)),
        ('Basic realm="a b"', (Challenge("basic", {"realm": "a b"}),)),
        (
            'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull"',
            (
                Challenge(
                    "bearer",
                    {"realm": "https://auth.test/token", "service": "registry.test", "scope": "repository:a/b:pull"},
                ),
            ),
        ),
        (
            "Bearer realm=x , error=insufficient_scope",
            (Challenge("bearer", {"realm": "x", "error": "insufficient_scope"}),),
        ),
        (
            'Basic realm="x", Bearer realm="y"',
            (Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})),
        ),
        ("Negotiate, Basic realm=x", (Challenge("negotiate"), Challenge("basic", {"realm": "x"}))),
        ("NTLM TlRMTVNTUAA=, Basic realm=x", (Challenge("ntlm"), Challenge("basic", {"realm": "x"}))),
        (r'Basic realm="a\"b\\c"', (Challenge("basic", {"realm": 'a"b\\c'}),)),
        ('Bearer realm="never closed', (Challenge("bearer", {"realm": ""}),)),
        ('Bearer realm="a", realm="b"', (Challenge("bearer", {"realm": "a"}),)),
        ("=,=", ()),
        (", , Basic realm=x", (Challenge("basic", {"realm": "x"}),)),
    ],
)
def test_challenges_are_read_as_the_standard_writes_them(header: str, expected: tuple[Challenge, ...]) -> None:
    assert parse((header,)) == expected


def test_bearer_is_answered_before_basic_and_others_never() -> None:
    chosen = choose(parse(("Negotiate", 'Basic realm="x"', 'Bearer realm="y"')))
    assert chosen == Challenge("bearer", {"realm": "y"})
    assert choose(parse(("Negotiate",))) is None
    assert choose(()) is None


def test_what_is_read_is_bounded() -> None:
    assert len(parse((", ".join(f"Scheme{i} a=b" for i in range(1000)),))) <= MAX_CHALLENGES
    many = parse(("Bearer " + ",".join(f"p{i}=v" for i in range(1000)),))
    assert len(many[0].parameters) <= MAX_PARAMETERS
    assert len(parse(tuple("Basic" for _ in range(1000)))) <= MAX_CHALLENGES


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), max_size=4))
def test_nothing_that_a_server_sends_breaks_the_parser(headers: list[str]) -> None:
    for challenge in parse(tuple(headers)):
        assert challenge.scheme == challenge.scheme.lower()
        assert len(challenge.parameters) <= MAX_PARAMETERS


NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@settings(deadline=None)
@given(
    st.dictionaries(NAMES, st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20), max_size=6)
)
def test_quoted_parameters_come_back(parameters: dict[str, str]) -> None:
    quoted = ", ".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"')) for name, value in parameters.items()
    )
    assert parse((f"Bearer {quoted}",)) == (Challenge("bearer", parameters),)
