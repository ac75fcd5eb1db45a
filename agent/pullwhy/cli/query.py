"""What may be asked of the collector: `problems`, `findings`, `registries`, `nodes`, `explain`; answers.py and explaining.py ask."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pullwhy.cli import output
from pullwhy.cli.filters import ANY, RESOLVED, add_filters, add_state
from pullwhy.model import State

if TYPE_CHECKING:
    from pullwhy.cli.client import Client

DEFAULT_SERVER: Final = "http://127.0.0.1:8080"
MOST: Final = 10_000
"""Rows shown unless --limit says otherwise."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that ask the collector."""
    problems = subparsers.add_parser(
        "problems",
        help="list what is wrong over the fleet: one row for each fault",
        description="Lists problems: the same fault, on however many nodes, is one, with how far it reaches (docs/scope.md). Filters ask "
        "for problems with such a finding. `pullwhy explain ID` tells one at length.",
    )
    add_filters(problems)
    add_state(problems, [str(State.ACTIVE), RESOLVED, ANY])
    problems.add_argument("--silenced", choices=("yes", "no"), default="", help="only silenced ones, or only others")
    _add_list_options(problems, _problems)

    findings = subparsers.add_parser(
        "findings",
        help="list what fails, on which node, and why",
        description="Lists findings: why one node cannot pull one image, with the pods that wait for it. -o wide has ids and summaries; "
        "`pullwhy explain ID`, or pod/NAME, tells one at length.",
    )
    add_filters(findings)
    add_state(findings, [*map(str, State), ANY])
    _add_list_options(findings, _findings)

    explain = subparsers.add_parser("explain", help="tell at length why a pull fails and what to do")
    explain.add_argument(
        "target",
        metavar="ID|pod/NAME|IMAGE",
        help="the id of a problem or a finding (4 of its first characters do), a pod (pod/NAME, pod/NAMESPACE/NAME, "
        "NAMESPACE/NAME), or an image",
    )
    add_filters(explain)
    add_state(explain, [*map(str, State), ANY])
    add_output(explain)
    explain.set_defaults(run=_explain)

    registries = subparsers.add_parser("registries", help="list the registries that nodes cannot pull from, and why")
    registries.add_argument("--cluster", default="", help="only this cluster")
    _add_list_options(registries, _registries, limit=False)

    nodes = subparsers.add_parser("nodes", help="list the nodes whose agents report, and what those cannot see")
    nodes.add_argument("--cluster", default="", help="only this cluster")
    nodes.add_argument("--node", default="", help="only this node")
    _add_list_options(nodes, _nodes, limit=False)


def _add_list_options(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int], *, limit: bool = True
) -> None:
    add_output(parser)
    if limit:
        parser.add_argument(
            "--limit", type=_count, default=MOST, metavar="N", help="show at most N rows (default %(default)s)"
        )
    parser.add_argument("--watch", "-w", action="store_true", help="go on and show what changes")
    parser.set_defaults(run=run)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add how to print, and whom to ask."""
    parser.add_argument("--output", "-o", choices=output.FORMATS, default="table", help="(default: %(default)s)")
    add_server(parser)


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add whom to ask."""
    parser.add_argument(
        "--server",
        default=os.environ.get("PULLWHY_SERVER") or DEFAULT_SERVER,
        metavar="URL",
        help=f"the collector (default: PULLWHY_SERVER or {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="who asks: a file with a bearer token (default: PULLWHY_TOKEN)"
    )
    parser.set_defaults(connect=_connect)


# The command line of the resting agent passes here too: an HTTP client must not stay in its memory.
def _connect(options: argparse.Namespace) -> Client:
    from pullwhy.cli.client import direct  # noqa: PLC0415 - an HTTP client is not for a resting agent

    return direct(options)


def _problems(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415 - an HTTP client is not for a resting agent

    return answers.problems(options)


def _registries(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415 - an HTTP client is not for a resting agent

    return answers.registries(options)


def _findings(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415 - an HTTP client is not for a resting agent

    return answers.findings(options)


def _explain(options: argparse.Namespace) -> int:
    from pullwhy.cli import explaining  # noqa: PLC0415 - an HTTP client is not for a resting agent

    return explaining.explain(options)


def _nodes(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415 - an HTTP client is not for a resting agent

    return answers.nodes(options)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 1_000_000):  # noqa: PLR2004 - as the message says
        raise argparse.ArgumentTypeError("write a number from 1 to 1000000")
    return int(text)
