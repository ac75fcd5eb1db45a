import os
from collections.abc import Callable, Mapping

import pytest

from pullwhy.runtime.host.hostfs import MAX_ENTRIES, MAX_LINE, HostFS, UnreadableFile, parts_below

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]


@pytest.mark.parametrize(
    ("files", "path", "text"),
    [
        ({"/etc/a": "x"}, "/etc/a", "x"),
        ({"/etc/a": "x", "/etc/b": None}, "//etc/./b/../a", "x"),
        ({"/run/real": "x", "/etc/a": "-> ../run/real"}, "/etc/a", "x"),
        ({"/run/real": "x", "/etc/a": "-> /run/real"}, "/etc/a", "x"),
        ({"/run/d/real": "x", "/etc/d": "-> /run/d"}, "/etc/d/real", "x"),
        ({"/secret": "inside", "/etc/a": "-> ../../../../secret"}, "/etc/a", "inside"),
    ],
    ids=["plain", "dots", "relative link", "absolute link stays inside", "linked directory", "dots cannot climb out"],
)
def test_paths_resolve_inside_the_root(tree: Tree, files: Mapping[str, str | None], path: str, text: str) -> None:
    assert tree(files).text(path) == text


@pytest.mark.parametrize(
    ("files", "path", "why"),
    [
        ({}, "/etc/a", "no such file"),
        ({"/etc/a": "-> /etc/a"}, "/etc/a", "too many symbolic links"),
        ({"/etc": "x"}, "/etc/a", "a part of the path is no directory"),
        ({"/etc/a": None}, "/etc/a", "it is a directory"),
        ({"/etc/a": "x" * 11}, "/etc/a", "larger than 10 bytes"),
        ({"/etc/a": "-> /outside"}, "/etc/a", "no such file"),
        ({"/etc": None}, "/etc/\0", "the path holds a NUL byte"),
    ],
)
def test_what_cannot_be_read_is_said(tree: Tree, files: Mapping[str, str | None], path: str, why: str) -> None:
    with pytest.raises(UnreadableFile) as raised:
        tree(files).read(path, limit=10)
    assert raised.value.why == why
    assert raised.value.path == path
    assert raised.value.missing is (why == "no such file" or "NUL" in why)


def test_a_fifo_does_not_hang_the_reader(tree: Tree) -> None:
    fs = tree({"/etc": None})
    os.mkfifo(fs.root / "etc/a")
    with pytest.raises(UnreadableFile, match="no regular file"):
        fs.read("/etc/a")


def test_kind_tells_missing_from_unreachable(tree: Tree) -> None:
    fs = tree({"/a": "x", "/d": None, "/l": "-> /d"})
    assert [fs.kind(path) for path in ("/a", "/d", "/l", "/none")] == ["file", "dir", "dir", ""]
    with pytest.raises(UnreadableFile):
        fs.kind("/a/below")


def test_entries_are_sorted_and_links_show_their_target(tree: Tree) -> None:
    fs = tree({"/d/b": "x", "/d/a": None, "/d/l": "-> a", "/d/dangling": "-> nowhere"})
    assert [(entry.name, entry.is_dir, entry.target) for entry in fs.entries("/d")] == [
        ("a", True, ""),
        ("b", False, ""),
        ("dangling", False, "nowhere"),
        ("l", False, "a"),
    ]


def test_a_directory_without_end_is_refused(tree: Tree) -> None:
    fs = tree({"/d": None})
    for number in range(MAX_ENTRIES + 1):
        (fs.root / "d" / str(number)).touch()
    with pytest.raises(UnreadableFile, match="more than"):
        fs.entries("/d")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/c/*.toml", ("/c/a.toml", "/c/b.toml")),
        ("/c/a.toml", ("/c/a.toml",)),
        ("/*/?.toml", ("/c/a.toml", "/c/b.toml")),
        ("/c/*/x", ()),
        ("/none/*.toml", ()),
    ],
)
def test_glob_stays_within_a_part(tree: Tree, pattern: str, found: tuple[str, ...]) -> None:
    fs = tree({"/c/b.toml": "", "/c/a.toml": "", "/c/readme": "", "/c/d/e.toml": ""})
    assert fs.glob(pattern) == found


MOUNTINFO = """\
22 1 0:20 / / rw - overlay overlay rw
31 22 8:1 /etc /host/etc ro,relatime master:1 - ext4 /dev/sda1 rw
32 22 8:1 /var/log /host/var/log ro,relatime - ext4 /dev/sda1 rw
33 22 8:1 /a\\040b /host/a\\040b ro,relatime - ext4 /dev/sda1 rw
35 32 8:1 / /host/var/log/pods ro,relatime - ext4 /dev/sda1 rw
34 22 8:1 / /hostile ro,relatime - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("prefix", "parts"),
    [("/host", ("/a b", "/etc", "/var/log")), ("/hostile", ()), ("/elsewhere", ())],
    ids=["parts are mounted", "the whole root is mounted", "nothing is mounted"],
)
def test_the_parts_that_are_mounted_are_known(prefix: str, parts: tuple[str, ...]) -> None:
    assert parts_below(prefix, MOUNTINFO) == parts


@pytest.mark.parametrize(
    ("path", "denied"),
    [
        ("/etc/containerd/certs.d", False),
        ("/var/log/pods", False),
        ("/usr/local/bin/provider", True),
        ("/var/lib/containerd", True),
        ("/etcetera", True),
        ("/etc/outside", True),
    ],
    ids=["below a mount", "below another", "nowhere", "beside a mount", "a name that begins alike", "a link out of it"],
)
def test_what_was_not_mounted_is_unseen_and_not_missing(tree: Tree, path: str, denied: bool) -> None:
    root = tree({"/etc/a": "x", "/var/log/a": "x", "/etc/outside": "-> /usr/share/outside"}).root
    with pytest.raises(UnreadableFile) as raised:
        HostFS(root, mounted=("/etc", "/var/log")).read(path)
    assert raised.value.denied is denied
    assert raised.value.missing is not denied


def test_lines_are_read_one_after_the_other_within_the_bound(tree: Tree) -> None:
    fs = tree({"/a": "one\ntwo\n\nlast", "/long": "x" * (MAX_LINE + 5), "/dir": None})
    assert list(fs.lines("/a")) == [b"one\n", b"two\n", b"\n", b"last"]
    assert [len(line) for line in fs.lines("/long")] == [MAX_LINE, 5]
    for path, limit in (("/a", 8), ("/dir", 100), ("/absent", 100)):
        with pytest.raises(UnreadableFile):
            list(fs.lines(path, limit))
