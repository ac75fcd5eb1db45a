"""Read and recognise a stored journal, beside a minimal C reader of it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import generate
from bench.figures import Figure, say

ENTRIES: Final = 1_000_000
ROUNDS: Final = 9
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
    say(f"writing a journal of {entries:,} entries, about a minute for a million")
    argv: list[str | Path] = [JOURNAL_REMOTE, "--split-mode=none", "-o", folder / "bench.journal", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
        assert writer.stdin is not None
        generate.write(writer.stdin, entries)
    if writer.returncode:
        sys.exit(f"bench: systemd-journal-remote ended with {writer.returncode}")


def compiled(name: str, folder: Path) -> Path:
    """Compile a C yardstick of this folder into another."""
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libsystemd"], capture_output=True, text=True, check=True
    )
    binary = folder / name
    subprocess.run(["gcc", "-O2", "-o", binary, HERE / f"{name}.c", *flags.stdout.split()], check=True)
    return binary


def read_and_recognise(folder: Path, reader: Path, empty: Path) -> tuple[list[float], list[float]]:
    """Compare reading and recognising with the C reader, round by round; print and return the ratios.

    The first is of the whole CPU time of both programs. The second leaves out what each of them takes for a journal without
    entries: starting, loading, opening, ending.
    """
    yardstick: list[str | Path] = [reader, folder, "kubelet.service"]
    ours: list[str | Path] = [sys.executable, HERE / "recognise.py", folder]
    idle: list[list[str | Path]] = [[reader, empty, "kubelet.service"], [*ours[:2], empty]]
    cpu_seconds(yardstick)  # warms the page cache for both
    whole, work = [], []
    for number in range(1, ROUNDS + 1):
        c_seconds, c_said = cpu_seconds(yardstick)
        our_seconds, our_said = cpu_seconds(ours)
        c_idle, our_idle = (cpu_seconds(argv)[0] for argv in idle)
        whole.append(our_seconds / c_seconds)
        work.append((our_seconds - our_idle) / (c_seconds - c_idle))
        say(
            f"round {number}: C {c_seconds:.3f} s ({c_said.split()[0]} entries), pullwhy {our_seconds:.3f} s ({our_said} failures), "
            f"ratio {whole[-1]:.2f}; of which start-up {c_idle:.3f} s and {our_idle:.3f} s, without it {work[-1]:.2f}"
        )
    return whole, work


def run(entries: int = ENTRIES) -> list[Figure]:
    """Measure and return the figures."""
    folder = Path(tempfile.mkdtemp(prefix="pullwhy-bench-"))
    try:
        journal, empty = folder / "journal", folder / "empty"
        journal.mkdir()
        empty.mkdir()
        make_journal(journal, entries)
        whole, work = read_and_recognise(journal, compiled("reader", folder), empty)
    finally:
        shutil.rmtree(folder)
    return [
        Figure.median("read + recognise, CPU with start-up, to the C reader's", whole, "x", BAR),
        Figure.median("the same less the CPU for an empty journal", work, "x"),
    ]
