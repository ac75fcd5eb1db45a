"""`pullwhy collector`: what it cannot start with is one clear line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pullwhy.cli.main import main

PULLWHY = [sys.executable, "-c", "from pullwhy.cli.main import run; run()", "collector"]


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ('http_listn = "x"', 64, "unknown key 'http_listn'; did you mean 'http_listen'?"),
        ("retention_days = 0", 64, "retention_days: "),
        ('grpc_listen = "9443"', 64, "grpc_listen: expected ADDRESS:PORT"),
        ('database = "/proc/none/c.db"', 1, "/proc/none/c.db: No such file or directory: name a file"),
        ('database = "/nope/folder/c.db"', 1, "/nope/folder/c.db: there is no directory /nope: name a file"),
        ("not toml", 64, "not TOML"),
        ('agent_auth = "certificate"', 64, 'agent_auth = "certificate" is set without tls_certificate'),
        ('tls_certificate = "/nowhere/cert.pem"\ntls_key = "/nowhere/key.pem"', 64, "/nowhere/cert.pem"),
        ('database = "postgresql://[::1"', 64, "libpq cannot read this URL"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, code: int, told: str
) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(settings)
    assert main(["collector", "--config", str(config)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pullwhy collector: ")
    assert told in line
    assert not Path("/nope").exists()


@pytest.mark.slow
def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {
            "PULLWHY_DATABASE": str(tmp_path / "c.db"),
            "PULLWHY_HTTP_LISTEN": "127.0.0.1:0",
            "PULLWHY_GRPC_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}",
        }
        done = subprocess.run(PULLWHY, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("pullwhy collector: grpc_listen 127.0.0.1:")


@pytest.mark.slow
def test_nobody_else_can_read_the_database(tmp_path: Path) -> None:
    environment = {
        "PULLWHY_DATABASE": str(tmp_path / "data/c.db"),
        "PULLWHY_HTTP_LISTEN": "127.0.0.1:0",
        "PULLWHY_GRPC_LISTEN": "256.0.0.0:1",
    }
    done = subprocess.run(PULLWHY, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert done.returncode == 1
    for path in (tmp_path / "data", tmp_path / "data/c.db"):
        assert path.stat().st_mode & 0o077 == 0
