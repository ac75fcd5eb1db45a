"""What kubectl's completion offers of `kubectl pullwhy`."""

import subprocess
import sys
from pathlib import Path

import pytest

from pullwhy.cli.kubectl.complete import candidates
from pullwhy.cli.kubectl.plugin import build_parser

COMPLETE = Path(sys.executable).with_name("kubectl_complete-pullwhy")


@pytest.mark.parametrize(
    ("words", "found", "directive"),
    [
        (["fin"], ["findings"], 4),
        (["nodes", "-o", ""], ["json", "table", "wide", "yaml"], 4),
        (["--context", "work", "nodes", "--output", "j"], ["json"], 4),
        (["nodes", "--pullwhy-n"], ["--pullwhy-namespace"], 4),
        (["nodes", "--watch", "--tok"], ["--token-audience", "--token-file", "--token-from"], 4),  # not --token
        (["nodes", "--kubeconfig", ""], [], 0),
        (["nodes", "fin"], [], 4),
        (["what", "ever", "doc"], ["doctor"], 4),
    ],
)
def test_a_word_becomes_what_the_command_takes_there(words: list[str], found: list[str], directive: int) -> None:
    assert candidates(build_parser(), words) == (found, directive)


@pytest.mark.slow
def test_the_program_prints_what_kubectl_reads() -> None:
    done = subprocess.run([COMPLETE, "doc"], capture_output=True, text=True, check=True)
    assert done.stdout == "doctor\n:4\n"
    done = subprocess.run([COMPLETE], capture_output=True, text=True, check=True)
    assert {"findings", "explain", "nodes", "problems", "probe", "doctor"} < set(done.stdout.split())
