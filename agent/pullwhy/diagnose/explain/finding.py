"""The long text about one finding, for people: what it is, the proof, who waits, whether it heals, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pullwhy.diagnose.explain.factors import SENTENCES
from pullwhy.diagnose.explain.page import (
    DEFAULT_WIDTH,
    MAX_LINE,
    NARROWEST,
    Page,
    list_of,
    mapping_of,
    rows_of,
    text_of,
)
from pullwhy.model import Stage
from pullwhy.text import counted, printable

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
    page = Page(max(width, NARROWEST))
    _heading(page, document)
    _proof(page, document)
    _pods(page, document, now)
    _healing(page, document, now)
    _remedy(page, mapping_of(document, "remedy"))
    _trace(page, document)
    return page.text()


def _heading(page: Page, document: Mapping[str, Any]) -> None:
    via = f" via {text_of(document, 'via')}" if document.get("via") else ""
    page.paragraph(f"{text_of(document, 'cause', 'Undetermined')}{via}: {text_of(document, 'summary')}", "", "  ")
    page.verbatim("")
    confidence = _CONFIDENCE.get(text_of(document, "confidence"), text_of(document, "confidence"))
    rows = (
        ("image", text_of(document, "image")),
        ("node", text_of(document, "node")),
        ("stage", text_of(document, "stage")),
        ("confidence", confidence),
        ("seen", _seen(document)),
        ("state", _state(document)),
        ("scope", scope_text(mapping_of(document, "scope"))),
        *(("beside", _factor(str(factor))) for factor in list_of(document, "factors")),
        ("finding", text_of(document, "id")),
    )
    page.rows(rows)


def _factor(name: str) -> str:
    """Return a factor with what it means; one of a newer release by its name alone."""
    meaning = next((text for factor, text in SENTENCES.items() if factor == name), "")
    return f"{name}: {meaning}" if meaning else printable(name, 80)


def _seen(document: Mapping[str, Any]) -> str:
    first, last, count = (
        text_of(document, "first_seen"),
        text_of(document, "last_seen"),
        text_of(document, "count", "1"),
    )
    if not last:
        return ""
    return last if count == "1" else f"{count} times from {first} to {last}"


def _state(document: Mapping[str, Any]) -> str:
    at = text_of(document, "resolved_at")
    return text_of(document, "state") + (f" since {at}" if at else "")


def scope_text(scope: Mapping[str, Any]) -> str:
    """Return how far a fault reaches, or why that cannot be told; empty where nothing was compared."""
    verdict = text_of(scope, "verdict")
    common = ", ".join(printable(str(item), 120) for item in list_of(scope, "in_common"))
    failing, healthy = text_of(scope, "failing", "0"), text_of(scope, "healthy", "0")
    if not verdict or (verdict == "Unknown" and failing == "0" and not common):
        return ""
    counts = f"{counted(failing, 'node')} fail{'s' if failing == '1' else ''}, {healthy} do{'es' if healthy == '1' else ''} not"
    lead = "" if verdict == "Unknown" else "in common: "
    return f"{verdict} ({counts}{f'; {lead}{common}' if common else ''})"


def _proof(page: Page, document: Mapping[str, Any]) -> None:
    rows = list(rows_of(document, "evidence"))
    if not rows:
        return
    page.title("What shows it")
    for row in rows:
        source = text_of(row, "source")
        lead = "" if source == "judgement" else f"{text_of(row, 'stage')}: "  # of the whole, and not of a stage
        page.paragraph(f"- {lead}{text_of(row, 'fact')}  [{source}]", "  ", "    ")
    again = mapping_of(document, "reproduction")
    if again:
        skipped = text_of(again, "outcome") == "Skipped"
        parts = ("" if skipped else text_of(again, "outcome"), text_of(again, "code"), text_of(again, "reason"))
        lead = "not asked over CRI" if skipped else "asked again over CRI"
        page.paragraph(f"- {lead}: {' '.join(part for part in parts if part)}", "  ", "    ")


def _pods(page: Page, document: Mapping[str, Any], now: datetime | None) -> None:
    rows = list(rows_of(document, "pods"))
    if not rows:
        return
    page.title("Who waits for it")
    for row in rows[:_PODS_SHOWN]:
        at = text_of(row, "next_retry_at")
        retry = f", next try {'was due ' if _is_past(at, now) else ''}{at}" if at else ""
        attempts = f", {counted(text_of(row, 'attempts'), 'attempt')}" if row.get("attempts") else ""
        owner = f" ({text_of(row, 'owner')})" if row.get("owner") else ""
        name = f"{text_of(row, 'namespace')}/{text_of(row, 'name')}{owner}, container {text_of(row, 'container', '?')}"
        page.paragraph(f"- {name}{attempts}{retry}", "  ", "    ")
    if len(rows) > _PODS_SHOWN:
        page.paragraph(f"and {len(rows) - _PODS_SHOWN} more")


def _healing(page: Page, document: Mapping[str, Any], now: datetime | None) -> None:
    retryable = mapping_of(document, "retryable")
    answer = text_of(retryable, "answer")
    if not answer:
        return
    page.title("Will it heal by itself?")
    why = text_of(retryable, "why")
    page.paragraph(f"{answer}: {why}" if why else answer)
    at = text_of(mapping_of(document, "kubelet"), "next_retry_at")
    if at:
        lead = "The kubelet's next try was due" if _is_past(at, now) else "The kubelet tries again"
        page.paragraph(f"{lead} at {at}.")


def _is_past(time: str, now: datetime | None) -> bool:
    try:
        return now is not None and datetime.fromisoformat(time) < now
    except (TypeError, ValueError):  # a time without a zone, or none
        return False


def _remedy(page: Page, remedy: Mapping[str, Any]) -> None:
    if not remedy:
        return
    page.title("What to do")
    for line in str(remedy.get("text") or "").split("\n")[:40]:
        if len(line) < SNIPPET_LINE and (line.startswith((" ", "[")) or line.endswith(":")):
            page.verbatim(f"    {printable(line, MAX_LINE)}")
        else:
            page.paragraph(printable(line, 4 * MAX_LINE))
    for command in rows_of(remedy, "commands"):
        needs = "; ".join(printable(str(need), 200) for need in list_of(command, "needs"))
        page.verbatim("")
        page.paragraph(f"on the {text_of(command, 'where', 'node')}" + (f" (needs {needs})" if needs else "") + ":")
        page.verbatim(f"    {printable(str(command.get('run') or ''), 4 * MAX_LINE)}")
    notes = [
        "a restart is needed for it to take effect" if remedy.get("restart_required") else "",
        "it does not last unless its source is changed too" if remedy.get("durable") is False else "",
    ]
    said = "; ".join(note for note in notes if note)
    if said:
        page.verbatim("")
        page.paragraph(f"Note: {said}.")


def _trace(page: Page, document: Mapping[str, Any]) -> None:
    rows = list(rows_of(document, "trace"))
    if not rows:
        return
    page.title("The walk")
    for row in _in_order(rows):
        mark = _MARKS.get(text_of(row, "outcome"), "?")
        seconds = row.get("seconds")
        took = f"{seconds:6.2f} s" if isinstance(seconds, (int, float)) and mark in {"OK", "FAIL"} else " " * 8
        identity = f" as {text_of(row, 'identity')}" if row.get("identity") else ""
        told = text_of(row, "detail")
        detail = f": {told}" if told and told != text_of(row, "target") else ""
        page.paragraph(
            f"{mark:<4} {took}  {text_of(row, 'stage'):<9} {text_of(row, 'target')}{identity}{detail}", "  ", " " * 17
        )


def _in_order(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the steps in the order of the pull path: what was looked up beforehand stands where a pull comes to it.

    From the first name that is resolved on the steps are in order already, host after host.
    """
    ranks = {stage.value: number for number, stage in enumerate(Stage)}

    def rank(row: Mapping[str, Any]) -> int:
        return ranks.get(text_of(row, "stage"), len(ranks))

    resolved, asked = ranks[Stage.DNS], ranks[Stage.AUTH]
    start = next((number for number, row in enumerate(rows) if rank(row) == resolved), len(rows))
    known, walk = sorted(rows[:start], key=rank), rows[start:]
    at = next((number for number, row in enumerate(walk) if rank(row) >= asked), len(walk))
    early = [row for row in known if rank(row) < resolved]
    auth = [row for row in known if rank(row) == asked]
    late = [row for row in known if row not in early and row not in auth]
    return [*early, *walk[:at], *auth, *walk[at:], *late]
