"""`pullwhy scan` as users run it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"
EXPORT = DATA / "kubelet-1.36.2-sandbox.export.gz"


def scan(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from pullwhy.cli.main import run; run()", "scan", *arguments]
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


def test_json_is_an_array_of_findings_that_keep_the_contract() -> None:
    done = scan("--file", str(EXPORT), "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found
    assert {finding["schema"] for finding in found} == {"pullwhy/v1"}
    assert {"TagNotFound", "RuntimeUnavailable"} <= {finding["cause"] for finding in found}


def test_table_is_for_people() -> None:
    done = scan("--file", str(EXPORT))
    assert done.stdout.splitlines()[0].split()[:2] == [b"IMAGE", b"CAUSE"]


@pytest.mark.parametrize("pack", [bytes, gzip.decompress], ids=["gzip", "plain"])
def test_standard_input(pack: type[bytes]) -> None:
    done = scan("--file", "-", "-o", "json", data=pack(EXPORT.read_bytes()))
    assert json.loads(done.stdout)


def test_plain_log_text_with_the_journals_header() -> None:
    line = (
        b'Nov 22 08:10:35 node-a kubelet[7]: E1122 08:10:35.850846       7 pod_workers.go:1] "Error syncing pod, skipping" '
        b'err="failed to \\"StartContainer\\" for \\"app\\" with ErrImageNeverPull: \\"Container image \\\\\\"a:1\\\\\\" is not '
        b'present with pull policy of Never\\"" pod="n/p" podUID="u"\n'
    )
    [found] = json.loads(scan("--file", "-", "-o", "json", data=line).stdout)
    assert (found["image"], found["cause"], found["pods"][0]["name"]) == ("a:1", "ImageNeverPull", "p")


def test_since_leaves_older_lines_out() -> None:
    done = scan("--file", str(EXPORT), "--since", "2030-01-01T00:00:00Z", "-o", "json")
    assert json.loads(done.stdout) == []


def test_nothing_found_is_said_and_is_no_error() -> None:
    done = scan("--file", "-", data=b"hello\nworld\n")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"No failed pull in 2 lines.\n"


def test_damage_is_said_after_the_findings_before_it() -> None:
    whole = gzip.decompress(EXPORT.read_bytes())
    done = scan("--file", "-", "-o", "json", data=gzip.compress(whole)[:-20])
    assert done.returncode == 1
    assert json.loads(done.stdout)
    assert b"the rest was not scanned" in done.stderr


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_file_of_which_nothing_can_be_read_gives_the_error_alone(tmp_path: Path, output: str) -> None:
    broken = tmp_path / "node.export.gz"
    broken.write_bytes(b"\x1f\x8b broken")
    done = scan("--file", str(broken), "-o", output)
    assert (done.returncode, done.stdout) == (1, b"")
    [line] = done.stderr.decode().splitlines()
    assert line.startswith(f"pullwhy scan: {broken}: ")
    assert "nothing was scanned" in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--file", "/no/such/file"), b"cannot read /no/such/file: No such file or directory"),
        (("--journal", "/no/such/directory"), b"/no/such/directory"),
        (("--since", "yesterday"), b"is no time"),
        (("--file", "a", "--journal", "b"), b"not allowed with"),
    ],
)
def test_usage_errors_are_one_clear_line_and_64(arguments: tuple[str, ...], text: bytes) -> None:
    done = scan(*arguments)
    assert done.returncode == 64
    assert text in done.stderr
    assert b"Traceback" not in done.stderr
