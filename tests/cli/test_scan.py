"""`pullwhy scan` as users run it."""

import gzip
import json
from pathlib import Path

import pytest
from cli.inprocess import Done, pullwhy
from watch.journals import JournalWriter

DATA = Path(__file__).parent.parent / "data"
EXPORT = DATA / "kubelet-1.36.2-sandbox.export.gz"


def scan(*arguments: str, data: bytes = b"") -> Done:
    return pullwhy("scan", *arguments, data=data)


def test_json_is_an_array_of_findings_that_keep_the_contract() -> None:
    done = scan("--file", str(EXPORT), "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found
    assert {finding["schema"] for finding in found} == {"pullwhy/v1"}
    assert {"TagNotFound", "RuntimeUnavailable"} <= {finding["cause"] for finding in found}


def test_table_is_for_people() -> None:
    done = scan("--file", str(EXPORT))
    assert done.stdout.splitlines()[0].split()[:2] == ["IMAGE", "CAUSE"]


def test_a_path_alone_is_a_log_or_a_directory_of_journals(tmp_path: Path) -> None:
    assert scan(str(EXPORT)).stdout == scan("--file", str(EXPORT)).stdout
    assert f"no journal files in {tmp_path}" in scan(str(tmp_path)).stderr
    assert scan(str(EXPORT), "--file", str(EXPORT)).returncode == 64


def test_messages_that_are_no_log_are_for_classify(tmp_path: Path) -> None:
    messages = tmp_path / "messages.txt"
    messages.write_text('Back-off pulling image "nginx:1.99"\n')
    assert f"for messages alone: pullwhy classify < {messages}\n" in scan(str(messages)).stderr


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


KLOG = b'I1122 08:10:35.850846       7 kubelet.go:1] "SyncLoop ADD"\n'


@pytest.mark.parametrize(
    "line",
    [
        KLOG,
        b'time="2026-11-22T08:10:35Z" level=info msg="starting containerd"\n',
        b'{"ts":1795335000000,"caller":"kubelet/kubelet.go:1","msg":"SyncLoop ADD","v":2}\n',
        b"Nov 22 08:10:35 node-a kubelet[7]: Flag --x has been deprecated\n",
    ],
)
def test_nothing_found_in_our_lines_is_said_and_is_no_error(line: bytes) -> None:
    done = scan("--file", "-", data=line + b"a line of something else\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No failed pull in 2 lines.\n"


def test_what_since_left_out_is_said() -> None:
    done = scan("--file", str(EXPORT), "--since", "2040-01-01T00:00:00Z")
    assert done.returncode == 0
    assert done.stderr.startswith("No failed pull in 0 of ")
    assert "lines, those since 2040-01-01T00:00:00Z; the log runs from 20" in done.stderr


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "standard input: it is empty"),
        (b"hello\n", "nothing in its 1 line looks"),
        (b"hello\nworld\n", "nothing in its 2 lines looks like a kubelet's or a runtime's log"),
        (b"\x7fELF\x00\x01\n" * 9, "nothing in its 9 lines looks like"),
    ],
)
@pytest.mark.parametrize("output", ["table", "json"])
def test_what_is_no_log_of_ours_is_no_all_clear(data: bytes, told: str, output: str) -> None:
    done = scan("--file", "-", "-o", output, data=data)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert told in line
    assert "journalctl -o export" in line


@pytest.mark.parametrize("name", ["", "system.journal.txt"])
def test_a_directory_without_journal_files_is_no_all_clear(tmp_path: Path, name: str) -> None:
    if name:
        (tmp_path / name).touch()
    done = scan("--journal", str(tmp_path), "-o", "json")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"pullwhy scan: no journal files in {tmp_path}: ")


def journal(path: Path, unit: str, message: bytes = KLOG[:-1]) -> Path:
    with JournalWriter(path / "system.journal") as writer:
        writer.write(0, message, unit)
    return path


def test_a_journal_in_which_no_kubelet_writes_is_no_all_clear(tmp_path: Path) -> None:
    done = scan("--journal", str(journal(tmp_path, "sshd.service", b"hello")))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no entry of a kubelet's or a runtime's unit in the journal at " in done.stderr


@pytest.mark.parametrize("unit", ["kubelet.service", "my-kubelet.service"])
def test_a_journal_of_a_sound_kubelet_is_an_all_clear(tmp_path: Path, unit: str) -> None:
    done = scan("--journal", str(journal(tmp_path, unit)))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"No failed pull in the journal at {tmp_path}.\n"


def test_a_journal_that_ends_before_since_says_when(tmp_path: Path) -> None:
    done = scan("--journal", str(journal(tmp_path, "kubelet.service")), "--since", "2040-01-01T00:00:00Z")
    assert done.returncode == 0
    assert "since 2040-01-01T00:00:00Z; its newest entry is of 2026-11-22T" in done.stderr


def test_damage_is_said_after_the_findings_before_it() -> None:
    whole = gzip.decompress(EXPORT.read_bytes())
    done = scan("--file", "-", "-o", "json", data=gzip.compress(whole)[:-20])
    assert done.returncode == 1
    assert json.loads(done.stdout)
    assert "the rest was not scanned" in done.stderr


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_file_of_which_nothing_can_be_read_gives_the_error_alone(tmp_path: Path, output: str) -> None:
    broken = tmp_path / "node.export.gz"
    broken.write_bytes(b"\x1f\x8b broken")
    done = scan("--file", str(broken), "-o", output)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"pullwhy scan: {broken}: ")
    assert "nothing was scanned" in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--file", "/no/such/file"), "cannot read /no/such/file: No such file or directory"),
        (("--journal", "/no/such/directory"), "/no/such/directory"),
        (
            ("--journal", str(EXPORT)),
            "not a journal, or of a newer systemd than this libsystemd reads; a log is read with",
        ),
    ],
)
def test_what_cannot_be_read_is_one_clear_line_and_1(arguments: tuple[str, ...], text: str) -> None:
    done = scan(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert text in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--since", "yesterday"), "is no time"),
        (("--file", "a", "--journal", "b"), "not allowed with"),
    ],
)
def test_usage_errors_are_one_clear_line_and_64(arguments: tuple[str, ...], text: str) -> None:
    done = scan(*arguments)
    assert done.returncode == 64
    assert text in done.stderr
    assert "Traceback" not in done.stderr
