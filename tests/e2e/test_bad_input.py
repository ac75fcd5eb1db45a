"""Bad input gives one clear line that names the thing and the mend; never a traceback."""

import re
import subprocess
from pathlib import Path

import pytest

from e2e.world import PULLWHY

pytestmark = pytest.mark.slow

MISSING = "/nowhere/containerd.sock"


def pullwhy(*words: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PULLWHY, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", **(environment or {})},
    )


def one_clear_line(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode not in (0, -9), done
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith(("usage:", "  "))]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], done.stderr


def test_a_collector_that_is_away() -> None:
    one_clear_line(pullwhy("findings", "--server", "http://127.0.0.1:9"), "http://127.0.0.1:9", "PULLWHY_SERVER")


def test_a_config_with_a_misspelt_key(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('reproduse = "safe"\n')
    one_clear_line(pullwhy("agent", "--config", str(config)), str(config), "reproduse", "reproduce")


def test_a_config_that_is_no_toml(tmp_path: Path) -> None:
    config = tmp_path / "collector.toml"
    config.write_text("http_listen = \n")
    one_clear_line(pullwhy("collector", "--config", str(config)), str(config), "line 1")


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    one_clear_line(pullwhy("scan", "--journal", str(tmp_path / "journal")), str(tmp_path / "journal"))


def test_a_file_that_is_no_journal_export(tmp_path: Path) -> None:
    broken = tmp_path / "x.export.gz"
    broken.write_bytes(b"\x1f\x8b broken")
    one_clear_line(pullwhy("scan", "--file", str(broken)), str(broken))


def test_a_reference_that_is_none() -> None:
    done = pullwhy("diagnose", "reg.example/Shop/Web:1", "-o", "json")
    assert done.returncode == 1, done
    assert '"InvalidImageReference"' in done.stdout


@pytest.mark.parametrize(
    "words", [[], ["findings", "--cause"], ["diagnose"], ["nonsense"], ["scan", "--since", "tomorrow"]]
)
def test_usage_errors_exit_with_64(words: list[str]) -> None:
    done = pullwhy(*words)
    assert done.returncode == 64, done
    assert "Traceback" not in done.stderr


def test_doctor_names_each_thing_with_its_mend(tmp_path: Path) -> None:
    done = pullwhy("doctor", "--host-root", str(tmp_path), "--runtime-endpoint", f"unix://{MISSING}")
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    assert MISSING in done.stdout
    assert re.search(r"journal", done.stdout)


def test_a_database_in_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    config = tmp_path / "collector.toml"
    config.write_text(
        'http_listen = "127.0.0.1:0"\ngrpc_listen = "127.0.0.1:0"\ndatabase = "/proc/nowhere/collector.db"\n'
    )
    one_clear_line(pullwhy("collector", "--config", str(config)), "/proc/nowhere/collector.db")
