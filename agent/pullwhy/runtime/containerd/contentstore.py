"""What containerd holds of an image's content: whether the files are still what their names say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from pullwhy.model import Outcome, Stage
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import StageResult

CONTENT_STORE: Final = "io.containerd.content.v1.content"
"""Where containerd keeps blobs, below its root (1.6 to 2.3: plugins/content/local)."""
MAX_HASHED: Final = 256 << 20
"""Bytes of the largest file that is read to compare it with its name."""
MAX_BLOBS: Final = 16

_CHUNK: Final = 1 << 20
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def damaged(root: str, digests: Iterable[str], fs: HostFS) -> tuple[StageResult, ...]:
    """Return a failed result for each blob below containerd's `root` that is there and is not what its digest says.

    What is not there says nothing: containerd may have discarded it after unpacking. The name of a blob's file is its
    digest, so that the comparison needs nobody else's word.
    """
    wanted = [digest for digest in dict.fromkeys(digests) if _DIGEST.fullmatch(digest)][:MAX_BLOBS]
    paths = {digest: f"{root.rstrip('/')}/{CONTENT_STORE}/blobs/{digest.replace(':', '/')}" for digest in wanted}
    found = ((digest, path, _fault(digest, path, fs)) for digest, path in paths.items())
    return tuple(
        StageResult(Stage.UNPACK, path, Outcome.FAILED, detail=f"the local copy of {digest} {fault}")
        for digest, path, fault in found
        if fault
    )


def _fault(digest: str, path: str, fs: HostFS) -> str:
    own = hashlib.sha256()
    try:
        with fs.local(path).open("rb") as file:
            size = 0
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                if size > MAX_HASHED:
                    return ""
                own.update(chunk)
    except (OSError, UnreadableFile):
        return ""
    if f"sha256:{own.hexdigest()}" == digest:
        return ""
    return f"has {size} bytes, and they are not those that its name stands for"
