"""When a node may walk an image that fails there: the first few at once, the rest one after the other.

So one fault of a whole fleet is not asked of the registry by every node at once. Who waits is told what another node has proved.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pullwhy.collector.compare.scope import may_be_one_fault
from pullwhy.collector.fleet import WalkState, WholeStore
from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.problem import KIND, SubjectKind, problem_key
from pullwhy.collector.records import Query, Speaker, StoredFinding
from pullwhy.diagnose.catalogue.causes import ACCESS, CATALOGUE
from pullwhy.diagnose.document.codec import InvalidDocument, encode
from pullwhy.diagnose.document.decoding import decode
from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, Confidence, Finding, KubeletState, RemedyRef, ScopeVerdict, State
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.trace import Identity

FIRST: Final = 3
"""Nodes that walk at once what nobody has proved yet."""
FIRST_WITHIN: Final = timedelta(minutes=1)
RECENT: Final = timedelta(minutes=10)
"""What was seen within this time may be adopted; an agent walks anew after as long."""
REMEMBERED: Final = 1.0
"""Seconds for which what is known of an image counts for all who ask."""
NOTHING_REMEMBERED: Final = 0.2
"""The same where nobody has proved anything: the first who walk are about to."""
MOST_REMEMBERED: Final = 1024
MOST_LOOKED_AT: Final = 30
"""Findings among which one that is proved is looked for."""
LONGEST_TURN: Final = timedelta(minutes=9)
"""Turns are reserved for so long at most: what fails for longer is asked for again, and no debt outlives its fault."""
COME_AGAIN: Final = timedelta(minutes=15)
"""The wait of whom no turn was reserved: longer than the ten minutes after which an agent asks again (node.investigate.permits.LONGEST_WAIT)."""
MOST_TURNS: Final = 8
"""Turns that one node has at one registry at a time: the others' must come too."""
MOST_WAITING: Final = 16_384
"""Nodes of which the turns are remembered."""
JITTER: Final = 0.2
"""Part of a wait that is added by chance."""
_LONGEST_JITTER: Final = 5.0
_CAUSES: Final = {cause.value: cause for cause in CauseId}
_ELSEWHERE: Final = (ScopeVerdict.NODE_SPECIFIC, ScopeVerdict.GROUP_SPECIFIC)
"""What is proved of such a fault says nothing about another node."""
_OF_THE_WAY: Final = frozenset({"walk", f"walk ({Identity.ANONYMOUS})", f"walk ({Identity.NODE})"})
"""Sources of evidence that goes to other nodes: what a pod's own credentials show is not for the readers there."""
_OF_CREDENTIALS: Final = ACCESS | {CauseId.CREDENTIAL_VERIFICATION_DENIED}
"""Their summaries may name a pull secret."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many walks one registry gets from nodes that fail on it."""

    per_second: float = 2.0
    at_once: float = 5.0


@dataclass(frozen=True, slots=True)
class _Proved:
    """What another node found out."""

    node: str
    document: bytes


