"""Show an answer once, or again whenever it changed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from pullwhy.cli import output
from pullwhy.cli.changes import Changes
from pullwhy.cli.client import Client, Unchanged
from pullwhy.cli.main import CommandError
from pullwhy.cli.output import Screen

WATCH_SECONDS: Final = 2.0
"""Until a watched list is asked for again where no change is told: its ages move on, and not every collector tells."""

Documents = list[dict[str, Any]]
Sleep = Callable[[float], None]


def show(
    client: Client,
    ask: Callable[[str], Documents],
    draw: Callable[[Documents, Screen], None],
    topics: str = "",
    sleep: Sleep | None = None,
) -> int:
    """Ask and draw; with `topics`, for ever, drawing only what changed. `sleep` stands in for the wait for changes."""
    documents, screen = ask(""), output.screen()
    if not topics:
        draw(documents, screen)
        return 0
    wait = sleep or Changes(client, topics).wait
    shown, told = "", ""
    while True:
        text = _rendered(documents, draw, replace(screen, now=datetime.now(UTC)))
        # On a terminal the ages move on; a program that reads along gets a new list only when something changed.
        now, clear = (text, "\x1b[H\x1b[J") if screen.width is not None else (str(documents), "")
        if now != shown:
            output.write(screen.out, clear + text)
        shown = now
        wait(WATCH_SECONDS)
        try:
            documents, told = ask(client.tag), ""
        except Unchanged:
            told = ""
        except CommandError as error:
            # The collector may be back soon; until then what is shown stays, and the reason is told once.
            if str(error) != told:
                say(str(error))
            told = str(error)


def _rendered(documents: Documents, draw: Callable[[Documents, Screen], None], screen: Screen) -> str:
    buffer = io.StringIO()
    draw(documents, replace(screen, out=buffer, errors=buffer))
    return buffer.getvalue()


def say(text: str) -> None:
    """Tell people something beside the answer."""
    output.write(output.screen().errors, text + "\n")
