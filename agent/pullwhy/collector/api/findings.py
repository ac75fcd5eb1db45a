"""Findings: a page of them, and one at length."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Sequence

from starlette.exceptions import HTTPException

from pullwhy.collector import params
from pullwhy.collector.api import parameters as of
from pullwhy.collector.api.contract import FindingDetail, FindingPage, FleetFinding
from pullwhy.collector.api.operation import Backend, Operation, Question, page_of
from pullwhy.collector.params import BadParameter
from pullwhy.collector.records import StoredFinding
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.diagnose.document.decoding import decode
from pullwhy.diagnose.document.finding import document, rfc3339
from pullwhy.model import State
from pullwhy.text import printable

logger = logging.getLogger(__name__)


async def _list(backend: Backend, question: Question) -> FindingPage:
    query = params.query(question.values, backend.clock())
    found = await backend.store.findings(dataclasses.replace(query, limit=query.limit + 1))
    page, following = page_of(found, query.limit, lambda last: params.cursor(last.position))
    return FindingPage(await asyncio.to_thread(documents, page), following)


async def _one(backend: Backend, question: Question) -> FindingDetail:
    finding_id = question.path["id"]
    found = await backend.store.finding(finding_id, question.values.get("cluster", ""))
    if not found:
        raise HTTPException(
            404, f"no finding '{printable(finding_id, 64)}' is known here; it may have been forgotten for its age"
        )
    if len(found) > 1:
        raise BadParameter(ambiguous([stored.cluster for stored, _ in found]))
    stored, history = found[0]
    shown = documents([stored])
    if not shown:
        raise HTTPException(
            500, "this finding was written by another version and cannot be shown; its agent will report it again"
        )
    return {**shown[0], "history": [{"at": rfc3339(change.at), "state": State(change.state)} for change in history]}


def ambiguous(clusters: Sequence[str]) -> str:
    """Return the error for an id that is in several clusters."""
    named = ", ".join(cluster or "''" for cluster in clusters)
    return f"this id is in several clusters ({named}): name one with ?cluster="


def documents(found: Sequence[StoredFinding]) -> list[FleetFinding]:
    """Return findings as they are answered; one of another version is left out."""
    shown = []
    for stored in found:
        try:
            finding = decode(stored.document)
        except InvalidDocument as error:
            logger.warning("a stored finding of another version is left out: %s", error)
            continue
        first_seen = min(finding.first_seen, stored.first_seen)
        told = document(dataclasses.replace(finding, first_seen=first_seen, scope=stored.scope))
        shown.append(FleetFinding(**told, problem=stored.problem))
    return shown


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/findings",
        "listFindings",
        "Findings, last seen first",
        _list,
        FindingPage,
        (
            of.CLUSTER,
            of.NAMESPACE,
            of.POD,
            of.ID,
            of.NODE,
            of.IMAGE,
            of.REGISTRY,
            of.CAUSE,
            of.STATE,
            of.PROBLEM,
            of.SINCE,
            of.LIMIT,
            of.CURSOR_PARAMETER,
        ),
        tagged=True,
    ),
    Operation(
        "GET",
        "/api/v1/findings/{id}",
        "getFinding",
        "One finding, with the states that it took",
        _one,
        FindingDetail,
        (of.PATH_ID, of.WHICH_CLUSTER),
    ),
)
