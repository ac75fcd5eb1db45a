"""The answers of the API and the bodies it takes: encoded from these types, and described by them in the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from pullwhy.diagnose import contract
from pullwhy.diagnose.contract import Time
from pullwhy.model import State


@dataclass(frozen=True, slots=True)
class Error:
    """Why there is no answer."""

    error: str
    """One line that names the thing and the mend."""


class FleetFinding(contract.Finding):
    """A finding with the problem that it is part of, and that problem's scope."""

    problem: str


class StateChange(TypedDict):
    """When a finding took a state, by the collector's clock."""

    at: Time
    state: State


class FindingDetail(FleetFinding):
    """A finding with the states that it took."""

    history: list[StateChange]


@dataclass(frozen=True, slots=True)
class FindingPage:
    """Findings, last seen first."""

    items: list[FleetFinding]
    next: str | None


@dataclass(frozen=True, slots=True)
class Node:
    """A node whose agent reported."""

    cluster: str
    node: str
    connected: bool
    first_seen: Time
    last_seen: Time
    agent_version: str
    active_findings: int
    zone: str
    pool: str
    runtime_name: str
    runtime_version: str
    kubelet_version: str
    architecture: str
    outbox_dropped: int
    impairments: tuple[str, ...]
    abilities: tuple[str, ...]
    labels: dict[str, str]
    configuration: dict[str, str]
    registries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodePage:
    """Nodes, by cluster and name."""

    items: list[Node]
    next: str | None
