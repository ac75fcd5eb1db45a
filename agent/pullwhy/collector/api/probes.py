"""Probes: nodes are asked to walk the pull path of an image; what they answer is read while it comes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from starlette.exceptions import HTTPException

from pullwhy.collector import params
from pullwhy.collector.api import parameters as of
from pullwhy.collector.api.asked import Asked, whom
from pullwhy.collector.api.contract import Probe, ProbeDetail, ProbeRequest, Probes, Walk
from pullwhy.collector.api.operation import Backend, Operation, Question, pace
from pullwhy.collector.fleet import Probe as StoredProbe
from pullwhy.collector.fleet import Purpose, WalkState
from pullwhy.collector.fleet import Walk as StoredWalk
from pullwhy.collector.params import BadParameter
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.diagnose.document.decoding import decode
from pullwhy.diagnose.document.finding import document, rfc3339
from pullwhy.image import InvalidReference, parse
from pullwhy.model import Finding, Outcome, Stage
from pullwhy.text import printable

OPEN: Final = frozenset({WalkState.WAITING, WalkState.ASKED})
CANCELLED: Final = "cancelled by who asked"
LATE: Final = "no answer came by the deadline"
_BEST_FIRST: Final = (Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED)


async def _add(backend: Backend, question: Question) -> Probe:
    request: ProbeRequest = question.body
    try:
        parse(request.image)
    except InvalidReference as error:
        raise BadParameter(f"image: {printable(error.fault, 300)}") from None
    pace(backend.probes, "probes")
    asked = await whom(backend, request)
    now = backend.clock()
    probe = StoredProbe(
        secrets.token_hex(8),
        asked.cluster,
        request.image,
        Purpose.PROBE,
        now,
        now + timedelta(seconds=request.deadline_seconds),
        question.asker.name,
    )
    await _ask(backend, probe, asked)
    return _shown(probe)


async def _ask(backend: Backend, probe: StoredProbe, asked: Asked) -> None:
    # One after the other into the same commit: nobody is handed an order that is answered already.
    answers = [StoredWalk(node, WalkState.REFUSED, probe.asked_at, why) for node, why in asked.unable.items()]
    await asyncio.gather(
        backend.store.add_probe(probe, [*asked.able, *asked.unable]),
        *(backend.store.answer_walk(probe.id, probe.cluster, walk) for walk in answers),
    )


async def _list(backend: Backend, question: Question) -> Probes:
    values = question.values
    purpose = params.one_of("purpose", values.get("purpose", ""), list(Purpose))
    found = await backend.store.probes(
        values.get("cluster", ""), Purpose(purpose) if purpose else None, params.limit(values.get("limit", ""))
    )
    return Probes([_shown(probe) for probe in found])


async def _one(backend: Backend, question: Question) -> ProbeDetail:
    probe = await _known(backend, question)
    node, since = question.values.get("node", ""), question.values.get("since", "")
    after = params.since(since, backend.clock()) if since else None
    if node:
        walks = await backend.store.walks(probe, node)
        if not walks:
            raise HTTPException(404, f"node '{printable(node, 253)}' is not asked in this probe")
        walks = [walk for walk in walks if after is None or walk.at >= after]
    else:
        walks = await backend.store.walks(probe, since=after)
    # After the walks: who reads that all of them have ended must not read that some are open.
    counts = await backend.store.count_walks(probe)
    shown = await asyncio.to_thread(_walks, walks, whole=bool(node))
    return {**_shown(probe), "counts": counts, "walks": shown}


async def _cancel(backend: Backend, question: Question) -> None:
    pace(backend.changes, "changes")
    probe = await _known(backend, question)
    if probe.purpose is not Purpose.PROBE:
        raise HTTPException(
            409, "this round is the collector's own: only a probe that somebody asked for can be cancelled"
        )
    walks = await backend.store.walks(probe, documents=False)
    answers = [
        StoredWalk(walk.node, WalkState.REFUSED, backend.clock(), CANCELLED) for walk in walks if walk.state in OPEN
    ]
    await asyncio.gather(*(backend.store.answer_walk(probe.id, probe.cluster, walk) for walk in answers))


async def _known(backend: Backend, question: Question) -> StoredProbe:
    found = await backend.store.probe_alone(question.path["id"])
    if not found:
        raise HTTPException(
            404,
            f"no probe '{printable(question.path['id'], 64)}' is known here; it may have been forgotten for its age",
        )
    return found


def _shown(probe: StoredProbe) -> Probe:
    return {
        "id": probe.id,
        "cluster": probe.cluster,
        "image": probe.image,
        "purpose": probe.purpose,
        "asked_at": rfc3339(probe.asked_at),
        "deadline": rfc3339(probe.deadline),
        "asked_by": probe.asked_by,
        "problem": probe.problem,
    }


def _walks(walks: Sequence[StoredWalk], *, whole: bool) -> list[Walk]:
    return [_walk(walk, whole=whole) for walk in walks]


def _walk(walk: StoredWalk, *, whole: bool) -> Walk:
    finding = _decoded(walk.document)
    failed = finding.diagnosis if finding and walk.state in (WalkState.FAILS, WalkState.UNDECIDED) else None
    return Walk(
        node=walk.node,
        state=walk.state,
        reason=walk.reason or (LATE if walk.state is WalkState.LATE else ""),
        at=rfc3339(walk.at),
        walked_at=rfc3339(walk.walked_at),
        cause=failed.cause if failed else None,
        via=failed.via if failed else None,
        stage=failed.stage if failed else None,
        confidence=failed.confidence if failed else None,
        summary=failed.summary if failed else "",
        stages=_stages(finding, failed.stage if failed and walk.state is WalkState.FAILS else None) if finding else {},
        finding=document(finding) if finding and whole else None,
    )


def _decoded(data: bytes) -> Finding | None:
    try:
        return decode(data) if data else None
    except InvalidDocument:
        return None


def _stages(finding: Finding, failed: Stage | None) -> dict[Stage, Outcome]:
    """Return how each stage went: one of several addresses or hosts that passes is enough, but at the stage that is at fault."""
    seen: dict[Stage, list[Outcome]] = {}
    for line in finding.trace:
        seen.setdefault(line.stage, []).append(line.outcome)
    stages = {stage: _best(outcomes) for stage, outcomes in seen.items()}
    return stages | ({failed: Outcome.FAILED} if failed else {})


def _best(outcomes: Iterable[Outcome]) -> Outcome:
    return min(outcomes, key=_BEST_FIRST.index)


OPERATIONS = (
    Operation(
        "POST",
        "/api/v1/probes",
        "addProbe",
        "Have nodes walk the pull path of an image, without pulling",
        _add,
        Probe,
        body=ProbeRequest,
        links={"getProbe": "/id", "cancelProbe": "/id"},
        status=202,
        errors=(404, 409, 429),
    ),
    Operation(
        "GET",
        "/api/v1/probes",
        "listProbes",
        "The last probes, newest first; second opinions and canaries too",
        _list,
        Probes,
        (of.CLUSTER, of.PURPOSE, of.LIMIT),
        tagged=True,
    ),
    Operation(
        "GET",
        "/api/v1/probes/{id}",
        "getProbe",
        "A probe with what its nodes answered so far",
        _one,
        ProbeDetail,
        (of.PATH_ID, of.WALKING_NODE, of.ANSWERED_SINCE),
    ),
    Operation(
        "DELETE",
        "/api/v1/probes/{id}",
        "cancelProbe",
        "Wait for no more answers; those that came stay",
        _cancel,
        None,
        (of.PATH_ID,),
        status=204,
        errors=(409, 429),
    ),
)
