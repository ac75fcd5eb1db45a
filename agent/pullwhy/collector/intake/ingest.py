"""What an agent sent, checked and made into records; every fault is the agent's, and named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pullwhy.access import API_SOURCE
from pullwhy.collector.fleet import Walk, WalkState
from pullwhy.collector.imagecolumns import image_columns
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import Attend, FindingRecord, KnownPod, NodeFacts, Speaker
from pullwhy.diagnose.document.codec import MAX_DOCUMENT, MAX_ITEMS, InvalidDocument
from pullwhy.diagnose.document.decoding import decode
from pullwhy.model import SCHEMA, Finding, Stage
from pullwhy.pb.v1 import report_pb2 as pb
from pullwhy.protocol import MAX_SEQUENCE
from pullwhy.text import printable

MAX_NAME: Final = 253
"""Characters of a node's or cluster's name (RFC 1123 subdomain, as Kubernetes bounds object names)."""
MAX_IMPAIRMENTS: Final = 32
MAX_ABILITIES: Final = 16
MAX_LABELS: Final = 64
MAX_CONFIGURATION: Final = 256
"""Facts of a node's configuration."""
MAX_REGISTRIES: Final = 64
_TOKEN: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}\Z")
_OLDEST_WALK: Final = timedelta(hours=1)
"""A walk that was made longer ago says nothing about now."""
_OUTCOMES: Final = {
    pb.WalkAnswer.PASSES: WalkState.PASSES,
    pb.WalkAnswer.FAILS: WalkState.FAILS,
    pb.WalkAnswer.UNDECIDED: WalkState.UNDECIDED,
    pb.WalkAnswer.REFUSED: WalkState.REFUSED,
}


class Refused(Exception):
    """A message that cannot be taken; the text says why."""


class OtherNode(Refused):
    """A report of another node than its agent's."""


def speaker(hello: pb.Hello) -> Speaker:
    """Return who speaks; raises Refused."""
    if hello.schema != SCHEMA:
        raise Refused(
            f"the schema '{printable(hello.schema, 40)}' is not known here, {SCHEMA} is: upgrade the collector before its agents"
        )
    for what, name, may_be_empty in (("node", hello.node, False), ("cluster", hello.cluster, True)):
        if len(name) > MAX_NAME or not name.isprintable() or not (name or may_be_empty):
            raise Refused(f"the {what}'s name must have 1 to {MAX_NAME} printable characters")
    if not _TOKEN.match(hello.outbox_id):
        raise Refused("outbox_id must have 1 to 64 letters, digits, dots, _ and -")
    return Speaker(hello.cluster, hello.node, hello.outbox_id, printable(hello.agent_version, 64))


def is_token(text: str) -> bool:
    """Whether a text may be an id."""
    return bool(_TOKEN.match(text))


def facts(status: pb.NodeStatus, before: NodeFacts | None = None) -> NodeFacts:
    """Return a node's status, every text cut and safe to show; `before` is what the same stream told last."""
    told = NodeFacts(
        zone=printable(status.zone, 128),
        pool=printable(status.pool, 128),
        runtime_name=printable(status.runtime_name, 64),
        runtime_version=printable(status.runtime_version, 64),
        kubelet_version=printable(status.kubelet_version, 64),
        architecture=printable(status.architecture, 32),
        outbox_dropped=min(status.outbox_dropped, MAX_SEQUENCE),
        impairments=tuple(printable(text, 500) for text in status.impairments[:MAX_IMPAIRMENTS]),
        abilities=tuple(printable(text, 32) for text in status.abilities[:MAX_ABILITIES]),
        labels=_texts(status.labels, MAX_LABELS),
        configuration=_texts(status.configuration, MAX_CONFIGURATION),
        registries=tuple(printable(text, MAX_NAME) for text in status.registries[:MAX_REGISTRIES]),
    )
    if not status.facts_unchanged or before is None:
        return told
    return replace(told, labels=before.labels, configuration=before.configuration, registries=before.registries)


def in_order(reports: Iterable[pb.Report]) -> int:
    """Return the last sequence number of a batch; raises Refused where they do not grow."""
    last = 0
    for report in reports:
        if not last < report.sequence <= MAX_SEQUENCE:
            raise Refused(f"sequence number {report.sequence} after {last}: they must grow, up to 2^63-1")
        last = report.sequence
    return last


MAX_FACTS: Final = 3
"""Pods whose way to pull is among a finding's evidence; those of one workload are alike."""


