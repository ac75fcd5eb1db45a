from pathlib import Path

import pytest

from pullwhy.watch.units import KUBELET_UNITS, RUNTIME_UNITS, detect


def process(proc: Path, pid: int, name: str, cgroup: str, stderr: str = "socket:[4711]") -> None:
    directory = proc / str(pid)
    (directory / "fd").mkdir(parents=True)
    (directory / "comm").write_text(f"{name}\n")
    (directory / "cgroup").write_text(cgroup)
    (directory / "fd/2").symlink_to(stderr)


def test_nothing_found_means_every_known_unit(tmp_path: Path) -> None:
    sources = detect(tmp_path, tmp_path / "proc")
    assert sources.units == (*KUBELET_UNITS, *RUNTIME_UNITS)


@pytest.mark.parametrize(
    ("name", "cgroup", "unit"),
    [
        ("kubelet", "0::/system.slice/kubelet.service\n", "kubelet.service"),
        ("kubelet", "12:pids:/x\n1:name=systemd:/system.slice/kubelet.service\n", "kubelet.service"),
        ("kubelet", "0::/kubelet.slice/kubelet.service\n", "kubelet.service"),
        ("k3s-agent", "0::/system.slice/k3s-agent.service\n", "k3s-agent.service"),
        (
            "kubelite",
            "0::/system.slice/snap.microk8s.daemon-kubelite.service\n",
            "snap.microk8s.daemon-kubelite.service",
        ),
        ("kubelet", "0::/system.slice/my-kubelet.service/payload\n", "my-kubelet.service"),
    ],
)
def test_the_kubelets_unit_is_that_of_its_control_group(tmp_path: Path, name: str, cgroup: str, unit: str) -> None:
    process(tmp_path / "proc", 812, name, cgroup)
    sources = detect(tmp_path, tmp_path / "proc")
    assert sources.kubelet_units == (unit,)
    assert sources.runtime_units == RUNTIME_UNITS
    assert unit in sources.notes[0]


def test_the_runtimes_own_unit_is_followed_too(tmp_path: Path) -> None:
    process(tmp_path / "proc", 1, "kubelet", "0::/system.slice/kubelet.service\n")
    process(tmp_path / "proc", 2, "containerd", "0::/system.slice/my-containerd.service\n")
    assert detect(tmp_path, tmp_path / "proc").units == ("kubelet.service", "my-containerd.service")


def test_a_kubelet_that_logs_to_a_file_is_followed_there(tmp_path: Path) -> None:
    log = "/var/lib/rancher/rke2/agent/logs/kubelet.log"
    process(tmp_path / "proc", 1, "kubelet", "0::/system.slice/rke2-agent.service\n", log)
    sources = detect(tmp_path / "host", tmp_path / "proc")
    assert sources.kubelet_files == (tmp_path / "host" / log.lstrip("/"),)
    assert sources.kubelet_units == ()


def test_a_runtime_that_logs_to_a_file_leaves_the_kubelet_where_it_usually_is(tmp_path: Path) -> None:
    process(tmp_path / "proc", 1, "containerd", "0::/system.slice/x.service\n", "/var/log/containerd.log")
    sources = detect(tmp_path / "host", tmp_path / "proc")
    assert sources.kubelet_units == KUBELET_UNITS
    assert sources.runtime_files == (tmp_path / "host/var/log/containerd.log",)


def test_the_log_file_of_an_embedded_containerd_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "var/lib/rancher/k3s/agent/containerd/containerd.log"
    log.parent.mkdir(parents=True)
    log.touch()
    process(tmp_path / "proc", 1, "k3s-server", "0::/system.slice/k3s.service\n")
    sources = detect(tmp_path, tmp_path / "proc")
    assert (sources.kubelet_units, sources.runtime_files) == (("k3s.service",), (log,))


def test_a_process_of_no_unit_is_said(tmp_path: Path) -> None:
    process(tmp_path / "proc", 1, "kubelet", "0::/\n", "pipe:[12]")
    sources = detect(tmp_path, tmp_path / "proc")
    assert "watch.units" in sources.notes[0]
    assert sources.kubelet_units == KUBELET_UNITS


def test_other_processes_are_of_no_interest(tmp_path: Path) -> None:
    process(tmp_path / "proc", 1, "sshd", "0::/system.slice/sshd.service\n")
    (tmp_path / "proc/9").mkdir()
    assert detect(tmp_path, tmp_path / "proc").notes == ()


def test_what_a_pods_process_logs_is_not_the_nodes_word(tmp_path: Path) -> None:
    process(tmp_path / "proc", 7, "kubelet", "0::/kubepods/besteffort/pod1234abcd/x\n", stderr="/etc/shadow")
    process(tmp_path / "proc", 8, "kubelet", "0::/system.slice/kubelet.service\n")
    sources = detect(tmp_path, tmp_path / "proc")
    assert (sources.kubelet_units, sources.files) == (("kubelet.service",), ())
