"""However a lab ends, nothing of it is left: no process, mount, cgroup or network device."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lab import cgroups
from lab.errors import wait_for
from lab.namespace import CGROUP_PREFIX, own_environment

pytestmark = pytest.mark.lab

OWNER = """
import signal, sys, time
from lab.lab import Lab
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
with Lab() as lab:
    lab.registry()
    node = lab.node("node-owned")
    node.kubelet.add_pod("boxed", "reg.lab.test/none:1", pull_policy="Never")
    node.journal.wait_for("ErrImageNeverPull")
    print(lab.servers.pid, node.namespace.pid, flush=True)
    {ending}
"""


def processes(pids: list[int]) -> set[int]:
    """Return all processes of the namespaces whose first processes are *pids*: all that lose their parent become theirs."""
    return {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)} | set(pids)


def leftovers(owner: int, inside: set[int]) -> list[str]:
    kept = [f"process {pid}" for pid in inside if psutil.pid_exists(pid)]
    found = [f"{top}/{name}" for top, names, _ in os.walk(cgroups.MOUNTS) for name in names]
    return kept + [path for path in found if f"/{CGROUP_PREFIX}{owner}-" in path]


@pytest.mark.parametrize(
    ("ending", "number"),
    [
        ("pass", None),
        ("time.sleep(60)", signal.SIGINT),
        ("time.sleep(60)", signal.SIGKILL),
        ("time.sleep(60)", signal.SIGTERM),
    ],
    ids=["leaving", "Ctrl-C", "kill -9", "terminate"],
)
def test_nothing_is_left_behind(ending: str, number: int | None) -> None:
    links, mounts = set(psutil.net_if_addrs()), Path("/proc/mounts").read_text(encoding="utf-8")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.replace("{ending}", ending)],
        env=own_environment() | {"HOME": os.environ["HOME"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        try:
            pids = [int(word) for word in owner.stdout.readline().split()]
            inside = processes(pids) if number is not None else set(pids)
            if number is not None:
                names = {psutil.Process(pid).name() for pid in inside}
                assert names >= {
                    "containerd",
                    "containerd-shim-runc-v2",
                    "pause",
                    "kubelet",
                    "systemd-journald",
                    "docker-registry",
                }
                assert len(leftovers(owner.pid, inside)) > len(inside)
                owner.send_signal(number)
            owner.wait(30)
        finally:
            owner.kill()
    wait_for(
        "all to be gone",
        lambda: not leftovers(owner.pid, inside),
        seconds=10,
        log=lambda: "\n".join(leftovers(owner.pid, inside)),
    )
    assert set(psutil.net_if_addrs()) == links
    assert Path("/proc/mounts").read_text(encoding="utf-8") == mounts


def test_the_next_lab_sweeps_what_a_killed_first_process_left() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = [f"{CGROUP_PREFIX}{ended.pid}-1", f"{CGROUP_PREFIX}{os.getpid()}-99"]
    parents = [hierarchy.parent for hierarchy in cgroups.own_hierarchies()]
    assert parents
    for parent in parents:
        for name in names:
            (parent / name / "system.slice").mkdir(parents=True)
    cgroups.sweep(CGROUP_PREFIX)
    kept = {path.name for parent in parents for path in parent.glob(f"{CGROUP_PREFIX}*")}
    assert names[0] not in kept
    assert names[1] in kept
    cgroups.remove(names[1])
    assert not [path for parent in parents for path in parent.glob(names[1])]