def record(report: pb.Report, who: Speaker, attend: Attend | None = None) -> FindingRecord:
    """Return one report as it is stored; raises Refused."""
    try:
        finding = decode(report.document)
    except InvalidDocument as error:
        raise Refused(f"{_name(report)}: {error}") from error
    if not _TOKEN.match(finding.id) or finding.id != report.finding_id:
        raise Refused(f"{_name(report)}: its document is of another finding, {printable(finding.id, 64)}")
    if (finding.cluster, finding.node) != (who.cluster, who.node):
        raise OtherNode(
            f"{_name(report)}: it is of node '{printable(finding.node, MAX_NAME)}', another than its agent's"
        )
    return _record(report, finding, attend(finding) if attend is not None else {})


def walk(answer: pb.WalkAnswer, who: Speaker, now: datetime) -> tuple[Walk, str]:
    """Return an answer to a WalkRequest as it is stored, and the image that its document is of, if it has one; raises Refused."""
    state = _OUTCOMES.get(answer.outcome)
    if not _TOKEN.match(answer.id) or state is None:
        raise Refused("it names no walk or no outcome")
    if state is WalkState.FAILS and not answer.document:
        raise Refused("it fails without a document that says by what")
    image = _image_of(answer.document, who) if answer.document else ""
    reason, walked_at = answer.reason, _walked_at(answer, now)
    if walked_at is not None and now - walked_at > _OLDEST_WALK:
        state, reason = WalkState.UNDECIDED, "its walk was made long ago, or its clock is wrong"
    return Walk(who.node, state, now, printable(reason, 300), answer.document, walked_at), image


def _image_of(document: bytes, who: Speaker) -> str:
    try:
        finding = decode(document)
    except InvalidDocument as error:
        raise Refused(str(error)) from error
    if (finding.cluster, finding.node) != (who.cluster, who.node):
        raise Refused(f"its document is of node '{printable(finding.node, MAX_NAME)}', another than its agent's")
    return image_columns(finding.image)[0]


def _walked_at(answer: pb.WalkAnswer, now: datetime) -> datetime | None:
    if not answer.HasField("walked_at"):
        return None
    try:
        return min(answer.walked_at.ToDatetime(UTC), now)
    except (ValueError, OverflowError):
        raise Refused("the time of its walk is none") from None


def _record(report: pb.Report, finding: Finding, known: Mapping[int, KnownPod]) -> FindingRecord:
    canonical, repository = image_columns(finding.image)
    pods = {(pod.namespace, pod.name) for place, pod in enumerate(finding.pods) if _is_here(known, place)}
    return FindingRecord(
        report.sequence,
        finding.id,
        canonical,
        repository,
        finding.registry,
        finding.diagnosis.cause,
        finding.state,
        finding.first_seen,
        finding.last_seen,
        tuple(pods),
        _completed(report.document, known) if known else report.document,
        problem_key(finding),
    )


def _is_here(known: Mapping[int, KnownPod], place: int) -> bool:
    return place not in known or known[place].here


def _completed(data: bytes, known: Mapping[int, KnownPod]) -> bytes:
    """Return a document with what the API told of its pods, and without pods that are elsewhere; what else it holds stays."""
    told = msgspec.json.decode(data)
    pods = [(pod, known.get(place)) for place, pod in enumerate(told["pods"]) if _is_here(known, place)]
    told["pods"] = [pod for pod, _ in pods]
    plain = msgspec.json.encode(told)
    told["pods"] = [{**pod, "owner": api.owner} if api and api.owner else pod for pod, api in pods]
    facts = list(dict.fromkeys(api.fact for _, api in pods if api and api.fact))
    evidence = told["diagnosis"].get("evidence", [])
    room = max(0, min(MAX_FACTS, MAX_ITEMS["evidence"] - len(evidence)))
    lines = [{"stage": Stage.KUBELET, "fact": fact, "source": API_SOURCE} for fact in facts[:room]]
    told["diagnosis"]["evidence"] = [*evidence, *lines]
    whole = msgspec.json.encode(told)
    return whole if len(whole) <= MAX_DOCUMENT else plain


def _texts(told: Mapping[str, str], limit: int) -> dict[str, str]:
    return {printable(key, 300): printable(told[key], 500) for key in sorted(told)[:limit]}


def _name(report: pb.Report) -> str:
    return f"finding {printable(report.finding_id, 64)}"
