import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from watch.journals import host, write_journal

pytestmark = pytest.mark.slow

PULLWHY = Path(sys.executable).with_name("pullwhy")


def settings(folder: Path, **changes: str) -> Path:
    values = {
        "state_directory": str(folder / "state"),
        "host_root": str(folder),
        "runtime_endpoint": str(folder / "none.sock"),
        "http_listen": "127.0.0.1:0",
        **changes,
    }
    path = folder / "agent.toml"
    path.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()))
    return path


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"reproduse": "safe"}, 64, ("agent.toml", "reproduse", "reproduce")),
        ({"host_root": "/nonexistent"}, 64, ("host_root /nonexistent: no such directory",)),
        ({"http_listen": "192.0.2.1:1"}, 1, ("192.0.2.1:1", "http_listen")),
    ],
)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, changes: dict[str, str], code: int, words: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [PULLWHY, "agent", "--config", settings(tmp_path, **changes)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert all(word in last for word in words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_and_keeps_its_state(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    port = free_port()
    with log.open("w") as file:
        agent = subprocess.Popen(
            [PULLWHY, "agent", "--config", settings(tmp_path, http_listen=f"127.0.0.1:{port}")], stderr=file
        )
    try:
        assert answer(f"http://127.0.0.1:{port}/healthz") == "ok\n"
        assert "pullwhy_incidents 0" in answer(f"http://127.0.0.1:{port}/metrics")
        agent.send_signal(number)
        assert agent.wait(10) == 0, log.read_text()
    finally:
        agent.kill()
        agent.wait()
    assert (tmp_path / "state/agent.json").exists()
    assert not [path for path in (tmp_path / "state").rglob("*") if path.stat().st_mode & 0o077]
    assert "Traceback" not in log.read_text()


def test_an_agent_that_cannot_write_its_state_lives_and_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    write_journal(host(tmp_path) / "system.journal", range(1))
    port = free_port()
    with (tmp_path / "log").open("w") as file:
        agent = subprocess.Popen(
            [PULLWHY, "agent", "--config", settings(tmp_path, http_listen=f"127.0.0.1:{port}")], stderr=file
        )
    try:
        assert answer(f"http://127.0.0.1:{port}/healthz") == "ok\n"
        until_it_is_caught_up_with(port)
        code, told = status(f"http://127.0.0.1:{port}/readyz")
        assert code == 503
        assert "state/outbox: Not a directory: give the agent a state directory that it can write" in told
        (tmp_path / "state").unlink()
        deadline = time.monotonic() + 60
        while status(f"http://127.0.0.1:{port}/readyz")[0] != 200:
            assert time.monotonic() < deadline, status(f"http://127.0.0.1:{port}/readyz")
            time.sleep(0.5)
    finally:
        agent.terminate()
        agent.wait(10)


@pytest.mark.parametrize("options", [[], ["--standalone"]])
def test_a_second_agent_on_the_same_state_is_refused_in_one_clear_line(tmp_path: Path, options: list[str]) -> None:
    config = settings(tmp_path, http_listen="")
    with (tmp_path / "log").open("w") as file:
        first = subprocess.Popen([PULLWHY, "agent", "--config", config], stderr=file)
    try:
        until_it_exists(tmp_path / "state/outbox/.lock", first)
        done = subprocess.run(
            [PULLWHY, "agent", *options, "--config", config], capture_output=True, text=True, timeout=30, check=False
        )
        assert first.poll() is None
    finally:
        first.terminate()
        first.wait(10)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"pullwhy agent: {tmp_path / 'state'}: another agent (pid {first.pid}) uses this")
    assert not (tmp_path / "state/collector.db").exists()


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_what_a_standalone_agent_keeps_is_readable_to_its_owner_alone(tmp_path: Path, mask: int) -> None:
    config = settings(tmp_path, http_listen="")
    with config.open("a") as file:
        file.write('[standalone]\nhttp_listen = "127.0.0.1:0"\n')
    with (tmp_path / "log").open("w") as file:
        agent = subprocess.Popen([PULLWHY, "agent", "--standalone", "--config", config], stderr=file, umask=mask)
    try:
        until_it_exists(tmp_path / "state/collector.db-wal", agent)
        kept = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "state").rglob("*")}
    finally:
        agent.terminate()
        agent.wait(10)
    assert {"collector.db", "collector.db-wal", "collector.db-shm"} <= kept.keys()
    assert not any(kept.values()), kept


def until_it_exists(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 15
    while not (path.exists() and (path.stat().st_size or path.suffix != ".lock")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_it_is_caught_up_with(port: int) -> None:
    deadline = time.monotonic() + 15
    while "not read up to its end" in status(f"http://127.0.0.1:{port}/readyz")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answer(url: str) -> str:
    """Ask until there is an answer."""
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                return bytes(response.read()).decode()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def status(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status, bytes(response.read()).decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
