"""What an agent keeps in memory while nothing fails: libraries of the walk, of the collector and of other commands stay out."""

import subprocess
import sys

import pytest

RESTING = """
import atexit, sys
from pullwhy.cli.main import main
atexit.register(lambda: print(*sys.modules))
import pullwhy.node.agent
main(["agent", "--help"])
"""
"""All that an agent loads at its start."""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", RESTING], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "library",
    [
        "cryptography",
        "dns",
        "email",
        "h11",
        "prometheus_client",
        "psutil",
        "shtab",
        "sqlite3",
        "starlette",
        "uvicorn",
        "yaml",
    ],
)
def test_a_resting_agent_does_without(library: str, loaded: set[str]) -> None:
    assert "pullwhy.node.agent" in loaded
    assert library not in loaded


@pytest.mark.parametrize(
    "module",
    [
        "pullwhy.node.report.walkrequests",
        "pullwhy.diagnose.document.decoding",
        "pullwhy.diagnose.remedies.rendering",
        "pullwhy.runtime.crio.endpoints",
        "pullwhy.runtime.crio.registriesconf",
    ],
)
def test_a_resting_agent_does_without_what_others_ask_for_or_other_nodes_need(module: str, loaded: set[str]) -> None:
    assert module not in loaded


def test_a_resting_agent_has_no_room_but_its_own(loaded: set[str]) -> None:
    others = {"pullwhy.probe.", "pullwhy.kubernetes.", "pullwhy.collector.", "pullwhy.cli."}
    found = {name for name in loaded if name.startswith(tuple(others))}
    assert found == {"pullwhy.cli.main", "pullwhy.cli.agent"}
