"""What the collector is told of a node besides its findings, and what of it must be told again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from pullwhy.frozen import frozen
from pullwhy.pb.v1 import report_pb2 as pb


@frozen
class NodeStatus:
    """What the collector shows of a node (report.proto: NodeStatus)."""

    zone: str = ""
    pool: str = ""
    runtime_name: str = ""
    runtime_version: str = ""
    kubelet_version: str = ""
    architecture: str = ""
    active_findings: int = 0
    impairments: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)
    registries: tuple[str, ...] = ()


def message(status: NodeStatus, *, dropped: int, impairments: tuple[str, ...]) -> pb.NodeStatus:
    """Return a status as it is sent, with what the outbox lost and what impairs it."""
    return pb.NodeStatus(
        zone=status.zone,
        pool=status.pool,
        runtime_name=status.runtime_name,
        runtime_version=status.runtime_version,
        kubelet_version=status.kubelet_version,
        architecture=status.architecture,
        active_findings=status.active_findings,
        outbox_dropped=dropped,
        impairments=tuple(dict.fromkeys((*status.impairments, *impairments))),
        abilities=status.abilities,
        labels=status.labels,
        configuration=status.configuration,
        registries=status.registries,
    )


def news(now: pb.NodeStatus, told: pb.NodeStatus) -> pb.NodeStatus | None:
    """Return what to send after `told`: None where nothing changed, without the long facts where those did not."""
    if now == told:
        return None
    same = (now.labels, now.configuration, now.registries) == (told.labels, told.configuration, told.registries)
    if not same:
        return now
    short = pb.NodeStatus()
    short.CopyFrom(now)
    for field_name in ("labels", "configuration", "registries"):
        short.ClearField(field_name)
    short.facts_unchanged = True
    return short
