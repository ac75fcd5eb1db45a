"""Which kubelet runs on this node, looked up once for each process."""

from __future__ import annotations

import functools
from datetime import datetime
from pathlib import Path

from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.watch.units import KUBELET_UNITS, unit_of


def kubelet_version(root: Path, proc: Path, kubelet: Kubelet) -> str:
    """Return the version of the node's kubelet, such as `v1.36.2`; empty where neither process nor journal tells."""
    if kubelet.started is None:
        return ""
    unit = unit_of(kubelet.pid, proc)
    try:
        return _told(root, (unit,) if unit else KUBELET_UNITS, kubelet.started)
    except LookupError:
        return ""


@functools.lru_cache(maxsize=4)  # what a process said at its start does not change
def _told(root: Path, units: tuple[str, ...], started: datetime) -> str:
    """Return what the journal tells; raises LookupError where it does not, which is not kept."""
    try:
        from pullwhy.watch.journal import JournalUnreadable, Place  # noqa: PLC0415 - a workstation has no systemd
        from pullwhy.watch.kubeletversion import version_at_start  # noqa: PLC0415 - likewise
    except ImportError:
        raise LookupError from None
    try:
        found = version_at_start(Place(root), units, started)
    except JournalUnreadable:
        found = ""
    if not found:
        raise LookupError
    return found
