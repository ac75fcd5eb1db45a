"""The agent as a process: what a kill at any moment may not cost."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from node.fakes import sync_error
from watch.journals import EPOCH, JournalWriter, host, wait_until

from pullwhy.node.state import NAME, load

pytestmark = pytest.mark.slow

PULLWHY = Path(sys.executable).with_name("pullwhy")
KILLS = 3
LINES = 24


def agent(folder: Path) -> "subprocess.Popen[bytes]":
    config = folder / "agent.toml"
    config.write_text(
        f'state_directory = "{folder / "state"}"\nhost_root = "{folder}"\nhttp_listen = ""\n'
        f'runtime_endpoint = "{folder / "none.sock"}"\n'
    )
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([PULLWHY, "agent", "--config", config], stderr=log)


def test_kill_9_at_any_moment_neither_repeats_nor_misses_a_failure(tmp_path: Path) -> None:
    chance = random.Random(7)
    shift = int(time.time()) - EPOCH // 1_000_000  # a first start looks back ten minutes only
    directory = host(tmp_path)
    running = agent(tmp_path)
    try:
        with JournalWriter(directory / "system.journal") as writer:
            for number in range(LINES):
                writer.write(shift + number, sync_error(number, "x: not found").text)
                time.sleep(chance.uniform(0, 0.15))
                if number % (LINES // KILLS) == LINES // KILLS - 1:
                    running.kill()
                    running.wait()
                    running = agent(tmp_path)
            wait_until(lambda: attempts(tmp_path) >= LINES, seconds=15)
    finally:
        running.terminate()
        running.wait(10)
    assert attempts(tmp_path) == LINES, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def attempts(folder: Path) -> int:
    """Return the failures that the agent counted, as its state tells."""
    if not (folder / "state" / NAME).exists():
        return 0
    return sum(incident.attempts for incident in load(folder / "state").incidents)
