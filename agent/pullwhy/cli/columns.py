"""The columns of tables about the fleet: problems, registries, nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pullwhy.cli.output import GREEN, RED, YELLOW, Column, Record, Screen, age, age_of, cause_of, parse_time, text_of


def _connection(record: Record, to: Screen) -> str:
    del to
    return "yes" if record.get("connected") else "no"


def _runtime(record: Record, to: Screen) -> str:
    del to
    return f"{record.get('runtime_name') or ''} {record.get('runtime_version') or ''}".strip()


def _impairments(record: Record, to: Screen) -> str:
    del to
    return "; ".join(map(str, record.get("impairments") or ()))


NODE_COLUMNS: Final[Sequence[Column]] = (
    Column("CLUSTER", text_of("cluster")),
    Column("NODE", text_of("node")),
    Column("CONNECTED", _connection, style=lambda record: "" if record.get("connected") else YELLOW),
    Column("FINDINGS", text_of("active_findings")),
    Column("AGENT", text_of("agent_version")),
    Column("RUNTIME", _runtime),
    Column("KUBELET", text_of("kubelet_version"), wide=True),
    Column("ARCH", text_of("architecture"), wide=True),
    Column("ZONE", text_of("zone"), wide=True),
    Column("POOL", text_of("pool"), wide=True),
    Column("LAST SEEN", age_of("last_seen")),
    Column("LOST REPORTS", text_of("outbox_dropped"), usual="0"),
    Column("CANNOT SEE", _impairments, shrink=True),
)


def _subject(record: Record, to: Screen) -> str:
    del to
    subject = record.get("subject") or {}
    return str(subject.get("name") or "the node itself")


def _silence(record: Record, to: Screen) -> str:
    silence = record.get("silence")
    return f"ends {age(parse_time(silence.get('until')), to.now)}" if silence else ""


def _silence_reason(record: Record, to: Screen) -> str:
    del to
    return str((record.get("silence") or {}).get("reason") or "")


def _owners(record: Record, to: Screen) -> str:
    del to
    return ",".join(map(str, record.get("owners") or ()))


def _in_common(record: Record, to: Screen) -> str:
    del to
    return "; ".join(map(str, (record.get("scope") or {}).get("in_common") or ()))


def _canary(record: Record, to: Screen) -> str:
    canary = record.get("canary")
    return (
        f"{canary.get('state')} on {canary.get('node')} {age(parse_time(canary.get('at')), to.now)}" if canary else ""
    )


def _problem_style(record: Record) -> str:
    if not record.get("findings"):
        return GREEN
    return "" if record.get("silence") else RED


PROBLEM_COLUMNS: Final[Sequence[Column]] = (
    Column("ID", text_of("id")),
    Column("CLUSTER", text_of("cluster"), wide=True),
    Column("CAUSE", cause_of, style=_problem_style),
    Column("SUBJECT", _subject, shrink=True, keep=40),
    Column("SCOPE", text_of("scope", "verdict")),
    Column("NODES", text_of("nodes")),
    Column("PODS", text_of("pods")),
    Column("OWNERS", _owners, shrink=True, drop=1),
    Column("FIRST SEEN", age_of("first_seen"), drop=2),
    Column("LAST SEEN", age_of("last_seen")),
    Column("SILENCED", _silence),
    Column("STAGE", text_of("stage"), wide=True),
    Column("CONFIDENCE", text_of("confidence"), wide=True),
    Column("FINDINGS", text_of("findings"), wide=True),
    Column("IN COMMON", _in_common, wide=True),
    Column("CANARY", _canary, wide=True),
    Column("SILENCE REASON", _silence_reason, wide=True),
    Column("SUMMARY", text_of("summary"), wide=True),
)

REGISTRY_COLUMNS: Final[Sequence[Column]] = (
    Column("CLUSTER", text_of("cluster")),
    Column("REGISTRY", text_of("registry"), shrink=True),
    Column("CAUSE", text_of("cause"), style=lambda record: RED if record.get("cause") else ""),
    Column("NODES", text_of("nodes")),
    Column("PROBLEMS", text_of("problems")),
    Column("FINDINGS", text_of("findings"), wide=True),
    Column("FIRST SEEN", age_of("first_seen")),
    Column("LAST SEEN", age_of("last_seen")),
)
