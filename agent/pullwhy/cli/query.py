"""`pullwhy findings`, `explain` and `nodes`: what may be asked of the collector; the asking itself is in answers.py."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pullwhy.cli import output
from pullwhy.collector import params
from pullwhy.model import CauseId, State

if TYPE_CHECKING:
    from pullwhy.cli.client import Client

DEFAULT_SERVER: Final = "http://127.0.0.1:8080"
ANY: Final = "all"
"""The `--state` that leaves none out."""
MOST: Final = 10_000
"""Rows shown unless --limit says otherwise."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands that ask the collector."""
    findings = subparsers.add_parser("findings", help="list what fails, on which node, and why")
    _add_filters(findings)
    _add_output(findings)
    findings.add_argument(
        "--limit", type=_count, default=MOST, metavar="N", help="show at most N rows (default %(default)s)"
    )
    findings.add_argument("--watch", "-w", action="store_true", help="ask again every 2 s and show what changed")
    findings.set_defaults(run=_findings)

    explain = subparsers.add_parser("explain", help="tell at length why a pull fails and what to do")
    explain.add_argument(
        "target",
        metavar="ID|pod/NAME|IMAGE",
        help="a finding's id (4 of its first characters do), a pod (pod/NAME, pod/NAMESPACE/NAME, NAMESPACE/NAME), or an image",
    )
    _add_filters(explain)
    _add_output(explain)
    explain.set_defaults(run=_explain)

    nodes = subparsers.add_parser("nodes", help="list the nodes whose agents report, and what those cannot see")
    nodes.add_argument("--cluster", default="", help="only this cluster")
    nodes.add_argument("--node", default="", help="only this node")
    _add_output(nodes)
    nodes.add_argument("--watch", "-w", action="store_true", help="ask again every 2 s and show what changed")
    nodes.set_defaults(run=_nodes)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--namespace", "-n", default="", help="only findings with a pod of this namespace")
    where.add_argument("--all-namespaces", "-A", action="store_true", help="pods of every namespace (the default)")
    parser.add_argument("--cluster", default="", help="only this cluster")
    parser.add_argument("--node", default="", help="only this node")
    parser.add_argument("--image", default="", help="only this image; without a tag: every tag of it")
    parser.add_argument("--registry", default="", help="only this registry, such as docker.io")
    parser.add_argument(
        "--cause", type=_cause, default="", metavar="CAUSE", help="only this cause, such as TagNotFound"
    )
    parser.add_argument(
        "--state", type=_state, default="", metavar="STATE", help=f"{', '.join(State)} or {ANY} (default: Active)"
    )
    parser.add_argument(
        "--since", type=_since, default="", metavar="TIME", help="seen since: 10m, 2h, 7d ago, or an RFC 3339 time"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", "-o", choices=output.FORMATS, default="table", help="(default: %(default)s)")
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
    from pullwhy.cli.client import direct  # noqa: PLC0415

    return direct(options)


def _findings(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415

    return answers.findings(options)


def _explain(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415

    return answers.explain(options)


def _nodes(options: argparse.Namespace) -> int:
    from pullwhy.cli import answers  # noqa: PLC0415

    return answers.nodes(options)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 1_000_000):  # noqa: PLR2004 - as the message says
        raise argparse.ArgumentTypeError("write a number from 1 to 1000000")
    return int(text)


def _checked(parse: Callable[[], str]) -> str:
    try:
        return parse()
    except params.BadParameter as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cause(text: str) -> str:
    return _checked(lambda: params.one_of("cause", text, [str(cause) for cause in CauseId]))


def _state(text: str) -> str:
    return _checked(lambda: params.one_of("state", text, [*(str(state) for state in State), ANY]))


def _since(text: str) -> str:
    # The collector reads the text itself, by its own clock; here it is only checked. argparse passes the default here too.
    if not text:
        return text
    _checked(lambda: params.since(text, datetime.now(UTC)).isoformat())
    return text
