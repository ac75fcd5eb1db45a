"""The long text about one finding, for people: what it is, the proof, who waits, whether it heals, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pullwhy.diagnose.factor_texts import SENTENCES
from pullwhy.text import printable

DEFAULT_WIDTH = 100
NARROWEST = 40
"""Columns; a narrower terminal gets lines of this width."""

_MAX_LINE = 1200
"""Characters of one value."""
SNIPPET_LINE = 100
"""Characters below which a line of a remedy that looks like configuration is shown as it is."""
_PODS_SHOWN = 20
_MARKS = {"Passed": "OK", "Failed": "FAIL", "Skipped": "skip", "Error": "?"}
_CONFIDENCE = {
    "Proved": "proved: observed on the node itself",
    "Likely": "likely: not all of it could be observed",
    "Unknown": "unknown",
}


def explain(document: Mapping[str, Any], width: int = DEFAULT_WIDTH, now: datetime | None = None) -> str:
    """Return the explanation of a finding's JSON `document` in lines of at most `width` columns, commands excepted.

    Tries that lie before `now`, where it is given, are told as due. Every value is escaped; keys that are missing are passed over.
    """
    page = _Page(max(width, NARROWEST))
    _heading(page, document)
    _proof(page, document)
    _pods(page, document, now)
    _healing(page, document, now)
    _remedy(page, _mapping(document, "remedy"))
    _trace(page, document)
    return page.text()


class _Page:
    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: list[str] = []

    def title(self, text: str) -> None:
        self._lines += ["", text]

    def paragraph(self, text: str, indent: str = "  ", hanging: str | None = None) -> None:
        """Add `text`, already escaped, wrapped; its own line breaks stay."""
        for line in text.split("\n"):
            self._lines += textwrap.wrap(
                line,
                self._width,
                initial_indent=indent,
                subsequent_indent=indent if hanging is None else hanging,
                break_on_hyphens=False,
                drop_whitespace=True,
            )

    def verbatim(self, text: str) -> None:
        self._lines.append(text)

    def text(self) -> str:
        return "\n".join(self._lines).strip("\n") + "\n"


def _of(source: Mapping[str, Any], key: str, default: str = "") -> str:
    value = source.get(key)
    return default if value is None or value == "" else printable(str(value), _MAX_LINE)


def _mapping(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = source.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(source: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = source.get(key)
    return value if isinstance(value, (list, tuple)) else ()


def _rows(source: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    return (row for row in _list(source, key) if isinstance(row, Mapping))


def _heading(page: _Page, document: Mapping[str, Any]) -> None:
    via = f" via {_of(document, 'via')}" if document.get("via") else ""
    page.paragraph(f"{_of(document, 'cause', 'Undetermined')}{via}: {_of(document, 'summary')}", "", "  ")
    page.verbatim("")
    confidence = _CONFIDENCE.get(_of(document, "confidence"), _of(document, "confidence"))
    rows = (
        ("image", _of(document, "image")),
        ("node", _of(document, "node")),
        ("stage", _of(document, "stage")),
        ("confidence", confidence),
        ("seen", _seen(document)),
        ("state", _state(document)),
        ("scope", _scope(_mapping(document, "scope"))),
        *(("beside", _factor(str(factor))) for factor in _list(document, "factors")),
        ("finding", _of(document, "id")),
    )
    for name, value in rows:
        if value:
            page.paragraph(f"{name:<11} {value}", "  ", " " * 14)


def _factor(name: str) -> str:
    """Return a factor with what it means; one of a newer release by its name alone."""
    meaning = next((text for factor, text in SENTENCES.items() if factor == name), "")
    return f"{name}: {meaning}" if meaning else printable(name, 80)


def _seen(document: Mapping[str, Any]) -> str:
    first, last, count = _of(document, "first_seen"), _of(document, "last_seen"), _of(document, "count", "1")
    if not last:
        return ""
    return last if count == "1" else f"{count} times from {first} to {last}"


def _state(document: Mapping[str, Any]) -> str:
    at = _of(document, "resolved_at")
    return _of(document, "state") + (f" since {at}" if at else "")


def _scope(scope: Mapping[str, Any]) -> str:
    verdict = _of(scope, "verdict")
    if verdict in {"", "Unknown"}:
        return ""
    common = ", ".join(printable(str(item), 120) for item in _list(scope, "in_common"))
    counts = f"{_of(scope, 'failing', '0')} nodes fail, {_of(scope, 'healthy', '0')} do not"
    return f"{verdict} ({counts}{'; in common: ' + common if common else ''})"


def _proof(page: _Page, document: Mapping[str, Any]) -> None:
    rows = list(_rows(document, "evidence"))
    if not rows:
        return
    page.title("What shows it")
    for row in rows:
        page.paragraph(f"- {_of(row, 'stage')}: {_of(row, 'fact')}  [{_of(row, 'source')}]", "  ", "    ")
    again = _mapping(document, "reproduction")
    if again:
        skipped = _of(again, "outcome") == "Skipped"
        parts = ("" if skipped else _of(again, "outcome"), _of(again, "code"), _of(again, "reason"))
        lead = "not asked over CRI" if skipped else "asked again over CRI"
        page.paragraph(f"- {lead}: {' '.join(part for part in parts if part)}", "  ", "    ")


def _pods(page: _Page, document: Mapping[str, Any], now: datetime | None) -> None:
    rows = list(_rows(document, "pods"))
    if not rows:
        return
    page.title("Who waits for it")
    for row in rows[:_PODS_SHOWN]:
        at = _of(row, "next_retry_at")
        retry = f", next try {'was due ' if _is_past(at, now) else ''}{at}" if at else ""
        attempts = f", {_of(row, 'attempts')} attempts" if row.get("attempts") else ""
        owner = f" ({_of(row, 'owner')})" if row.get("owner") else ""
        name = f"{_of(row, 'namespace')}/{_of(row, 'name')}{owner}, container {_of(row, 'container', '?')}"
        page.paragraph(f"- {name}{attempts}{retry}", "  ", "    ")
    if len(rows) > _PODS_SHOWN:
        page.paragraph(f"and {len(rows) - _PODS_SHOWN} more")


def _healing(page: _Page, document: Mapping[str, Any], now: datetime | None) -> None:
    retryable = _mapping(document, "retryable")
    answer = _of(retryable, "answer")
    if not answer:
        return
    page.title("Will it heal by itself?")
    why = _of(retryable, "why")
    page.paragraph(f"{answer}: {why}" if why else answer)
    at = _of(_mapping(document, "kubelet"), "next_retry_at")
    if at:
        lead = "The kubelet's next try was due" if _is_past(at, now) else "The kubelet tries again"
        page.paragraph(f"{lead} at {at}.")


def _is_past(time: str, now: datetime | None) -> bool:
    try:
        return now is not None and datetime.fromisoformat(time) < now
    except (TypeError, ValueError):  # a time without a zone, or none
        return False


def _remedy(page: _Page, remedy: Mapping[str, Any]) -> None:
    if not remedy:
        return
    page.title("What to do")
    for line in str(remedy.get("text") or "").split("\n")[:40]:
        if len(line) < SNIPPET_LINE and (line.startswith((" ", "[")) or line.endswith(":")):
            page.verbatim(f"    {printable(line, _MAX_LINE)}")
        else:
            page.paragraph(printable(line, 4 * _MAX_LINE))
    for command in _rows(remedy, "commands"):
        needs = "; ".join(printable(str(need), 200) for need in _list(command, "needs"))
        page.verbatim("")
        page.paragraph(f"on the {_of(command, 'where', 'node')}" + (f" (needs {needs})" if needs else "") + ":")
        page.verbatim(f"    {printable(str(command.get('run') or ''), 4 * _MAX_LINE)}")
    notes = [
        "a restart is needed for it to take effect" if remedy.get("restart_required") else "",
        "it does not last unless its source is changed too" if remedy.get("durable") is False else "",
    ]
    said = "; ".join(note for note in notes if note)
    if said:
        page.verbatim("")
        page.paragraph(f"Note: {said}.")


def _trace(page: _Page, document: Mapping[str, Any]) -> None:
    rows = list(_rows(document, "trace"))
    if not rows:
        return
    page.title("The walk")
    for row in rows:
        mark = _MARKS.get(_of(row, "outcome"), "?")
        seconds = row.get("seconds")
        took = f"{seconds:6.2f} s" if isinstance(seconds, (int, float)) and mark in {"OK", "FAIL"} else " " * 8
        identity = f" as {_of(row, 'identity')}" if row.get("identity") else ""
        detail = f": {_of(row, 'detail')}" if row.get("detail") else ""
        page.paragraph(
            f"{mark:<4} {took}  {_of(row, 'stage'):<9} {_of(row, 'target')}{identity}{detail}", "  ", " " * 17
        )
