"""Problems: the same fault on however many nodes, with its scope; and their silences."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.exceptions import HTTPException

from pullwhy.collector import params
from pullwhy.collector.api import parameters as of
from pullwhy.collector.api.contract import (
    Canary,
    FleetFinding,
    Problem,
    ProblemDetail,
    ProblemPage,
    Silence,
    SilenceRequest,
    Subject,
)
from pullwhy.collector.api.findings import documents
from pullwhy.collector.api.operation import Backend, Operation, Question, pace, page_of
from pullwhy.collector.fleet import Silence as StoredSilence
from pullwhy.collector.fleet import StoredProblem
from pullwhy.collector.records import StoredFinding
from pullwhy.diagnose.document.finding import rfc3339, scope
from pullwhy.model import Via
from pullwhy.text import printable

LONGEST_SILENCE: Final = timedelta(days=90)
MOST_OWNERS: Final = 20
FRESH_SECONDS: Final = 60


async def _list(backend: Backend, question: Question) -> ProblemPage:
    query = params.problem_query(question.values, backend.clock())
    found = await backend.store.problems(dataclasses.replace(query, limit=query.limit + 1))
    page, following = page_of(found, query.limit, lambda last: params.problem_cursor(last.position))
    return ProblemPage(await asyncio.to_thread(_shown, page), following)


async def _one(backend: Backend, question: Question) -> ProblemDetail:
    problem = await _known(backend, question)
    failing = await backend.store.failing(problem.key)
    example = _example(problem)
    return {**_problem(problem, example), "failing_nodes": failing, "finding": example}


async def _silence(backend: Backend, question: Question) -> Silence:
    pace(backend.changes, "changes")
    request: SilenceRequest = question.body
    now = backend.clock()
    until = params.until(request.until, now)
    problem = await _known(backend, question)
    if not now < until <= now + LONGEST_SILENCE:
        raise HTTPException(
            409,
            f"until is {rfc3339(until)}: it must lie after now, {rfc3339(now)}, by {LONGEST_SILENCE.days} days at most",
        )
    by = question.asker.name or printable(request.by, 100)
    silence = StoredSilence(printable(request.reason.strip(), 500), by, now, until)
    await backend.store.silence(problem.key, silence)
    return _silence_shown(silence)


async def _unsilence(backend: Backend, question: Question) -> None:
    pace(backend.changes, "changes")
    await backend.store.silence((await _known(backend, question)).key, None)


async def _known(backend: Backend, question: Question) -> StoredProblem:
    problem_id = question.path["id"]
    found = await backend.store.problem(problem_id, "")
    if not found:
        raise HTTPException(
            404, f"no problem '{printable(problem_id, 64)}' is known here; it may have been forgotten with its findings"
        )
    return found[0]


def _shown(problems: Sequence[StoredProblem]) -> list[Problem]:
    return [_problem(problem, _example(problem)) for problem in problems]


def _example(problem: StoredProblem) -> FleetFinding | None:
    if not problem.example:
        return None
    newest = StoredFinding(
        problem.key.cluster, problem.example, _LATEST, (0, 0), problem=problem.key.id, scope=problem.scope
    )
    return next(iter(documents([newest])), None)


_LATEST: Final = datetime.max.replace(tzinfo=UTC)
"""Leaves a finding's own first sight as it is: what it is of the problem is told beside."""


def _problem(problem: StoredProblem, example: FleetFinding | None) -> Problem:
    key = problem.key
    owners = [f"{pod['namespace']}/{pod['owner']}" for pod in example["pods"] if pod["owner"]] if example else []
    return {
        "id": key.id,
        "cluster": key.cluster,
        "cause": key.cause,
        "via": Via(key.via) if key.via else None,
        "subject": Subject(key.kind, key.subject),
        "scope": scope(problem.scope),
        "scope_at": rfc3339(problem.scope_at),
        "nodes": problem.nodes,
        "pods": problem.pods,
        "findings": problem.active,
        "owners": list(dict.fromkeys(owners))[:MOST_OWNERS],
        "first_seen": rfc3339(problem.first_seen),
        "last_seen": rfc3339(problem.last_seen),
        "silence": _silence_shown(problem.silence) if problem.silence else None,
        "canary": Canary(problem.canary.node, rfc3339(problem.canary.at), problem.canary.state)
        if problem.canary
        else None,
        "stage": example["stage"] if example else None,
        "confidence": example["confidence"] if example else None,
        "summary": example["summary"] if example else "",
        "example": example["id"] if example else "",
    }


def _silence_shown(silence: StoredSilence) -> Silence:
    return Silence(silence.reason, silence.by, rfc3339(silence.since), rfc3339(silence.until))


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/problems",
        "listProblems",
        "Problems, last seen first",
        _list,
        ProblemPage,
        (
            of.CLUSTER,
            of.ID,
            of.NAMESPACE,
            of.NODE,
            of.IMAGE,
            of.REGISTRY,
            of.CAUSE,
            of.ACTIVE,
            of.SILENCED,
            of.SINCE,
            of.LIMIT,
            of.PROBLEM_CURSOR_PARAMETER,
        ),
        tagged=True,
        fresh_seconds=FRESH_SECONDS,
    ),
    Operation(
        "GET",
        "/api/v1/problems/{id}",
        "getProblem",
        "One problem, with its failing nodes and one of its findings",
        _one,
        ProblemDetail,
        (of.PATH_ID,),
        tagged=True,
        fresh_seconds=FRESH_SECONDS,
    ),
    Operation(
        "PUT",
        "/api/v1/problems/{id}/silence",
        "silenceProblem",
        "Silence a problem for a while, in the place of an earlier silence",
        _silence,
        Silence,
        (of.PATH_ID,),
        body=SilenceRequest,
        errors=(409, 429),
    ),
    Operation(
        "DELETE",
        "/api/v1/problems/{id}/silence",
        "endSilence",
        "End the silence of a problem, where there is one",
        _unsilence,
        None,
        (of.PATH_ID,),
        status=204,
        errors=(429,),
    ),
)
