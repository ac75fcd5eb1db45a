"""`pullwhy scan`: every failed pull in a stored journal or log, from its text alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.output import FORMATS, print_findings
from pullwhy.collector import params
from pullwhy.text import printable

if TYPE_CHECKING:
    import io

    from pullwhy.watch.lines import LogLine

PERSISTENT: Final = Path("/var/log/journal")
VOLATILE: Final = Path("/run/log/journal")
"""Where journald keeps the journal (journald.conf(5): Storage=)."""

_DESCRIPTION: Final = (
    "Finds every failed image pull in a stored journal or log and says which cause its text tells of. Nothing is probed, so "
    "findings are Likely at best. Without --journal or --file it reads the journal of this machine."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `scan`."""
    parser = subparsers.add_parser(
        "scan", help="find failed pulls in a stored journal or log", description=_DESCRIPTION
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--journal", metavar="DIR", help="a directory, or a file, of journals")
    source.add_argument(
        "--file",
        metavar="FILE",
        help="a journal export (journalctl -o export), a kubelet or runtime log, or JSON lines; .gz too; - for standard input",
    )
    parser.add_argument(
        "--since", type=_since, metavar="TIME", help="nothing older: 10m, 2h, 7d ago, or an RFC 3339 time"
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Scan, print findings and return the exit code: 1 where the log could not be read to its end."""
    from pullwhy.diagnose.document import document  # noqa: PLC0415 - every command passes here, few judge
    from pullwhy.node.scan import Scan  # noqa: PLC0415
    from pullwhy.watch.logtext import UnreadableLog  # noqa: PLC0415

    scan, damage = Scan(), ""
    try:
        scan.take(line for line in _lines(options) if options.since is None or line.when >= options.since)
    except UnreadableLog as error:
        if not scan.lines:
            raise CommandError(f"{error}; nothing was scanned: copy or export the log again") from None
        damage = f"{error}; the rest was not scanned"
    found = [document(finding) for finding in scan.findings("")]
    # From a journal, only lines that may be about a pull are read.
    where = f" in {scan.lines} lines" if options.file else ""
    print_findings(found, options.output, empty=f"No failed pull{where}.")
    if damage:
        raise CommandError(damage)
    return 0


def _since(text: str) -> datetime:
    try:
        return params.since(text, datetime.now(UTC))
    except params.BadParameter as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _lines(options: argparse.Namespace) -> Iterator[LogLine]:
    return _from_file(options.file) if options.file else _from_journal(options.journal, options.since)


def _from_file(name: str) -> Iterator[LogLine]:
    from pullwhy.watch.logtext import read_log  # noqa: PLC0415

    now = datetime.now(UTC)
    if name == "-":
        yield from read_log(cast("io.BufferedReader", sys.stdin.buffer), "standard input", now)
        return
    try:
        with Path(name).open("rb") as file:
            yield from read_log(file, printable(name), now)
    except OSError as error:
        raise CommandError(f"cannot read {printable(name)}: {error.strerror}", EX_USAGE) from None


def _from_journal(directory: str | None, since: datetime | None) -> Iterator[LogLine]:
    try:
        from pullwhy.watch.journal import JournalUnreadable, read_stored  # noqa: PLC0415 - libsystemd
    except ImportError:
        raise CommandError(
            "this installation cannot read journals (no systemd-python): use journalctl -o export | pullwhy scan --file -"
        ) from None
    try:
        if directory:
            yield from read_stored(Path(directory), since)
            return
        places = [place for place in (VOLATILE, PERSISTENT) if place.is_dir()]
        if not places:
            raise CommandError(
                f"no journal at {VOLATILE} or {PERSISTENT}: name one with --journal, or a log with --file"
            )
        for place in places:
            yield from read_stored(place, since)
    except JournalUnreadable as error:
        raise CommandError(str(error), EX_USAGE) from None
