"""`make bench`: the figures of the design's bars that can be measured on one machine."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import generate

ENTRIES: Final = 1_000_000
ROUNDS: Final = 7
BAR: Final = 1.8
JOURNAL_REMOTE: Final = Path("/lib/systemd/systemd-journal-remote")
HERE: Final = Path(__file__).resolve().parent


def cpu_seconds(argv: Sequence[str | Path]) -> tuple[float, str]:
    """Run a program to its end; return its user and system time, in seconds, start-up included, and what it printed."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(word) for word in argv], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"bench: {argv[0]} ended with {process.returncode}")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, out.read().decode().strip()


def make_journal(folder: Path, entries: int) -> None:
    """Generate the journal with systemd's own writer."""
    if not JOURNAL_REMOTE.exists():
        sys.exit("bench: systemd-journal-remote is missing: apt-get install systemd-journal-remote")
    print(f"bench: writing a journal of {entries:,} entries, about a minute for a million", flush=True)
    argv = [JOURNAL_REMOTE, "--split-mode=none", "-o", folder / "bench.journal", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
        assert writer.stdin is not None
        generate.write(writer.stdin, entries)
    if writer.returncode:
        sys.exit(f"bench: systemd-journal-remote ended with {writer.returncode}")


def build_reader(folder: Path) -> Path:
    """Compile the C yardstick."""
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libsystemd"], capture_output=True, text=True, check=True
    )
    binary = folder / "reader"
    subprocess.run(["gcc", "-O2", "-o", binary, HERE / "reader.c", *flags.stdout.split()], check=True)
    return binary


def read_and_recognise(folder: Path, reader: Path) -> float:
    """Compare reading and recognising with the C reader, round by round; print and return the median ratio."""
    yardstick = [reader, folder, "kubelet.service"]
    ours = [sys.executable, "-m", "bench.recognise", folder]
    cpu_seconds(yardstick)  # warms the page cache for both
    ratios = []
    for number in range(1, ROUNDS + 1):
        c_seconds, c_said = cpu_seconds(yardstick)
        our_seconds, our_said = cpu_seconds(ours)
        ratios.append(our_seconds / c_seconds)
        print(
            f"  round {number}: C {c_seconds:.3f} s ({c_said.split()[0]} entries), pullwhy {our_seconds:.3f} s "
            f"({our_said} failures), ratio {ratios[-1]:.2f}",
            flush=True,
        )
    return statistics.median(ratios)


def main() -> int:
    """Print each figure beside its bar."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    folder = Path(tempfile.mkdtemp(prefix="pullwhy-bench-"))
    try:
        journal = folder / "journal"
        journal.mkdir()
        make_journal(journal, entries)
        median = read_and_recognise(journal, build_reader(folder))
    finally:
        shutil.rmtree(folder)
    verdict = "met" if median <= BAR else f"missed by {median - BAR:.2f}"
    print(
        f"read + recognise, CPU with start-up, median of {ROUNDS}: {median:.2f} x the C reader (bar {BAR}: {verdict})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
