import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pullwhy.runtime.host.processes import Process, Processes, UnreadableProcess

STAT = "{pid} (conta) iner d) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 500 1 2\n"


def proc(root: Path, processes: Mapping[int, Mapping[str, str]]) -> Processes:
    (root / "stat").write_text("cpu 1 2\nbtime 1700000000\n")
    (root / "self").mkdir()
    for pid, files in processes.items():
        (root / str(pid)).mkdir()
        for name, content in files.items():
            (root / str(pid) / name).write_text(content)
    return Processes(root)


def test_processes_are_found_by_name(tmp_path: Path) -> None:
    processes = proc(
        tmp_path,
        {
            9: {"comm": "containerd\n", "cmdline": "/usr/bin/containerd\0-c\0/etc/c.toml\0"},
            10: {"comm": "containerd-shim\n", "cmdline": ""},
            11: {"comm": "containerd\n"},
            12: {},
        },
    )
    assert processes.named("containerd") == (Process(9, "containerd", ("/usr/bin/containerd", "-c", "/etc/c.toml")),)
    assert [process.pid for process in processes.named("containerd-shim-runc-v2")] == [10]


def test_all_are_seen_in_the_machines_own_namespace_where_none_is_hidden(tmp_path: Path) -> None:
    processes = proc(tmp_path, {1: {"comm": "systemd\n"}, 9: {"comm": "sh\n"}})
    (tmp_path / "self/ns").mkdir()
    (tmp_path / "self/ns/pid").touch()
    own = Processes(tmp_path, (tmp_path / "self/ns/pid").stat().st_ino)
    assert own.are_all()
    assert not processes.are_all()
    (tmp_path / "1/comm").unlink()
    assert not own.are_all()


def test_a_pod_cannot_pass_for_a_process_of_the_node(tmp_path: Path) -> None:
    processes = proc(
        tmp_path,
        {
            8: {"comm": "kubelet\n", "cmdline": "kubelet\0", "cgroup": "0::/kubepods/besteffort/pod1234abcd/x\n"},
            9: {"comm": "kubelet\n", "cmdline": "kubelet\0", "cgroup": "0::/system.slice/kubelet.service\n"},
        },
    )
    assert [process.pid for process in processes.named("kubelet")] == [9]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("-c", "/a"), "/a"),
        (("--config", "/a"), "/a"),
        (("-config", "/a"), "/a"),
        (("--config=/a",), "/a"),
        (("--config=/a=b",), "/a=b"),
        (("-c", "/a", "--config=/b"), "/b"),
        (("--log-level", "debug", "-c", "/a"), "/a"),
        (("-c",), ""),
        (("config", "/a"), ""),
        ((), ""),
    ],
)
def test_flags_are_read_in_gos_forms(arguments: tuple[str, ...], value: str) -> None:
    assert Process(1, "containerd", ("containerd", *arguments)).flag("c", "config") == value


def test_only_the_wanted_variables_leave_the_environment(tmp_path: Path) -> None:
    processes = proc(tmp_path, {9: {"environ": "HTTPS_PROXY=http://p\0SECRET=canary\0A=b=c\0\0"}})
    assert processes.variables(9, ("HTTPS_PROXY", "A", "NONE")) == {"HTTPS_PROXY": "http://p", "A": "b=c"}


def test_the_start_is_counted_from_boot(tmp_path: Path) -> None:
    processes = proc(tmp_path, {9: {"stat": STAT.format(pid=9)}, 10: {"stat": "x"}})
    seconds = 1_700_000_000 + 500 / os.sysconf("SC_CLK_TCK")
    assert processes.started(9) == datetime.fromtimestamp(seconds, UTC)
    assert processes.started(10) is None
    assert processes.started(11) is None


def test_this_process_started_in_the_past() -> None:
    started = Processes().started(os.getpid())
    assert started is not None
    assert started < datetime.now(UTC)


def test_a_process_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableProcess, match="gone or not visible") as raised:
        Processes(tmp_path).process(9)
    assert not raised.value.denied


def test_a_proc_that_is_absent_holds_no_processes(tmp_path: Path) -> None:
    assert Processes(tmp_path / "none").named("containerd") == ()
