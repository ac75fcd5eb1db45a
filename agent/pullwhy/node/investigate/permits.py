"""When this node walks an image that fails here, where a collector says so: one fault of a whole fleet is not walked by each at once."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Final

from pullwhy.diagnose.case import Adopted
from pullwhy.diagnose.document.codec import InvalidDocument
from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, InvalidReference, parse
from pullwhy.model import CauseId, Confidence
from pullwhy.node.metrics import Metrics
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.text import printable

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 2.0
"""How long a connected collector's answer is waited for, which has a whole fleet to answer; without one the node walks by its own budgets."""
LONGEST_WAIT: Final = 600.0
"""Seconds: who is told to wait for longer has no turn yet, and asks again by then."""
MAX_FACTS: Final = 3
"""Observations of another node that are told."""
MAX_FACT: Final = 300


@frozen
class Permission:
    """What the collector said."""

    wait: float
    """Seconds until this node's turn; 0 for now."""
    adopted: Adopted | None = None
    """What another node proved meanwhile."""
    again: bool = False
    """Whether no turn was given: the question is to be asked again after so long."""


@frozen
class Permits:
    """Asks for permits over the stream that there is."""

    ask: Callable[[pb.PermitRequest, float], Awaitable[pb.Permit | None]]
    node: str
    """This one: what it found itself is no news."""
    metrics: Metrics
    chance: random.Random = field(default_factory=random.Random)

    async def when(self, image: ImageReference, cause: CauseId | None) -> Permission | None:
        """Return when to walk `image`, of which the kubelet's text tells `cause`; None where nobody answers."""
        question = pb.PermitRequest(image=str(image), registry=image.registry, cause=cause or "")
        permit = await self.ask(question, ANSWER_SECONDS)
        if permit is None:
            self.metrics.permits.add(answer="none")
            return None
        wait = permit.wait_ms / 1000
        again = wait > LONGEST_WAIT
        if again:  # not all at the same moment, who were told so at the same moment
            wait = self.chance.uniform(LONGEST_WAIT / 2, LONGEST_WAIT)
        found = read(permit.document, self.node) if wait and permit.document else None
        self.metrics.permits.add(answer="now" if not wait else "adopt" if found else "wait")
        return Permission(wait, found, again)


def read(document: bytes, node: str) -> Adopted | None:
    """Return what another node proved; None for what is no such thing. It comes from elsewhere: all of it is bounded and made safe."""
    from pullwhy.diagnose.document.decoding import decode  # noqa: PLC0415 - an agent that waits for nobody keeps no decoder in memory

    try:
        finding = decode(document)
        image = parse(finding.image)
    except (InvalidDocument, InvalidReference) as error:
        logger.warning("the collector sent what is no finding of another node: %s", printable(str(error), 200))
        return None
    diagnosis = finding.diagnosis
    if diagnosis.confidence is not Confidence.PROVED or finding.node == node:
        return None
    facts = [each.fact for each in diagnosis.evidence if each.source.startswith("walk")]
    return Adopted(
        node=printable(finding.node, 253),
        image=image,
        seen=finding.last_seen,
        cause=diagnosis.cause,
        stage=diagnosis.stage,
        via=diagnosis.via,
        summary=printable(diagnosis.summary, MAX_FACT),
        facts=tuple(printable(fact, MAX_FACT) for fact in facts[:MAX_FACTS]),
    )
