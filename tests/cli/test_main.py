"""What every command does alike: usage errors in one line, and output that cannot be written."""

import subprocess
import sys
from pathlib import Path

import pytest

from pullwhy.cli.main import main

pytestmark = pytest.mark.slow

PULLWHY = f"{sys.executable} -c 'from pullwhy.cli.main import run; run()'"
EXPORT = Path(__file__).parent.parent / "data/kubelet-1.36.2-sandbox.export.gz"


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", "-c", f"{PULLWHY} {command}"], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("redirection", "why"), [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize(
    "command", [f"scan --file {EXPORT}", f"scan --file {EXPORT} -o json", "classify < /etc/passwd", "--help"]
)
def test_output_that_cannot_be_written_is_one_line(command: str, redirection: str, why: str) -> None:
    done = shell(f"{command} {redirection}")
    assert (done.returncode, done.stderr) == (1, f"pullwhy: cannot write the output: {why}\n")


def test_a_reader_that_has_enough_is_no_error() -> None:
    done = shell(f"scan --file {EXPORT} -o json | head -c 1")
    assert (done.stdout, done.stderr) == ("[", "")


def test_a_closed_error_stream_is_borne() -> None:
    assert shell("classify a-file 2>&-").returncode == 64


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["scan", "--nonsense"], "pullwhy scan: unrecognized arguments: --nonsense; see pullwhy scan --help"),
        (["findings", "a", "b"], "pullwhy findings: unrecognized arguments: a b; see pullwhy findings --help"),
        (["--nonsense", "scan"], "pullwhy: unrecognized arguments: --nonsense; see pullwhy --help"),
        ([], "pullwhy: the following arguments are required: COMMAND; see pullwhy --help"),
        (
            ["scan", "-", "evil\x1b[2J\n"],
            "pullwhy scan: unrecognized arguments: evil\\x1b[2J\\n; see pullwhy scan --help",
        ),
        (
            ["explain", "-n", "a", "-A", "x"],
            "pullwhy explain: argument --all-namespaces/-A: not allowed with argument --namespace/-n; see pullwhy explain --help",
        ),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_command(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"{line}\n")


def test_classify_with_a_file_is_told_that_it_reads_standard_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "messages.txt"]) == 64
    [line] = capsys.readouterr().err.splitlines()
    assert line == "pullwhy classify: it reads standard input, write: pullwhy classify < messages.txt"
