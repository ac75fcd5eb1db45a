"""The `pullwhy` command: finds the command group, runs it, and turns every expected error into one clear line."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from pullwhy import __version__
from pullwhy.text import printable

EX_USAGE: Final = 64
"""Exit code of a usage error (sysexits.h)."""

QUERIES: Final = ("query", "silence", "probe")
"""Modules whose commands ask a collector."""

GROUPS: Final = ("diagnose", "classify", "scan", *QUERIES, "agent", "collector", "doctor", "completion")
"""Modules of this package; each has `register(subparsers)` and sets `run`, which takes the arguments and returns the exit code."""

_ALONE: Final = ("agent", "collector")
"""Commands that run for good: the modules of the others would stay in their memory, 0.7 MiB of it."""

_OUTPUT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What writing to a file or a terminal fails with; commands turn what their own work fails with into CommandError."""


class CommandError(Exception):
    """An expected failure: its text names the thing and the mend; `code` is the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Parser(argparse.ArgumentParser):
    """Ends with one line, and the exit code of a usage error."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Name what is unknown as the command does that does not know it."""
        # Left to argparse, the command itself would name what one of its commands does not know.
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """End with one line that names the mistake."""
        self.exit(EX_USAGE, f"{self.prog}: {printable(message, 1000)}; see {self.prog} --help\n")


def build_parser(groups: Sequence[str] = GROUPS) -> argparse.ArgumentParser:
    """Return the argument tree, the whole of it by default; heavy imports stay inside the commands' `run`."""
    parser = Parser(prog="pullwhy", description="Why can't this node pull this image?", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"pullwhy {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for group in groups:
        importlib.import_module(f"pullwhy.cli.{group}").register(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guarded(lambda: _command(arguments))


def guarded(command: Callable[[], int]) -> int:
    """Run a whole command line and return its exit code, whatever becomes of the output."""
    _open_streams()
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted.
        _discard_output()
        return 0
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS:
            raise
        _discard_output()
        print(f"pullwhy: cannot write the output: {error.strerror}", file=sys.stderr)
        return 1


def _command(arguments: list[str] | None) -> int:
    # Before gRPC is loaded: its own lines would say again, and less clearly, what ours say.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    given = sys.argv[1:] if arguments is None else arguments
    return execute("pullwhy", build_parser(given[:1] if given and given[0] in _ALONE else GROUPS).parse_args(given))


def execute(prog: str, options: argparse.Namespace) -> int:
    """Run the command that was parsed and return its exit code."""
    try:
        return int(options.run(options))
    except CommandError as error:
        print(f"{prog} {options.command}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130


def _open_streams() -> None:
    """Put streams in the place of those that were closed before the start (`>&-`), which Python leaves out."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the end
    if sys.stdout is None:
        # Writing to it fails, as it should: what nobody can read was not told.
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _discard_output() -> None:
    """Keep Python from complaining again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run() -> NoReturn:
    """Be the console script."""
    sys.exit(main())
