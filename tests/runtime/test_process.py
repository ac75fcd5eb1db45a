import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pullwhy.model import Outcome, Stage
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.processes import Processes
from pullwhy.runtime.process import ProcessView, find_process


def proc(root: Path, processes: Mapping[int, Mapping[str, str]]) -> Processes:
    root.mkdir()
    (root / "stat").write_text("btime 1700000000\n")
    for pid, files in processes.items():
        (root / str(pid)).mkdir()
        for name, content in files.items():
            (root / str(pid) / name).write_text(content)
    return Processes(root)


def containerd(*arguments: str, environ: str | None = "") -> dict[str, str]:
    files = {"comm": "containerd\n", "cmdline": "\0".join(("containerd", *arguments, ""))}
    return files if environ is None else {**files, "environ": environ}


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield str(path)


def test_the_process_behind_the_socket_is_found_among_several(tmp_path: Path, listener: str) -> None:
    own = os.getpid()
    processes = proc(
        tmp_path / "proc",
        {
            own: {**containerd("-c", "/a.toml", "--root", "/r", "--state=/s"), "comm": "odd"},
            own + 1: containerd("-c", "/b"),
        },
    )
    found = find_process(listener, HostFS(), processes)
    assert found.results == ()
    assert found.process is not None
    assert (found.process.pid, found.process.config_file) == (own, "/a.toml")
    assert (found.process.root, found.process.state) == ("/r", "/s")


def by_name(tmp_path: Path, processes: Mapping[int, Mapping[str, str]], endpoint: str = "/none.sock") -> ProcessView:
    return find_process(endpoint, HostFS(tmp_path), proc(tmp_path / "proc", processes))


def test_without_a_socket_the_only_process_of_a_runtimes_name_is_it(tmp_path: Path) -> None:
    found = by_name(tmp_path, {7: containerd("--config=/c.toml"), 8: {"comm": "bash\n", "cmdline": "bash\0"}})
    assert found.process is not None
    assert (found.process.pid, found.process.config_file) == (7, "/c.toml")


def test_of_several_the_one_with_this_address_is_it(tmp_path: Path) -> None:
    found = by_name(tmp_path, {7: containerd(), 8: containerd("-a", "/k3s.sock")}, "/k3s.sock")
    assert found.process is not None
    assert found.process.pid == 8


@pytest.mark.parametrize(
    ("processes", "word"),
    [
        ({}, "hostPID"),
        ({7: containerd(), 8: containerd()}, "several processes may be the runtime (containerd 7, containerd 8)"),
    ],
)
def test_nothing_is_guessed(tmp_path: Path, processes: dict[int, dict[str, str]], word: str) -> None:
    found = by_name(tmp_path, processes)
    (result,) = found.results
    assert found.process is None
    assert (result.stage, result.outcome) == (Stage.PROXY, Outcome.SKIPPED)
    assert word in result.detail


def test_where_every_process_is_seen_no_right_is_asked_for(tmp_path: Path) -> None:
    seen = proc(tmp_path / "proc", {1: {"comm": "systemd\n"}})
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").touch()
    whole = Processes(seen.proc, (seen.proc / "self/ns/pid").stat().st_ino)
    (result,) = find_process("/none.sock", HostFS(tmp_path), whole).results
    assert result.detail == "no container runtime runs on this machine: proxy and command line are not known"


@pytest.mark.parametrize(
    ("environ", "http", "https", "no_proxy"),
    [
        ("", "", "", ""),
        ("HTTP_PROXY=http://u:canary@a\0https_proxy=b\0NO_PROXY=c", "http://u:canary@a", "b", "c"),
        ("HTTPS_PROXY=a\0https_proxy=b\0no_proxy=d", "", "a", "d"),
        ("HTTPS_PROXY=\0https_proxy=b\0ALL_PROXY=x", "", "b", ""),
    ],
)
def test_proxies_come_from_the_runtimes_own_environment(
    tmp_path: Path, environ: str, http: str, https: str, no_proxy: str
) -> None:
    found = by_name(tmp_path, {7: containerd(environ=environ)})
    assert found.process is not None
    proxies = found.process.proxies
    assert proxies is not None
    assert (proxies.http.reveal(), proxies.https.reveal(), proxies.no_proxy) == (http, https, no_proxy)
    assert proxies.source == f"{tmp_path}/proc/7/environ"
    assert "canary" not in repr(found)


def test_behind_cri_dockerd_it_is_dockerd_that_pulls(tmp_path: Path) -> None:
    shim = {"comm": "cri-dockerd\n", "cmdline": "cri-dockerd\0", "environ": ""}
    daemon = {"comm": "dockerd\n", "cmdline": "dockerd\0", "environ": "HTTPS_PROXY=http://p"}
    found = by_name(tmp_path, {7: shim, 8: daemon})
    assert found.process is not None
    assert found.process.pid == 8
    assert found.process.proxies is not None
    assert found.process.proxies.https.reveal() == "http://p"


def test_trust_variables_are_kept(tmp_path: Path) -> None:
    found = by_name(tmp_path, {7: containerd(environ="SSL_CERT_FILE=/a\0SSL_CERT_DIR=/b:/c\0HOME=/x")})
    assert found.process is not None
    assert (found.process.ssl_cert_file, found.process.ssl_cert_dir) == ("/a", "/b:/c")


def test_an_environment_that_cannot_be_read_is_unknown_and_not_empty(tmp_path: Path) -> None:
    found = by_name(tmp_path, {7: containerd(environ=None)})
    assert found.process is not None
    assert found.process.proxies is None
    (result,) = found.results
    assert (result.outcome, result.target) == (Outcome.SKIPPED, f"{tmp_path}/proc/7/environ")
