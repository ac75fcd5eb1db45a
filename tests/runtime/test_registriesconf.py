import pytest

from pullwhy.runtime.crio.registriesconf import parse_registries_file
from pullwhy.runtime.crio.registrytables import InvalidRegistriesFile, Location, PullFrom, RegistriesFile

PATH = "/etc/containers/registries.conf"


def parse(text: str, *, drop_in: bool = False) -> RegistriesFile:
    return parse_registries_file(text.encode(), PATH, drop_in=drop_in)


def test_a_table_is_read_with_its_mirrors_in_order() -> None:
    (registry,) = parse(
        """
unqualified-search-registries = ["docker.io", "quay.io/"]

[[registry]]
prefix = "quay.io/team"
location = "quay.io/team/"
insecure = true
blocked = true
[[registry.mirror]]
location = "m1.example:5000/cache/"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m2.example"
insecure = true
"""
    ).registries
    assert (registry.prefix, registry.upstream, registry.blocked) == (
        "quay.io/team",
        Location("quay.io/team", insecure=True),
        True,
    )
    assert registry.mirrors == (
        Location("m1.example:5000/cache", pull_from=PullFrom.DIGEST_ONLY),
        Location("m2.example", insecure=True),
    )
    assert registry.source == f"{PATH}:4"


def test_what_a_file_does_not_set_is_not_what_it_sets_to_nothing() -> None:
    assert parse("").search is None
    assert parse("unqualified-search-registries = []").search == ()
    assert parse('unqualified-search-registries = ["quay.io/"]').search == ("quay.io",)


def test_the_prefix_is_the_location_where_none_is_written_and_the_first_of_two_tables_counts() -> None:
    text = '[[registry]]\nlocation = "b.example"\n[[registry]]\nlocation = "a.example"\n[[registry]]\nlocation = "b.example"\n'
    assert [(each.prefix, each.line) for each in parse(text).registries] == [("a.example", 3), ("b.example", 1)]


def test_the_old_form_knows_search_insecure_and_blocked_registries() -> None:
    text = """
[registries.search]
registries = ["docker.io"]
[registries.insecure]
registries = ["a.example:5000"]
[registries.block]
registries = ["b.example", "a.example:5000"]
"""
    found = parse(text)
    assert found.v1
    assert found.search == ("docker.io",)
    assert [(each.prefix, each.upstream.insecure, each.blocked) for each in found.registries] == [
        ("a.example:5000", True, True),
        ("b.example", False, True),
    ]


def test_keys_count_in_any_case_as_the_reader_of_go_takes_them() -> None:
    (registry,) = parse('[[Registry]]\nLocation = "a.example"\nBLOCKED = true\n').registries
    assert (registry.prefix, registry.blocked) == ("a.example", True)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[[registry]\n", 1, "no TOML"),
        ('\n[[registry]]\nlocation = "https://a.example"\n', 2, "scheme"),
        ("[[registry]]\nblocked = true\n", 1, "neither a location nor a prefix"),
        ('[[registry]]\nprefix = "a.example"\n', 1, "no location"),
        ('[[registry]]\nprefix = "*.a.example/x"\n', 1, "after the wildcard"),
        ('[[registry]]\nlocation = "a"\npull-from-mirror = "all"\n', 1, "for a registry"),
        ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\ninsecure = true\n', 1, "mirrors has no location"),
        (
            '[[registry]]\nlocation = "a"\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "tags"\n',
            1,
            "unknown pull-from-mirror",
        ),
        (
            '[[registry]]\nlocation="a"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="m"\npull-from-mirror="all"\n',
            1,
            "mirror-by-digest-only",
        ),
        (
            '[[registry]]\nlocation = "a"\n[[registry]]\nprefix = "b"\nlocation = "a"\ninsecure = true\n',
            3,
            "insecure in one",
        ),
        ('[[registry]]\nlocation = "a"\n[[registry]]\nprefix = "b"\nlocation = "a"\nblocked = true\n', 3, "blocked"),
        ("[[registry]]\nlocation = 5\n", 1, "`location` is no text"),
        ('[[registry]]\nlocation = "a"\ninsecure = "true"\n', 1, "neither true nor false"),
        ('[registry]\nlocation = "a"\n', None, "no list of tables"),
        ('short-name-mode = "strict"\n', 1, "short-name-mode"),
        ('unqualified-search-registries = ["quay.io/team"]\n', 1, "no host"),
        ('unqualified-search-registries = "quay.io"\n', 1, "no list of texts"),
        ('[aliases]\n"a:1" = "quay.io/a"\n', 2, "no short name"),
        ('[aliases]\n"a" = "quay.io/a:1"\n', 2, "without a tag"),
        ('[aliases]\n"a" = "team/a"\n', 2, "without a tag"),
        (
            'short-name-mode = "enforcing"\n[registries.search]\nregistries = ["docker.io"]\n',
            None,
            "mixes the old form",
        ),
    ],
)
def test_a_file_that_the_library_refuses_is_told_with_line_and_mend(text: str, line: int | None, said: str) -> None:
    with pytest.raises(InvalidRegistriesFile, match=said) as caught:
        parse(text)
    assert caught.value.line == line
    assert caught.value.mend


def test_a_password_in_a_location_is_not_repeated() -> None:
    with pytest.raises(InvalidRegistriesFile) as caught:
        parse('[[registry]]\nlocation = "https://user:canary@a.example"\n')
    assert "canary" not in caught.value.why


def test_a_drop_in_may_not_be_of_the_old_form() -> None:
    with pytest.raises(InvalidRegistriesFile, match="version 1"):
        parse('[registries.search]\nregistries = ["docker.io"]\n', drop_in=True)
