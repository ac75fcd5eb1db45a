"""`pullwhy completion`: prints a shell's completion script, made from the parsers themselves."""

from __future__ import annotations

import argparse
from typing import Final

SHELLS: Final = ("bash", "zsh", "fish")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="print shell completion",
        description='Print shell completion. For bash: eval "$(pullwhy completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # noqa: PLC0415 - for this command alone

    from pullwhy.cli.main import build_parser  # noqa: PLC0415 - it imports this module

    print(shtab.complete(build_parser(), shell=options.shell))
    return 0
