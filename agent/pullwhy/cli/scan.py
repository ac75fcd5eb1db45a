"""`pullwhy scan`: every failed pull in a stored journal or log, from its text alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from pullwhy.cli.main import CommandError
from pullwhy.cli.output import FORMATS, print_findings
from pullwhy.collector import params
from pullwhy.text import counted, printable

if TYPE_CHECKING:
    import io

    from pullwhy.watch.lines import LogLine
    from pullwhy.watch.survey import Survey

PERSISTENT: Final = Path("/var/log/journal")
VOLATILE: Final = Path("/run/log/journal")
"""Where journald keeps the journal (journald.conf(5): Storage=)."""

_AS_ROOT: Final = "run it as root, or as a member of the group systemd-journal"
_EXPORT: Final = "export a journal with: journalctl -o export -u kubelet -u containerd > FILE"

_DESCRIPTION: Final = (
    "Finds every failed image pull in a stored journal or log and says which cause its text tells of. Nothing is probed, so "
    "findings are Likely at best. Without PATH, --journal or --file it reads the journal of this machine."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `scan`."""
    parser = subparsers.add_parser(
        "scan", help="find failed pulls in a stored journal or log", description=_DESCRIPTION
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a log as for --file; a directory, or a file *.journal, as for --journal",
    )
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
    """Scan, print findings and return the exit code: 1 where the log could not be read, or not to its end."""
    from pullwhy.diagnose.document.finding import document  # noqa: PLC0415 - every command passes here, few judge
    from pullwhy.node.scan import Scan  # noqa: PLC0415 - for this command alone
    from pullwhy.watch.logtext import UnreadableLog  # noqa: PLC0415 - for this command alone
    from pullwhy.watch.survey import Survey  # noqa: PLC0415 - for this command alone

    source = _source(options)
    scan, survey, damage = Scan(), Survey(source.name), source.damage
    try:
        scan.take(survey.over(source.lines(), options.since))
    except UnreadableLog as error:
        if not survey.lines:
            raise CommandError(f"{error}; nothing was scanned: copy or export the log again") from None
        damage = f"{error}; the rest was not scanned"
    found = [document(finding) for finding in scan.findings("")]
    if not found:
        source.check(survey)
    empty = f"No failed pull{source.scanned(survey, scan.lines, options.since)}."
    print_findings(found, options.output, empty=empty, states=True)
    if damage:
        raise CommandError(damage)
    return 0


def _since(text: str) -> datetime:
    try:
        return params.since(text, datetime.now(UTC))
    except params.BadParameter as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _source(options: argparse.Namespace) -> _File | _Journals:
    path = options.path
    journal = path and (path.endswith(".journal") or Path(path).is_dir())
    if file := options.file or (not journal and path):
        return _File(file)
    return _Journals(options.journal or path, options.since)


class _File:
    """A log in one file or on standard input."""

    damage = ""

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else printable(path)
        self._path = path

    def lines(self) -> Iterator[LogLine]:
        """Yield its lines; raises CommandError where there is no such file."""
        from pullwhy.watch.logtext import read_log  # noqa: PLC0415 - for this command alone

        now = datetime.now(UTC)
        if self._path == "-":
            yield from read_log(cast("io.BufferedReader", sys.stdin.buffer), self.name, now)
            return
        try:
            with Path(self._path).open("rb") as file:
                yield from read_log(file, self.name, now)
        except OSError as error:
            raise CommandError(f"cannot read {self.name}: {error.strerror}") from None

    def check(self, survey: Survey) -> None:
        """Raise CommandError where nothing was read that a kubelet or a runtime may have written."""
        if survey.recognised:
            return
        what = (
            f"nothing in its {counted(survey.lines, 'line')} looks like a kubelet's or a runtime's log"
            if survey.lines
            else "it is empty"
        )
        file = "FILE" if self._path == "-" else self.name
        messages = f"; for messages alone: pullwhy classify < {file}" if survey.lines else ""
        raise CommandError(f"{self.name}: {what}; {_EXPORT}{messages}")

    def scanned(self, survey: Survey, kept: int, since: datetime | None) -> str:
        """Return where nothing was found."""
        if since is None or not survey.first or not survey.last:
            return f" in {counted(kept, 'line')}"
        span = f"the log runs from {_told(survey.first.when)} to {_told(survey.last.when)}"
        return f" in {kept} of {counted(survey.lines, 'line')}, those since {_told(since)}; {span}"


class _Journals:
    """Stored journals: those of a directory, a file, or this machine."""

    def __init__(self, place: str | None, since: datetime | None) -> None:
        self._places = [Path(place)] if place else [path for path in (VOLATILE, PERSISTENT) if path.is_dir()]
        if not self._places:
            raise CommandError(
                f"no journal at {VOLATILE} or {PERSISTENT}: name one with --journal, or a log with --file"
            )
        self.name = " and ".join(printable(str(path)) for path in self._places)
        self._since = since
        self.damage = self._denied()

    def _denied(self) -> str:
        from pullwhy.watch.survey import journal_files  # noqa: PLC0415 - for this command alone

        try:
            found = [journal_files(path) for path in self._places]
        except OSError as error:
            raise CommandError(f"{self.name} cannot be read: {printable(str(error))}; {_AS_ROOT}") from None
        count, denied = sum(each.count for each in found), sum(each.denied for each in found)
        if not count:
            raise CommandError(
                f"no journal files in {self.name}: name their directory with --journal, or a log with --file"
            )
        if denied == count:
            raise CommandError(f"no permission to read the journal at {self.name}: {_AS_ROOT}")
        return (
            f"{denied} of {count} journal files at {self.name} were not scanned, for lack of permission: {_AS_ROOT}"
            if denied
            else ""
        )

    def lines(self) -> Iterator[LogLine]:
        """Yield what may be about a pull; raises CommandError."""
        try:
            from pullwhy.watch.journal import JournalUnreadable, read_stored  # noqa: PLC0415 - libsystemd
        except ImportError:
            raise CommandError(
                "this installation cannot read journals (no systemd-python): use journalctl -o export | pullwhy scan --file -"
            ) from None
        try:
            for place in self._places:
                yield from read_stored(place, self._since)
        except JournalUnreadable as error:
            is_file = any(place.is_file() for place in self._places)
            raise CommandError(f"{error}{'; a log is read with --file' if is_file else ''}") from None

    def check(self, survey: Survey) -> None:
        """Raise CommandError where no entry can be a kubelet's or a runtime's."""
        from pullwhy.watch.journal import stored_units  # noqa: PLC0415 - for this command alone

        if not survey.recognised and not any(stored_units(place) for place in self._places):
            lack = (
                f"; {self.damage}" if self.damage else f": does it log to a file? then name that with --file; {_EXPORT}"
            )
            raise CommandError(f"no entry of a kubelet's or a runtime's unit in the journal at {self.name}{lack}")

    def scanned(self, survey: Survey, kept: int, since: datetime | None) -> str:
        """Return where nothing was found."""
        from pullwhy.watch.journal import Place, newest, stored_units  # noqa: PLC0415 - for this command alone

        del survey, kept  # from a journal, only lines that may be about a pull are handed over
        where = f" in the journal at {self.name}"
        if since is None:
            return where
        times = [newest(Place(place, stored=True), stored_units(place)) for place in self._places]
        last = max((time for time in times if time), default=None)
        return f"{where} since {_told(since)}" + (f"; its newest entry is of {_told(last)}" if last else "")


def _told(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
