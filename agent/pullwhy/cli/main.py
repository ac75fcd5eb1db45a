"""The `pullwhy` command: finds the command group, runs it, and turns every expected error into one clear line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Final, NoReturn

from pullwhy import __version__

EX_USAGE: Final = 64
"""Exit code of a usage error (sysexits.h)."""

GROUPS: Final = ("diagnose", "classify", "scan", "query", "agent", "collector", "doctor", "completion")
"""Modules of this package; each has `register(subparsers)` and sets `run`, which takes the arguments and returns the exit code."""


class CommandError(Exception):
    """An expected failure: its text names the thing and the mend; `code` is the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the whole argument tree; heavy imports stay inside the commands' `run`."""
    parser = _Parser(prog="pullwhy", description="Why can't this node pull this image?", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"pullwhy {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for group in GROUPS:
        importlib.import_module(f"pullwhy.cli.{group}").register(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except CommandError as error:
        print(f"pullwhy {options.command}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted; Python must not complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run() -> NoReturn:
    """Be the console script."""
    sys.exit(main())
