"""`kubectl_complete-pullwhy`: what a shell's completion of `kubectl pullwhy` offers; kubectl 1.26 and later starts it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from pullwhy.cli.kubectl.plugin import build_parser

NO_FILES: Final = 4
FILES: Final = 0
"""What the shell may offer besides (github.com/spf13/cobra: completions.go, ShellCompDirective)."""


def candidates(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[list[str], int]:
    """Return what the last of `words`, of which some may be typed, can become, and the directive for the shell."""
    *before, last = words or [""]
    current, value = parser, None
    for word in before:
        if value:
            value = None
        elif word.startswith("-"):
            action = current._option_string_actions.get(word)  # noqa: SLF001 - argparse has no other way to ask
            value = action if action and action.nargs is None else None
        else:
            current = _commands(current).get(word, current)
    if value:
        found = [str(choice) for choice in value.choices or ()]
        return _beginning(found, last), FILES if value.metavar in ("FILE", "DIR") else NO_FILES
    if last.startswith("-"):
        options = current._option_string_actions  # noqa: SLF001 - argparse shows it in no other way
        shown = [name for name, action in options.items() if action.help is not argparse.SUPPRESS]
        return _beginning([name for name in shown if name.startswith("--")], last), NO_FILES
    return _beginning(list(_commands(current)), last), NO_FILES


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = parser._subparsers._group_actions if parser._subparsers else []  # noqa: SLF001 - argparse shows it in no other way
    return {name: each for group in groups for name, each in dict(group.choices or {}).items()}


def _beginning(names: Sequence[str], start: str) -> list[str]:
    return sorted(name for name in names if name.startswith(start))


def run() -> None:
    """Be the console script."""
    found, directive = candidates(build_parser(), sys.argv[1:])
    print(*found, f":{directive}", sep="\n")
