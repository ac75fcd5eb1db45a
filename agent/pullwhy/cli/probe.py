"""`pullwhy probe`: has nodes walk the pull path of an image, and shows node by stage as their answers come."""

from __future__ import annotations

import argparse
import re
from typing import Final

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.query import add_output
from pullwhy.image import InvalidReference, parse
from pullwhy.text import printable

MOST_SECONDS: Final = 600
_DEADLINE: Final = re.compile(r"([0-9]{1,4})(s|m|)\Z")

_DESCRIPTION: Final = (
    "Asks the agents of some nodes, or of all, to walk the pull path of an image. None pulls it. Each agent keeps its own budgets and "
    "destinations, and may refuse: that is shown with its reason. Prints a table of node by stage, in the order of the pull path: on a "
    "terminal as answers come, elsewhere at the end. Ctrl-C waits for no more answers. "
    "Exit code: 0 the answers are shown, whatever they are; 1 not possible, 64 usage error, 130 cancelled."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `probe`."""
    parser = subparsers.add_parser(
        "probe", help="have nodes walk the pull path of an image, without pulling", description=_DESCRIPTION
    )
    parser.add_argument("image", metavar="IMAGE", help="a reference as a pod would name it")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--node", action="append", default=[], metavar="NODE", help="this node; several times for several"
    )
    which.add_argument("--all-nodes", action="store_true", help="every node whose agent can be asked")
    parser.add_argument("--cluster", default=None, help="needed where the nodes may be of several clusters")
    parser.add_argument(
        "--deadline", type=_deadline, default=30, metavar="TIME", help="wait so long: 30s (the default), 2m, up to 10m"
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Probe."""
    try:
        parse(options.image)
    except InvalidReference as error:
        hint = f"; did you mean {printable(error.suggestion, 300)}?" if error.suggestion else ""
        raise CommandError(f"{printable(options.image, 300)}: {printable(error.fault, 300)}{hint}", EX_USAGE) from None
    from pullwhy.cli.probing import probe  # noqa: PLC0415 - every command passes here, few ask

    return probe(options)


def _deadline(text: str) -> int:
    match = _DEADLINE.match(text)
    seconds = int(match[1]) * (60 if match[2] == "m" else 1) if match else 0
    if not 1 <= seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{printable(text, 60)!r}: write 30s or 2m, from 1s to 10m")
    return seconds
