"""The first process of a namespace of the lab: builds its file system, reaps, and takes everything down when its owner is gone.

The owner holds the other end of standard input. However the owner ends, kill -9 included, that end closes; this process then
kills what is left in its process namespace, removes its cgroups and exits, and the kernel drops the mounts and the network.
"""

import ctypes
import dataclasses
import json
import os
import signal
import sys
import time
from pathlib import Path

from lab import cgroups

CLONE_NEWCGROUP = 0x02000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
STAGE = Path("/run")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """What a namespace is made of: its host name and cgroup, folders shared with the host, and folders that begin empty."""

    hostname: str
    cgroup: str
    shared: list[str]
    empty: list[str]
    files: dict[str, str]


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: Path, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """Mount a file system or a folder; raises OSError that names the target."""
    words = [None if word is None else word.encode() for word in (source, str(target), kind)]
    data = None if options is None else options.encode()
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data), f"mount {kind or source} on {target}")


def build_root(spec: Spec) -> None:
    """Make a root of its own: the host's as the lower layer, all writes in memory, shared folders bound, the rest emptied."""
    mount("none", Path("/"), None, MS_REC | MS_PRIVATE)
    memory = STAGE
    mount("tmpfs", memory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=4g")
    for part in ("upper", "work", "root"):
        (memory / part).mkdir()
    root = memory / "root"
    mount("overlay", root, "overlay", 0, f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work")
    mount("proc", root / "proc", "proc")
    mount("sysfs", root / "sys", "sysfs")
    mount("/dev", root / "dev", None, MS_BIND | MS_REC)
    for folder in spec.empty:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount("tmpfs", root / folder.lstrip("/"), "tmpfs", 0, "mode=755,size=2g")
    for folder in spec.shared:
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        mount(folder, root / folder.lstrip("/"), None, MS_BIND | MS_REC)
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount the host's root")
    os.chdir("/")


def build_cgroups(found: list[cgroups.Hierarchy]) -> None:
    """Show this process's own cgroups as the roots, below /sys/fs/cgroup, and move it into a leaf, as systemd does."""
    _check(_libc.unshare(CLONE_NEWCGROUP), "unshare the cgroup namespace")
    if [hierarchy.folder for hierarchy in found] != ["."]:
        mount("tmpfs", cgroups.MOUNTS, "tmpfs", 0, "mode=755")
    for hierarchy in found:
        target = cgroups.MOUNTS / hierarchy.folder
        target.mkdir(exist_ok=True)
        named = f"none,{hierarchy.options}" if hierarchy.options.startswith("name=") else hierarchy.options
        mount("cgroup", target, hierarchy.kind, 0, named or None)
        if hierarchy.kind == "cgroup2":
            (target / "init.scope").mkdir()
            (target / "init.scope" / "cgroup.procs").write_text("0", encoding="ascii")


def write_files(files: dict[str, str]) -> None:
    """Write each text to its path, in place of whatever the host has there."""
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")


def end_all() -> None:
    """Kill every other process of this process namespace and wait until none is left, for at most five seconds."""
    deadline = time.monotonic() + 5
    own = os.getpid()
    while time.monotonic() < deadline:
        if not [path for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) != own]:
            return
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def main() -> int:
    """Build what standard input's first line describes, say the process number on the host, and stay until it closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    spec = Spec(**json.loads(sys.stdin.readline()))
    on_host = Path("/proc/self").readlink()
    found = cgroups.own_hierarchies()
    ways: list[tuple[int, int]] = []
    try:
        ways.extend(cgroups.enter(hierarchy, spec.cgroup) for hierarchy in found)
        build_root(spec)
        build_cgroups(found)
        write_files(spec.files)
        _check(_libc.sethostname(spec.hostname.encode(), len(spec.hostname)), "sethostname")
        print(f"ready {on_host}", flush=True)
        sys.stdin.read()
    except OSError as error:
        print(f"failed {error}", flush=True)
        return 1
    finally:
        end_all()
        for back, way in ways:
            cgroups.leave(spec.cgroup, back, way)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
