import pytest

from pullwhy.runtime.versions import Version, parse_version


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("v2.1.9", (2, 1, 9)),
        ("1.6.20~ds1", (1, 6, 20)),
        ("v1.7.23-k3s2", (1, 7, 23)),
        ("2.0.0-rc.1", (2, 0, 0)),
        ("1.36", (1, 36, 0)),
    ],
)
def test_versions_are_read_as_runtimes_write_them(text: str, numbers: tuple[int, int, int]) -> None:
    assert parse_version(text) == Version(numbers, known=True)


def test_an_unknown_version_counts_as_a_new_one_and_says_so() -> None:
    version = parse_version("containerd")
    assert not version.known
    assert version.at_least(2, 1)
    assert str(version) == "unknown version"


def test_releases_compare_by_number() -> None:
    assert parse_version("1.10.0").at_least(1, 7)
    assert not parse_version("2.0.9").at_least(2, 1)
