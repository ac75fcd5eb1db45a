"""A probe while it runs: asked for again whenever an answer came, drawn as a table: anew on a terminal, once elsewhere."""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pullwhy.cli import output
from pullwhy.cli.changes import Changes
from pullwhy.cli.client import Client
from pullwhy.cli.main import CommandError
from pullwhy.cli.output import GREEN, RED, YELLOW, Column, Record, Screen, age_of, cause_of, parse_time, text_of
from pullwhy.cli.watching import say
from pullwhy.model import Stage
from pullwhy.text import printable

PROBES: Final = "/api/v1/probes"
ROUND_SECONDS: Final = 1.0
"""Until a probe is asked for again where no change is told."""
AFTER: Final = timedelta(seconds=2)
"""Past the deadline, for the collector to say what is late."""
OVERLAP: Final = timedelta(seconds=5)
OPEN: Final = ("Waiting", "Asked")
_ORDER: Final = ("Fails", "Undecided", "Refused", "Late", "Asked", "Waiting", "Passes")
_STYLES: Final = {"Fails": RED, "Passes": GREEN, "Undecided": YELLOW, "Refused": YELLOW, "Late": YELLOW}
_MARKS: Final = {"Passed": "ok", "Failed": "FAIL", "Skipped": "skip", "Error": "?"}

Document = dict[str, Any]


def probe(options: argparse.Namespace) -> int:
    """Ask, show answers until all came or the deadline passed, and return the exit code."""
    client: Client = options.connect(options)
    asked = client.send("POST", PROBES, _request(options))
    path, view = f"{PROBES}/{asked['id']}", _view(options.output)
    try:
        document = _follow(client, path, view.draw)
    except KeyboardInterrupt:
        client.send("DELETE", path)
        view.end(client.one(path, {}))
        say("cancelled: no more answers are waited for")
        raise
    view.end(document)
    return 0


def _request(options: argparse.Namespace) -> Document:
    cluster = {} if options.cluster is None else {"cluster": options.cluster}
    nodes = "all" if options.all_nodes else options.node
    return {"image": options.image, "nodes": nodes, "deadline_seconds": options.deadline, **cluster}


def _follow(client: Client, path: str, draw: Callable[[Document], None]) -> Document:
    changes = Changes(client, "probes")
    walks: dict[str, Record] = {}
    failed, since = "", ""
    while True:
        try:
            answer = client.one(path, {"since": since})
        except CommandError as error:
            # A collector that restarts keeps what it knows; it must be back before long.
            if failed:
                raise
            failed = str(error)
            time.sleep(ROUND_SECONDS)
            continue
        failed = ""
        # A large fleet's answers come one by one: only the new ones are asked for.
        fresh = [walk for walk in answer.get("walks", ()) if isinstance(walk, Mapping)]
        walks |= {str(walk.get("node")): walk for walk in fresh}
        since = _before(max((str(walk.get("at")) for walk in walks.values()), default=""))
        document = {**answer, "walks": [walks[node] for node in sorted(walks)]}
        draw(document)
        if _ended(document):
            return document
        changes.wait(ROUND_SECONDS)


def _before(last: str) -> str:
    """Return a time from which to ask on: clocks of several collectors differ a little."""
    when = parse_time(last)
    return (when - OVERLAP).isoformat() if when else ""


def _ended(document: Document) -> bool:
    if not any(walk.get("state") in OPEN for walk in document.get("walks", ())):
        return True
    deadline = parse_time(document.get("deadline"))
    return deadline is not None and datetime.now(UTC) > deadline + AFTER


class _Table:
    """Draws the table anew in its place; one that is higher than the terminal only as a count, until its end.

    Where the output is no terminal, it draws nothing but the end: what is printed there cannot be aligned later.
    """

    def __init__(self, screen: Screen, form: str) -> None:
        self._screen, self._form, self._drawn = screen, form, 0

    def draw(self, document: Document) -> None:
        if self._screen.width is None:
            return
        lines = self._text(document).splitlines(keepends=True)
        if len(lines) >= _height(self._screen):
            lines = [_counted(document) + "\n"]
        output.write(self._screen.out, f"{self._erase()}{''.join(lines)}")
        self._drawn = len(lines)

    def end(self, document: Document) -> None:
        output.write(self._screen.out, self._erase() + self._text(document))
        say(_counted(document))

    def _erase(self) -> str:
        return f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""

    def _text(self, document: Document) -> str:
        buffer = io.StringIO()
        now = datetime.now(UTC)
        output.print_records(_rows(document), self._form, COLUMNS, replace(self._screen, out=buffer, now=now), "")
        return buffer.getvalue()


class _Document:
    """Prints the probe for programs, at its end."""

    def __init__(self, screen: Screen, form: str) -> None:
        self._screen, self._form = screen, form

    def draw(self, document: Document) -> None:
        """Show nothing yet."""

    def end(self, document: Document) -> None:
        text = output.to_json(document) + "\n" if self._form == "json" else output.to_yaml(document)
        output.write(self._screen.out, text)


def _view(form: str) -> _Table | _Document:
    screen = output.screen()
    return _Document(screen, form) if form in ("json", "yaml") else _Table(screen, form)


def _height(screen: Screen) -> int:
    try:
        return os.get_terminal_size(screen.out.fileno()).lines or 24
    except (OSError, ValueError):
        return 24


def _rows(document: Document) -> Sequence[Record]:
    walks = [walk for walk in document.get("walks", ()) if isinstance(walk, Mapping)]
    rank = {state: number for number, state in enumerate(_ORDER)}
    return sorted(walks, key=lambda walk: (rank.get(str(walk.get("state")), len(rank)), str(walk.get("node"))))


def _counted(document: Document) -> str:
    counts = document.get("counts") or {}
    said = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts.get(state))
    return printable(f"probe {document.get('id')} of {document.get('image')}: {said or 'no node was asked'}")


def _why(record: Record, to: Screen) -> str:
    del to
    return str(record.get("reason") or record.get("summary") or "")


def _stage(stage: Stage) -> Column:
    def cell(record: Record, to: Screen) -> str:
        del to
        how = str((record.get("stages") or {}).get(stage) or "")
        return _MARKS.get(how, how)

    def style(record: Record) -> str:
        return {"Failed": RED, "Error": YELLOW}.get(str((record.get("stages") or {}).get(stage)), "")

    return Column(stage.upper(), cell, style=style)


COLUMNS: Final[Sequence[Column]] = (
    Column("NODE", text_of("node"), shrink=True),
    Column("STATE", text_of("state"), style=lambda record: _STYLES.get(str(record.get("state")), "")),
    *(_stage(stage) for stage in Stage),
    Column("CAUSE", cause_of),
    Column("CONFIDENCE", text_of("confidence"), wide=True),
    Column("WALKED", age_of("walked_at"), wide=True),
    Column("WHY", _why, shrink=True),
)
