"""The runtime's own copies of blobs against the digests that they are named by."""

import hashlib
from collections.abc import Callable, Mapping

import pytest

from pullwhy.model import Outcome, Stage
from pullwhy.runtime.containerd.contentstore import CONTENT_STORE, MAX_BLOBS, damaged
from pullwhy.runtime.host.hostfs import HostFS

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
WHOLE = b"a layer"
DIGEST = f"sha256:{hashlib.sha256(WHOLE).hexdigest()}"
PLACE = f"/var/lib/containerd/{CONTENT_STORE}/blobs/{DIGEST.replace(':', '/')}"


@pytest.mark.parametrize("content", [b"", b"a laye", b"a layer and more", b"a Layer"])
def test_a_copy_that_is_not_what_its_name_says_is_damaged(tree: Tree, content: bytes) -> None:
    (result,) = damaged("/var/lib/containerd/", [DIGEST, DIGEST], tree({PLACE: content}))
    assert (result.stage, result.target, result.outcome) == (Stage.UNPACK, PLACE, Outcome.FAILED)
    assert f"{len(content)} bytes" in result.detail


def test_a_whole_copy_and_none_at_all_say_nothing(tree: Tree) -> None:
    assert damaged("/var/lib/containerd", [DIGEST], tree({PLACE: WHOLE})) == ()
    assert damaged("/var/lib/containerd", [DIGEST], tree({})) == ()


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "sha512:" + "0" * 128, "", "latest"])
def test_what_is_no_digest_leads_to_no_file(tree: Tree, digest: str) -> None:
    assert damaged("/", [digest], tree({"/etc/passwd": "x"})) == ()


def test_only_so_many_are_looked_at(tree: Tree) -> None:
    others = [f"sha256:{number:064x}" for number in range(MAX_BLOBS)]
    assert damaged("/var/lib/containerd", [*others, DIGEST], tree({PLACE: b""})) == ()