class Permits:
    """Answers PermitRequest. What it remembers is bounded; what must hold for the whole fleet is in the store."""

    def __init__(
        self,
        store: WholeStore,
        metrics: Metrics,
        clock: Callable[[], datetime],
        pace: Pace = Pace(),
        chance: random.Random | None = None,
    ) -> None:
        self._store, self._metrics, self._clock, self._pace = store, metrics, clock, pace
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, hides nothing
        self._known: OrderedDict[tuple[str, str, str], tuple[float, asyncio.Task[list[_Proved]]]] = OrderedDict()
        self._first: OrderedDict[tuple[str, str], tuple[datetime, int]] = OrderedDict()
        self._turns: OrderedDict[tuple[str, str, str], dict[str, datetime]] = OrderedDict()
        """Of each node at each registry: when it may walk which image."""

    async def decide(self, speaker: Speaker, request: pb.PermitRequest) -> pb.Permit:
        """Return when this node may walk; raises StoreError."""
        image = image_columns(request.image)[0]
        registry = _registry(request)
        cause = _CAUSES.get(request.cause, CauseId.UNDETERMINED)
        if not registry:
            return self._permit(request, 0.0, b"")
        proved = [
            each for each in await self._proved(speaker.cluster, image, registry, cause) if each.node != speaker.node
        ]
        subject = registry if KIND[cause] is SubjectKind.REGISTRY else image
        if not proved and self._is_first(speaker.cluster, subject):
            return self._permit(request, 0.0, b"")
        wait = await self._turn(speaker, registry, image)
        return self._permit(request, wait, proved[0].document if proved and wait else b"")

    def _permit(self, request: pb.PermitRequest, wait: float, document: bytes) -> pb.Permit:
        self._metrics.permits.labels("wait" if wait else "now").inc()
        if document:
            self._metrics.adopted.inc()
        return pb.Permit(id=request.id, wait_ms=int(wait * 1000), document=document)

    async def _turn(self, speaker: Speaker, registry: str, image: str) -> float:
        """Return in how many seconds a node may walk an image, or ask again; who asks again before his turn keeps it."""
        key, now = (speaker.cluster, registry, speaker.node), self._clock()
        turns = {of: at for of, at in self._turns.pop(key, {}).items() if at > now}
        self._turns[key] = turns
        if len(self._turns) > MOST_WAITING:
            self._turns.popitem(last=False)
        if image in turns:
            return (turns[image] - now).total_seconds()
        wait = await self._take_token(speaker.cluster, registry) if len(turns) < MOST_TURNS else None
        if wait is None:
            return COME_AGAIN.total_seconds()
        if wait:
            wait += self._chance.uniform(0, min(JITTER * wait, _LONGEST_JITTER))
            turns[image] = now + timedelta(seconds=wait)
        return wait

    async def _take_token(self, cluster: str, registry: str) -> float | None:
        pace, longest = self._pace, LONGEST_TURN.total_seconds()
        return await self._store.take_token(cluster, registry, pace.per_second, pace.at_once, longest)

    def _is_first(self, cluster: str, subject: str) -> bool:
        """Whether fewer than FIRST nodes were let through for this lately."""
        now = self._clock()
        since, number = self._first.pop((cluster, subject), (now, 0))
        if now - since > FIRST_WITHIN:
            since, number = now, 0
        self._first[cluster, subject] = since, number + 1
        if len(self._first) > MOST_REMEMBERED:
            self._first.popitem(last=False)
        return number < FIRST

    async def _proved(self, cluster: str, image: str, registry: str, cause: CauseId) -> list[_Proved]:
        """Return what nodes proved of it lately; hundreds who ask within a moment cost one look."""
        key, now = (cluster, image, cause.value), asyncio.get_running_loop().time()
        known = self._known.get(key)
        if known is None or _is_old(now - known[0], known[1]):
            known = now, asyncio.create_task(self._look(cluster, image, registry, cause))
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return await asyncio.shield(known[1])

    async def _look(self, cluster: str, image: str, registry: str, cause: CauseId) -> list[_Proved]:
        since = self._clock() - RECENT
        active = Query(cluster=cluster, state=State.ACTIVE, since=since, limit=MOST_LOOKED_AT)
        found = await self._store.findings(replace(active, image=image, repository=image_columns(image)[1]))
        if KIND[cause] is SubjectKind.REGISTRY:
            found += await self._store.findings(replace(active, registry=registry))
        proved: dict[str, _Proved] = {}
        recovered: dict[str, bool] = {}
        for stored in found:
            finding = _adoptable(stored, cluster, image, cause)
            if finding is None or finding.node in proved:
                continue
            problem = problem_key(finding).id
            if problem not in recovered:
                recovered[problem] = await self._is_over(problem, cluster, finding.last_seen)
            if not recovered[problem]:
                proved[finding.node] = _Proved(finding.node, _of_the_fault_alone(finding))
            if len(proved) == 2:  # noqa: PLR2004 - one is another node's, whoever asks
                break
        return list(proved.values())

    async def _is_over(self, problem: str, cluster: str, last_seen: datetime) -> bool:
        """Whether a node for which it failed has walked well since then: nobody should adopt what was."""
        canaries = [each.canary for each in await self._store.problem(problem, cluster)]
        return any(each and each.state is WalkState.PASSES and each.at > last_seen for each in canaries)


def _is_old(seconds: float, looked: asyncio.Task[list[_Proved]]) -> bool:
    if not looked.done():
        return seconds > REMEMBERED
    return bool(looked.exception()) or seconds > (REMEMBERED if looked.result() else NOTHING_REMEMBERED)


def _registry(request: pb.PermitRequest) -> str:
    """Return the registry whose walks are counted: the image's own, whatever else the agent names."""
    try:
        return parse(request.image).registry
    except InvalidReference:
        return ""


def _adoptable(stored: StoredFinding, cluster: str, image: str, cause: CauseId) -> Finding | None:
    """Return the finding where it is proved and may be that of a node which fails by `cause`."""
    if stored.cluster != cluster or stored.scope.verdict in _ELSEWHERE:
        return None
    try:
        finding = decode(stored.document)
    except InvalidDocument:
        return None
    other = finding.diagnosis.cause
    if finding.diagnosis.confidence is not Confidence.PROVED:
        return None
    if image_columns(finding.image)[0] != image and KIND[other] is not SubjectKind.REGISTRY:
        return None
    if KIND[other] is SubjectKind.NODE or not (cause is CauseId.UNDETERMINED or may_be_one_fault(cause, other)):
        return None
    return finding


def _of_the_fault_alone(finding: Finding) -> bytes:
    """Return of a finding what the walk saw: it goes to another node, whose readers may not see this one's pods and secrets.

    What the kubelet and the runtime say names them, and so does what is summed up of credentials.
    """
    found = finding.diagnosis
    diagnosis = replace(
        found,
        summary=CATALOGUE[found.cause].title if found.cause in _OF_CREDENTIALS else found.summary,
        remedy=RemedyRef(found.remedy.id),
        evidence=tuple(each for each in found.evidence if each.source in _OF_THE_WAY),
    )
    return encode(replace(finding, diagnosis=diagnosis, pods=(), kubelet=KubeletState(), reproduction=None, trace=()))
