"""What a fault of the matrix is: how it is made, and the cause that follows from how it was made."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrix.servers import Servers
from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.model import CauseId

from lab.containerd import Settings as ContainerdSettings
from lab.faults import Repository, Rule
from lab.kubelet.pods import Credential
from lab.kubelet.sync import Settings as KubeletSettings
from lab.node import Node

FAST = KubeletSettings(scale=0.1)
"""A kubelet whose waits are a tenth of the real ones."""


@dataclass(frozen=True, slots=True)
class PodSpec:
    """What the pod of a fault asks for."""

    image: str
    pull_policy: str = "IfNotPresent"
    credentials: tuple[Credential, ...] = ()
    missing_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Home:
    """The node that a fault needs. Faults of one home share a node of that name, unless it is *private*."""

    name: str
    settings: ContainerdSettings = field(default_factory=ContainerdSettings)
    kubelet: KubeletSettings = FAST
    watch: Mapping[str, Any] = field(default_factory=dict)
    preload_sandbox: bool = True
    private: bool = False
    """Whether each of its faults breaks the node for every other pull, and so gets a node of its own."""


SHARED = Home("shared")
"""A good node with the default configuration: its faults concern only their own registry or image."""
OWN = Home("own", private=True)
"""A good node that the fault spoils as a whole."""

Make = Callable[[Servers, Node], PodSpec]
Fill = Callable[[Servers, Node], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. *make* prepares servers and node and returns the pod that will fail."""

    name: str
    make: Make
    cause: str
    stage: str
    via: str | None = None
    confidence: str = "Proved"
    """Likely only where the proof would need what the agent must not have, such as a pod's secret."""
    factors: tuple[str, ...] = ()
    home: Home = SHARED
    then: Callable[[Servers, Node], None] | None = None
    """What happens once the pod has failed for the first time."""
    generations: tuple[str, ...] = ()
    """Where it is a fault at all, such as "2.1"; none: everywhere."""
    remedy: str = ""
    """The id of the remedy that mends it, where it is not the one of the cause."""
    mend: Fill | None = None
    """Its remedy is local to the node: the lab runs the remedy's own commands, with these values for its placeholders."""

    @property
    def pod(self) -> str:
        """The name of the pod that fails."""
        return "".join(mark if mark.isalnum() else "-" for mark in self.name.lower())

    @property
    def expected_remedy(self) -> str:
        """The id of the remedy that mends it."""
        return self.remedy or CATALOGUE[CauseId(self.cause)].remedy


def answered(
    name: str, preset: str | Repository | Rule, cause: str, stage: str, via: str | None = None, **more: Any
) -> Fault:
    """Return a fault of the registry that misbehaves: a repository of its own with *preset* (lab.faults), its name telling nothing."""

    def make(servers: Servers, node: Node) -> PodSpec:
        return PodSpec(servers.faulty_for(node).set(repository_of(name), preset))

    return Fault(name, make, cause, stage, via, **more)


def repository_of(name: str) -> str:
    """Return the repository for the fault *name*, spelled so that no rule over texts can read the fault out of it."""
    return f"team/app-{zlib.crc32(name.encode()):08x}"


def nothing(_servers: Servers, _node: Node) -> Mapping[str, str]:
    """Fill in nothing: the remedy's commands are complete as they are."""
    return {}
