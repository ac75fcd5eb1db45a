import json
import subprocess
import sys
from pathlib import Path

import pytest

PULLWHY = Path(sys.executable).with_name("pullwhy")


def doctor(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PULLWHY, "doctor", *words], capture_output=True, text=True, timeout=60, check=False)


def test_each_thing_that_is_not_seen_comes_with_its_mend(tmp_path: Path) -> None:
    endpoint = str(tmp_path / "none.sock")
    done = doctor("--host-root", str(tmp_path), "--runtime-endpoint", endpoint, "-o", "json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {"kubelet log", "CRI socket", "resolver", "clock", "walks", "trust store"} <= checks.keys()
    assert not checks["CRI socket"]["ok"]
    assert endpoint in checks["CRI socket"]["found"]
    assert all(check["ok"] or check["mend"] for check in checks.values())


def test_the_walks_child_is_tried(tmp_path: Path) -> None:
    checks = {each["name"]: each for each in json.loads(doctor("--host-root", str(tmp_path), "-o", "json").stdout)}
    assert checks["walks"]["ok"], checks["walks"]


@pytest.mark.parametrize("content", ["clutser = 'a'\n", "= \n"])
def test_a_broken_configuration_is_one_clear_line(tmp_path: Path, content: str) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(content)
    done = doctor("--config", str(config))
    assert done.returncode == 64
    assert len(done.stderr.splitlines()) == 1
    assert str(config) in done.stderr
