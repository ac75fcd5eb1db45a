from collections.abc import Callable, Mapping

import pytest

from pullwhy.image import parse
from pullwhy.runtime.crio.registries import SYSTEM, USER, UnusableRegistries, matched, read_registries
from pullwhy.runtime.host.hostfs import HostFS

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
DIGEST = f"sha256:{'a' * 64}"


def sources(fs: HostFS, image: str) -> list[str]:
    return [str(source.image) for source in read_registries(fs).sources(parse(image))]


@pytest.mark.parametrize(
    ("name", "prefix", "length"),
    [
        ("a.example/x/y", "a.example", 9),
        ("a.example/x/y", "a.example/x", 11),
        ("a.example/x/y", "a.example/", None),
        ("a.example/xx", "a.example/x", None),
        ("a.example:5000/x", "a.example", 9),
        ("a.example", "a.example", 9),
        ("s.a.example/x", "*.a.example", 11),
        ("t.s.a.example:5000/x", "*.a.example", 13),
        ("a.example/x", "*.a.example", None),
        ("b.example/s.a.example/x", "*.a.example", None),
        ("s.a.example.org/x", "*.a.example", None),
    ],
)
def test_prefixes_fit_whole_parts_of_a_name(name: str, prefix: str, length: int | None) -> None:
    assert matched(name, prefix) == length


def test_the_longest_prefix_counts_and_its_location_takes_the_place_of_the_prefix(tree: Tree) -> None:
    fs = tree(
        {
            SYSTEM: '[[registry]]\nlocation = "a.example"\n[[registry.mirror]]\nlocation = "m.example"\n'
            '[[registry]]\nprefix = "a.example/team"\nlocation = "b.example/x/y"\n'
        }
    )
    assert sources(fs, "a.example/team/app:1") == ["b.example/x/y/app:1"]
    assert sources(fs, "a.example/other:1") == ["m.example/other:1", "a.example/other:1"]
    assert sources(fs, "c.example/app:1") == ["c.example/app:1"]


def test_a_wildcard_without_a_location_pulls_from_where_the_name_says(tree: Tree) -> None:
    fs = tree({SYSTEM: '[[registry]]\nprefix = "*.a.example"\n[[registry.mirror]]\nlocation = "m.example/all"\n'})
    assert sources(fs, "s.a.example/app:1") == ["m.example/all/app:1", "s.a.example/app:1"]


@pytest.mark.parametrize(
    ("setting", "mirrors", "tag", "digest"),
    [
        ("", "", True, True),
        ("", 'pull-from-mirror = "all"\n', True, True),
        ("", 'pull-from-mirror = "digest-only"\n', False, True),
        ("", 'pull-from-mirror = "tag-only"\n', True, False),
        ("mirror-by-digest-only = true\n", "", False, True),
    ],
)
def test_mirrors_may_be_for_tags_or_digests_alone(
    tree: Tree, setting: str, mirrors: str, tag: bool, digest: bool
) -> None:
    text = f'[[registry]]\nlocation = "a.example"\n{setting}[[registry.mirror]]\nlocation = "m.example"\n{mirrors}'
    fs = tree({SYSTEM: text})
    assert (len(sources(fs, "a.example/x:1")), len(sources(fs, f"a.example/x@{DIGEST}"))) == (1 + tag, 1 + digest)


def test_later_drop_ins_replace_tables_of_the_same_prefix_and_lists_as_a_whole(tree: Tree) -> None:
    one = '[[registry]]\nprefix = "a.example"\nlocation = "{}.example"\n'
    fs = tree(
        {
            SYSTEM: 'unqualified-search-registries = ["docker.io"]\n' + one.format("main"),
            f"{SYSTEM}.d/20.conf": 'unqualified-search-registries = []\n[aliases]\n"x" = ""\n' + one.format("twenty"),
            f"{SYSTEM}.d/10.conf": '[aliases]\n"x" = "a.example/x"\n' + one.format("ten"),
            f"{SYSTEM}.d/30.conf.off": one.format("off"),
            f"{SYSTEM}.d/sub/40.conf": one.format("sub"),
        }
    )
    assert sources(fs, "a.example/x:1") == ["twenty.example/x:1"]
    found = read_registries(fs)
    assert (found.search, found.aliases["x"]) == ((), ("", f"{SYSTEM}.d/20.conf"))
    assert found.files == (SYSTEM, f"{SYSTEM}.d/10.conf", f"{SYSTEM}.d/20.conf")


def test_a_file_of_root_hides_the_systems(tree: Tree) -> None:
    text = '[[registry]]\nprefix = "a.example"\nlocation = "{}.example"\n'
    files = {SYSTEM: text.format("system"), f"{SYSTEM}.d/1.conf": text.format("system")}
    assert sources(tree({**files, f"{USER}.d/1.conf": text.format("dropin")}), "a.example/x:1") == [
        "dropin.example/x:1"
    ]
    fs = tree({**files, USER: text.format("user"), f"{USER}.d/1.conf": ""})
    assert sources(fs, "a.example/x:1") == ["user.example/x:1"]


def test_an_unusable_drop_in_fails_every_pull_and_is_named(tree: Tree) -> None:
    fs = tree({SYSTEM: "", f"{SYSTEM}.d/50-mirror.conf": "[[registry]]\nlocation = \n"})
    with pytest.raises(UnusableRegistries) as caught:
        read_registries(fs)
    assert (caught.value.facts.file, caught.value.facts.line) == (f"{SYSTEM}.d/50-mirror.conf", 2)


@pytest.mark.parametrize("location", ["docker.io", "mirror", "a.example/x:1", "A.example/X"])
def test_a_location_that_makes_no_reference_is_told(tree: Tree, location: str) -> None:
    fs = tree({SYSTEM: f'[[registry]]\nprefix = "a.example"\nlocation = "{location}"\n'})
    with pytest.raises(UnusableRegistries, match="makes no reference"):
        read_registries(fs).sources(parse("a.example/app:1"))
