"""`pullwhy silence` and `unsilence`: say of a problem that somebody knows, until when, and why."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.query import add_server
from pullwhy.collector import params
from pullwhy.text import printable

if TYPE_CHECKING:
    from pullwhy.cli.client import Client

_DESCRIPTION: Final = (
    "Marks a problem, for everybody, as known until a time, in the place of an earlier silence. It stays in `pullwhy problems`, with its "
    "reason in -o wide; --silenced no leaves it out. A silence ends by itself, or with: pullwhy unsilence ID."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    silence = subparsers.add_parser(
        "silence", help="say of a problem that somebody knows: why, and until when", description=_DESCRIPTION
    )
    _add_problem(silence)
    silence.add_argument("--reason", required=True, metavar="TEXT", help="why, for those who come after")
    end = silence.add_mutually_exclusive_group(required=True)
    end.add_argument("--for", dest="until", type=_span, metavar="SPAN", help="for so long: 30m, 4h, 2d; up to 90d")
    end.add_argument("--until", dest="until", type=_time, metavar="TIME", help="until then (RFC 3339)")
    silence.set_defaults(run=run)
    unsilence = subparsers.add_parser("unsilence", help="end the silence of a problem")
    _add_problem(unsilence)
    unsilence.set_defaults(run=run_unsilence)


def _add_problem(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("problem", metavar="ID", help="the problem's id; 4 of its first characters do")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Silence."""
    import getpass  # noqa: PLC0415 - for this command alone

    client: Client = options.connect(options)
    path = _path(client, options.problem)
    try:
        by = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        by = ""
    silence = client.send("PUT", f"{path}/silence", {"reason": options.reason, "until": options.until, "by": by})
    print(f"problem {path.rpartition('/')[2]} is silenced until {printable(str(silence.get('until')), 40)}")
    return 0


def run_unsilence(options: argparse.Namespace) -> int:
    """End a silence."""
    client: Client = options.connect(options)
    path = _path(client, options.problem)
    silenced = client.one(path, {}).get("silence")
    client.send("DELETE", f"{path}/silence")
    print(f"problem {path.rpartition('/')[2]} {'is no longer' if silenced else 'was not'} silenced")
    return 0


def _path(client: Client, problem: str) -> str:
    from pullwhy.cli.answers import PROBLEMS  # noqa: PLC0415 - for this command alone
    from pullwhy.cli.explaining import whole_ids  # noqa: PLC0415 - for this command alone

    try:
        params.problem_query({"id": problem}, datetime.now(UTC))
    except params.BadParameter as error:
        raise CommandError(str(error), EX_USAGE) from None
    found = whole_ids(client, problem, "", (PROBLEMS,))
    if not found:
        raise CommandError(f"no problem's id begins with {problem}; see: pullwhy problems --state all")
    return found[0]


def _span(text: str) -> str:
    return _ahead(text) if text[-1:].isalpha() and "T" not in text else _wrong(text)


def _time(text: str) -> str:
    return _ahead(text) if "-" in text else _wrong(text)


def _ahead(text: str) -> str:
    # The collector reads it by its own clock; here it is only checked.
    try:
        params.until(text, datetime.now(UTC))
    except params.BadParameter:
        _wrong(text)
    return text


def _wrong(text: str) -> str:
    raise argparse.ArgumentTypeError(
        f"{printable(text, 60)!r}: write --for 4h (30m, 2d), or --until 2026-01-31T12:00:00Z"
    )
