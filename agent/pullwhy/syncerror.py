"""The kubelet's error of one pod sync: which operation failed for which container, with which reason and message."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.gotext import LITERAL, unescape

MAX_FAILURES: Final = 64
"""Failures read from one sync error; a pod with more containers than that names the rest on its next sync."""

_FAILURE: Final = re.compile(
    rf'failed to {LITERAL} for {LITERAL} with (\w{{1,64}}): "([^"\\]*+(?:\\.[^"\\]*+)*+)', re.DOTALL
)
_BACK_OFF_CAUSE: Final = re.compile(r'Back-off pulling image "[^"\n]{0,4096}": (\w{1,64}): ')


@frozen
class SyncFailure:
    """One failed operation of a pod sync (kubelet 1.24 to 1.36: pkg/kubelet/container/sync_result.go)."""

    operation: str
    """`StartContainer`, `CreatePodSandbox` and the like."""
    target: str
    """The container's name, or the pod's for a sandbox."""
    reason: str
    message: str


def sync_failures(error: str) -> list[SyncFailure]:
    """Return the failures that `error`, the unquoted `err` of "Error syncing pod", names.

    One failure stands alone, several stand in brackets; each message is quoted, so that nothing in it can pose as
    another failure. A message that was cut is taken as far as it goes.
    """
    return [
        SyncFailure(unescape(match[1]), unescape(match[2]), match[3], unescape(match[4]))
        for match, _ in zip(_FAILURE.finditer(error), range(MAX_FAILURES), strict=False)
    ]


def without_back_off(message: str) -> str:
    """Return the cause that a back-off message carries since kubelet 1.32, or `message` itself where it carries none."""
    return backed_off(message)[1]


def backed_off(message: str) -> tuple[str, str]:
    """Return the reason and the cause that a back-off message carries, or nothing and `message` itself where it carries none."""
    match = _BACK_OFF_CAUSE.match(message)
    return (match[1], message[match.end() :]) if match else ("", message)
