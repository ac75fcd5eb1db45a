from pathlib import Path

import pytest

from pullwhy.cgroup import in_pod

UID = "5f3c1a70-9d0e-4a51-8f3e-0c7b8f1f2a33"
CONTAINER = "ab" * 32


def proc(root: Path, **groups: str) -> Path:
    for pid, text in groups.items():
        (root / pid.lstrip("p")).mkdir()
        (root / pid.lstrip("p") / "cgroup").write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (f"0::/kubepods/burstable/pod{UID}/{CONTAINER}\n", True),
        (f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{CONTAINER}.scope\n", True),
        (f"12:pids:/kubepods/pod{UID}/x\n1:name=systemd:/\n", True),
        (f"0::/../../pod{UID}/{CONTAINER}\n", True),
        (f"0::/../../pod{UID.replace('-', '')}\n", True),
        (f"0::/../cri-containerd-{CONTAINER}.scope\n", True),
        ("0::/system.slice/kubelet.service\n", False),
        ("0::/../../../../system.slice/containerd.service\n", False),
        ("0::/podruntime/kubelet\n", False),
        ("0::/machine.slice/libpod-12345678.scope\n", False),
        ("0::/\n", False),
        ("", False),
    ],
)
def test_a_pods_process_is_known_by_its_control_group(tmp_path: Path, group: str, expected: bool) -> None:
    assert in_pod(7, proc(tmp_path, p1="0::/init.scope\n", p7=group)) is expected


def test_on_a_node_within_a_pod_control_groups_tell_nothing(tmp_path: Path) -> None:
    group = f"0::/kubepods/pod{UID}/{CONTAINER}\n"
    assert not in_pod(7, proc(tmp_path, p1=group, p7=f"{group.strip()}/system.slice/kubelet.service\n"))


def test_a_process_that_is_gone_is_in_no_pod(tmp_path: Path) -> None:
    assert not in_pod(7, tmp_path)
