"""A cgroup of its own for each namespace of the lab, seen from inside as the root, removed without a trace at the end."""

import dataclasses
import os
from pathlib import Path

MOUNTS = Path("/sys/fs/cgroup")


@dataclasses.dataclass(frozen=True, slots=True)
class Hierarchy:
    """One cgroup hierarchy of the host: where it is mounted below MOUNTS, its type, its mount options, our place in it."""

    folder: str
    kind: str
    options: str
    place: str

    @property
    def parent(self) -> Path:
        """The host's folder in which the namespace's own cgroup is made."""
        return MOUNTS / self.folder / self.place.lstrip("/")


def hierarchies(mounts: str, memberships: str) -> list[Hierarchy]:
    """Read /proc/self/mountinfo and /proc/self/cgroup and return the hierarchies that are mounted below MOUNTS."""
    places = {}
    for line in memberships.splitlines():
        _, controllers, place = line.split(":", 2)
        places[frozenset(controllers.split(",")) - {""}] = place
    found = []
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        folder, (kind, _, options) = left.split()[4], right.split()
        if kind not in {"cgroup", "cgroup2"} or not folder.startswith(str(MOUNTS)):
            continue
        flags = frozenset(options.split(","))
        wanted = next((key for key in places if key and key <= flags), frozenset()) if kind == "cgroup" else frozenset()
        if wanted in places:
            relative = os.path.relpath(folder, MOUNTS)
            found.append(Hierarchy(relative, kind, ",".join(sorted(wanted)), places[wanted]))
    return found


def enter(hierarchy: Hierarchy, name: str) -> tuple[int, int]:
    """Make the cgroup *name* and move this process into it.

    Returns two descriptors that lead back later: the parent folder, and its cgroup.procs opened for writing.
    """
    own = hierarchy.parent / name
    own.mkdir()
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (own / setting).exists() and hierarchy.kind == "cgroup":
            (own / setting).write_text((hierarchy.parent / setting).read_text(encoding="ascii"), encoding="ascii")
    back = os.open(hierarchy.parent, os.O_RDONLY | os.O_DIRECTORY)
    way = os.open(hierarchy.parent / "cgroup.procs", os.O_WRONLY)
    (own / "cgroup.procs").write_text("0", encoding="ascii")
    return back, way


def leave(name: str, back: int, way: int) -> None:
    """Move this process out of *name* again and remove it with everything below."""
    os.write(way, b"0")
    _remove(name, back)


def _remove(name: str, parent: int) -> None:
    own = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=parent)
    try:
        with os.scandir(own) as entries:
            children = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for child in children:
            _remove(child, own)
    finally:
        os.close(own)
    os.rmdir(name, dir_fd=parent)


def own_hierarchies() -> list[Hierarchy]:
    """Return the hierarchies of the host, with this process's place in each."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    return hierarchies(mounts, Path("/proc/self/cgroup").read_text(encoding="utf-8"))


def remove(name: str) -> None:
    """Remove the cgroup *name* wherever it is left; one that is still in use stays."""
    for hierarchy in own_hierarchies():
        parent = os.open(hierarchy.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _remove(name, parent)
        except OSError:
            continue  # not there, or a process is still ending in it
        finally:
            os.close(parent)


def sweep(prefix: str) -> None:
    """Remove what labs left whose first processes were killed: cgroups named *prefix*, owner, "-", number."""
    names = {path.name for hierarchy in own_hierarchies() for path in hierarchy.parent.glob(f"{prefix}*-*")}
    for name in names:
        owner = name.removeprefix(prefix).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            remove(name)
