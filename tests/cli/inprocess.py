"""Commands in the tests' own process: what they print and end with, without the start of Python that costs more than most of them do."""

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pullwhy.cli.main import main


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left, in the words of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def pullwhy(*words: str, data: bytes = b"") -> Done:
    """Run `pullwhy` with these words, and `data` on its standard input."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _standard_input(data):
        try:
            code = main(list(words))
        except SystemExit as ended:  # argparse's way out of a usage error
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _standard_input(data: bytes) -> Iterator[None]:
    own = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))
    try:
        yield
    finally:
        sys.stdin = own
