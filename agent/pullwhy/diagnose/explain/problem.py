"""The long text about one problem, for people: how far it reaches, whom it hits, and one of its findings at length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pullwhy.diagnose.explain.finding import explain, scope_text
from pullwhy.diagnose.explain.page import DEFAULT_WIDTH, NARROWEST, Page, list_of, mapping_of, text_of
from pullwhy.text import counted, printable

NODES_SHOWN: Final = 30
OWNERS_SHOWN: Final = 10


def explain_problem(document: Mapping[str, Any], width: int = DEFAULT_WIDTH, now: datetime | None = None) -> str:
    """Return the explanation of a problem's JSON `document` in lines of at most `width` columns, commands excepted."""
    page = Page(max(width, NARROWEST))
    subject = mapping_of(document, "subject")
    via = f" via {text_of(document, 'via')}" if document.get("via") else ""
    about = text_of(subject, "name", "the nodes themselves")
    page.paragraph(f"Problem {text_of(document, 'id')}: {text_of(document, 'cause')}{via}, {about}", "", "  ")
    page.verbatim("")
    counts = (counted(text_of(document, f"{noun}s", "0"), noun) for noun in ("node", "pod", "finding"))
    page.rows(
        (
            ("cluster", text_of(document, "cluster")),
            ("scope", _scope(document)),
            ("affects", ", ".join(counts)),
            ("nodes", _some(list_of(document, "failing_nodes"), NODES_SHOWN)),
            ("owners", _some(list_of(document, "owners"), OWNERS_SHOWN)),
            ("seen", f"from {text_of(document, 'first_seen')} to {text_of(document, 'last_seen')}"),
            ("silenced", _silence(mapping_of(document, "silence"))),
            ("last look", _canary(mapping_of(document, "canary"))),
        )
    )
    finding = mapping_of(document, "finding")
    if not finding:
        return page.text()
    page.title("The finding that was seen last")
    return f"{page.text()}\n{explain(finding, width, now)}"


def _scope(document: Mapping[str, Any]) -> str:
    if document.get("scope_at") is None:
        return "not known yet"
    return scope_text(mapping_of(document, "scope")) or "Unknown"


def _some(names: Sequence[Any], most: int) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(str(name), 300) for name in names[:most]) + rest


def _silence(silence: Mapping[str, Any]) -> str:
    if not silence:
        return ""
    by = f" by {text_of(silence, 'by')}" if silence.get("by") else ""
    return f"until {text_of(silence, 'until')}{by}: {text_of(silence, 'reason')}"


def _canary(canary: Mapping[str, Any]) -> str:
    return f"{text_of(canary, 'state')} on {text_of(canary, 'node')} at {text_of(canary, 'at')}" if canary else ""
