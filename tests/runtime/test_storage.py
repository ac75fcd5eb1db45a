from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pullwhy.model import Outcome, Stage
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.storage import NO_BYTES, NO_INODES, Place, check, judge, mounted_read_only, space
from pullwhy.trace import StorageFacts

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
ROOMY = StorageFacts("/var", "images", 1 << 40, 1 << 39, 1000, 900, read_only=False)


@pytest.mark.parametrize(
    ("facts", "outcome", "word"),
    [
        (ROOMY, Outcome.PASSED, "524288 MiB"),
        (replace(ROOMY, free_bytes=NO_BYTES), Outcome.PASSED, "1 MiB"),
        (replace(ROOMY, free_bytes=NO_BYTES - 1), Outcome.FAILED, "full"),
        (replace(ROOMY, free_inodes=NO_INODES), Outcome.PASSED, "inodes free"),
        (replace(ROOMY, free_inodes=NO_INODES - 1), Outcome.FAILED, "out of inodes"),
        (replace(ROOMY, total_inodes=0, free_inodes=0), Outcome.PASSED, "0 inodes"),
        (replace(ROOMY, read_only=True), Outcome.FAILED, "read-only"),
    ],
    ids=["roomy", "enough", "full", "few inodes", "no inodes", "a filesystem without inode limit", "read-only"],
)
def test_a_filesystem_fails_where_nothing_can_be_written(facts: StorageFacts, outcome: Outcome, word: str) -> None:
    result = judge(facts)
    assert (result.stage, result.outcome, result.storage) == (Stage.STORAGE, outcome, facts)
    assert word in result.detail


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /var/lib rw shared:2 - ext4 /dev/sdb1 rw
24 23 0:6 / /var/lib/containerd ro,relatime - xfs /dev/sdc1 rw
25 22 0:7 / /mnt/with\\040space rw - xfs /dev/sdd1 ro,noatime
26 22 0:8 / /twice ro - tmpfs none rw
27 26 0:9 / /twice rw - tmpfs none rw
garbage
28 22 - x
"""


@pytest.mark.parametrize(
    ("path", "read_only"),
    [
        ("/etc", False),
        ("/var/lib/other", False),
        ("/var/lib/containerd", True),
        ("/var/lib/containerd/io.containerd.content", True),
        ("/var/lib/containerd2", False),
        ("/mnt/with space/x", True),
        ("/twice/x", False),
    ],
)
def test_read_only_is_what_the_runtimes_own_mounts_say(path: str, read_only: bool) -> None:
    assert mounted_read_only(path, MOUNTS) is read_only


def test_filesystems_are_measured_once_each_and_missing_ones_are_said(tree: Tree) -> None:
    fs = tree({"/a": None, "/b": None})
    results = check([Place("/a", "images"), Place("/b", "content store"), Place("/none", "images")], fs)
    assert [(result.target, result.outcome) for result in results] == [
        ("/a", Outcome.PASSED),
        ("/none", Outcome.SKIPPED),
    ]
    assert results[0].storage is not None
    assert results[0].storage.total_bytes == space("/a", fs).total_bytes > 0


def test_a_mountinfo_that_says_read_only_fails_the_filesystem(tree: Tree) -> None:
    fs = tree({"/var/lib/containerd": None})
    (result,) = check([Place("/var/lib/containerd", "images")], fs, MOUNTS)
    assert result.outcome is Outcome.FAILED


def test_a_read_only_mount_of_a_filesystem_that_is_writable_elsewhere_is_found(tree: Tree) -> None:
    fs = tree({"/a/x": "", "/a/content/x": ""})
    mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:1 /a/content /a/content ro - ext4 /dev/sda1 rw\n"
    results = check([Place("/a", "images"), Place("/a/content", "content store"), Place("/a/x", "images")], fs, mounts)
    assert [(each.target, each.storage and each.storage.read_only) for each in results] == [
        ("/a", False),
        ("/a/content", True),
    ]
