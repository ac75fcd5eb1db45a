"""Tells from control groups which processes live in a pod: whoever may create a pod names its processes as they like."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 65_536
"""Of one cgroup file; a line has a path of at most 4 KiB, and cgroup v1 a dozen lines."""

# kubelet: pkg/kubelet/cm (kubepods, podUID; in systemd's spelling kubepods-podUID.slice). Seen from inside of another pod's cgroup
# namespace a path may begin at the pod (cgroup_namespaces(7)), or in the agent's own pod at the container.
_POD: Final = re.compile(
    r"kubepods|/pod[0-9a-f]{8}[0-9a-f_-]{0,28}(?:/|$)|/(?:cri-containerd|crio)-[0-9a-f]{64}\.scope", re.MULTILINE
)


def in_pod(pid: int, proc: Path) -> bool:
    """Whether a process below `proc` lives in a pod, and so is no part of the node itself.

    Where the first process is in one too (a node within a pod), control groups tell nothing. A process that is gone is in none.
    """
    return _marked(proc / str(pid)) and not _marked(proc / "1")


def _marked(process: Path) -> bool:
    try:
        with (process / "cgroup").open("rb") as file:
            return _POD.search(file.read(MAX_BYTES).decode(errors="replace")) is not None
    except OSError:
        return False
