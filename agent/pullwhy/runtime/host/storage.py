"""The filesystems that the runtime writes images to: how much is free, and whether they can be written at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import Outcome, Stage
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import StageResult, StorageFacts

NO_BYTES: Final = 1 << 20
"""Fewer free bytes are as good as none: not even a small image's blobs and metadata fit. What the image at hand needs is
known only after its manifest, and weighed then."""
NO_INODES: Final = 16
"""Fewer free inodes are as good as none: unpacking makes one for every file."""

_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_SEPARATOR: Final = " - "


@frozen
class Place:
    """A path that the runtime writes to, and what for."""

    path: str
    purpose: str


@frozen
class Space:
    """What statvfs(3) says; free is what root, and so the runtime, may use."""

    total_bytes: int
    free_bytes: int
    total_inodes: int
    free_inodes: int
    read_only: bool


def space(path: str, fs: HostFS) -> Space:
    """Measure the filesystem that holds a path; raises UnreadableFile."""
    local = fs.local(path)
    try:
        found = os.statvfs(local)
    except OSError as error:
        raise UnreadableFile(path, error.errno or 5) from None
    block = found.f_frsize
    return Space(
        found.f_blocks * block,
        found.f_bfree * block,
        found.f_files,
        found.f_ffree,
        bool(found.f_flag & os.ST_RDONLY),
    )


def check(places: Iterable[Place], fs: HostFS, mountinfo: str | None = None) -> tuple[StageResult, ...]:
    """Return one result for each filesystem, in the order of the places; those on one filesystem count once.

    `mountinfo` is the runtime process' own (proc(5)): through a mount of the host's root that is itself read-only,
    statvfs would call everything read-only. Without it statvfs is believed only where the root is not such a mount.
    """
    results: list[StageResult] = []
    seen: set[tuple[int, bool]] = set()
    for place in places:
        try:
            found = space(place.path, fs)
            device = fs.device(place.path)
        except UnreadableFile as error:
            detail = f"its free space is not known here: {error.why}"
            results.append(StageResult(Stage.STORAGE, place.path, Outcome.SKIPPED, detail=detail))
            continue
        read_only = (
            found.read_only and str(fs.root) == "/" if mountinfo is None else mounted_read_only(place.path, mountinfo)
        )
        if (device, read_only) in seen:  # of one filesystem, one mount may be read-only and another not
            continue
        seen.add((device, read_only))
        facts = StorageFacts(
            place.path,
            place.purpose,
            found.total_bytes,
            found.free_bytes,
            found.total_inodes,
            found.free_inodes,
            read_only,
        )
        results.append(judge(facts))
    return tuple(results)


def judge(facts: StorageFacts) -> StageResult:
    """Return the result for a measured filesystem: failed where it is read-only or nothing is left of it."""
    fault = ""
    if facts.read_only:
        fault = "mounted read-only"
    elif facts.free_bytes < NO_BYTES:
        fault = f"full: {facts.free_bytes} of {facts.total_bytes} bytes are free"
    elif facts.total_inodes > 0 and facts.free_inodes < NO_INODES:
        fault = f"out of inodes: {facts.free_inodes} of {facts.total_inodes} are free"
    mib = facts.free_bytes >> 20
    detail = f"{facts.purpose}: {fault}" if fault else f"{facts.purpose}: {mib} MiB and {facts.free_inodes} inodes free"
    return StageResult(
        Stage.STORAGE, facts.path, Outcome.FAILED if fault else Outcome.PASSED, detail=detail, storage=facts
    )


def mounted_read_only(path: str, mountinfo: str) -> bool:
    """Whether the mount that holds a path is read-only, by its own options or its filesystem's (proc(5): mountinfo)."""
    best, read_only = -1, False
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(_SEPARATOR)
        fields, filesystem = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(filesystem) < 3:  # noqa: PLR2004 - proc(5)
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # A later mount on the same point hides the earlier one.
        if _holds(point, path) and len(point) >= best:
            best = len(point)
            read_only = "ro" in fields[5].split(",") or "ro" in filesystem[2].split(",")
    return read_only


def _holds(point: str, path: str) -> bool:
    return point in {"/", path} or path.startswith(f"{point}/")
