"""Which cgroup hierarchies a machine has."""

from pathlib import Path

from lab.cgroups import Hierarchy, hierarchies

HYBRID = """\
30 22 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
MEMBERSHIPS = "4:cpu,cpuacct:/a\n3:name=systemd:/b/c\n2:memory:/\n0::/u\n"


def test_a_hybrid_machine_has_one_for_each_controller_and_a_unified_one() -> None:
    assert hierarchies(HYBRID, MEMBERSHIPS) == [
        Hierarchy("memory", "cgroup", "memory", "/"),
        Hierarchy("systemd", "cgroup", "name=systemd", "/b/c"),
        Hierarchy("cpu,cpuacct", "cgroup", "cpu,cpuacct", "/a"),
        Hierarchy("unified", "cgroup2", "", "/u"),
    ]


def test_a_unified_machine_has_one() -> None:
    mounts = "30 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    (only,) = hierarchies(mounts, "0::/user.slice/x\n")
    assert only.parent == Path("/sys/fs/cgroup/user.slice/x")
