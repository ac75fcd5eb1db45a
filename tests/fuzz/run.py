"""`make fuzz`: each target under a coverage-guided fuzzer for a while; what breaks one is kept and shown."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz.catalogue import TARGETS

SECONDS: Final = 20
MAX_INPUT: Final = 16_384
"""Bytes of one input."""
INPUT_SECONDS: Final = 10
"""One input may take so long; what a pull brings takes milliseconds."""
MEMORY_MIB: Final = 1024


def fuzz(name: str, seconds: int, kept: Path) -> bool:
    """Fuzz one target in a process of its own; returns whether nothing was found."""
    with tempfile.TemporaryDirectory(prefix="pullwhy-fuzz-") as corpus:
        for number, seed in enumerate(TARGETS[name].seeds):
            Path(corpus, f"seed{number}").write_bytes(seed)
        program = [sys.executable, "-m", "fuzz.engine", name]
        limits = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}", f"-timeout={INPUT_SECONDS}"]
        limits += [
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-artifact_prefix={kept}/{name}-",
            "-verbosity=0",
            "-print_final_stats=1",
        ]
        done = subprocess.run([*program, *limits, corpus], capture_output=True, text=True, check=False)
    executed = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?")
    clean = done.returncode == 0
    print(f"{name:<20} {executed:>9} inputs  {'nothing found' if clean else 'BROKEN'}", flush=True)
    if not clean:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", flush=True)
    return clean


def main() -> int:
    """Fuzz the targets that were named, or all."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target (%(default)s)")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-found"), help="folder for inputs that break (%(default)s)"
    )
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    options.keep.mkdir(exist_ok=True)
    results = [fuzz(name, options.seconds, options.keep) for name in options.targets or TARGETS]
    if not any(options.keep.iterdir()):
        options.keep.rmdir()
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
