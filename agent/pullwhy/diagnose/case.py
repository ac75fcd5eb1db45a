"""What the judge is given: everything that is known about one image on one node, and nothing that must still be looked up."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pullwhy.access import PullRecord
from pullwhy.frozen import frozen
from pullwhy.image import ImageReference
from pullwhy.model import CauseId, Hypothesis, PodRef, PullFailure, Reproduction, Stage, Via
from pullwhy.trace import Trace

MESSAGE: Final = "message"
"""The unit of a failure whose text a person brought: no log told it, and the kubelet's reason for it is not known."""


@frozen(kw_only=True)
class NodeView:
    """The node's own facts that decide how a remedy is worded; empty where unknown."""

    runtime: str = ""
    """`containerd`, `cri-o`, `docker`, or empty."""
    version: str = ""
    certs_d: str = ""
    """The certs.d root that this runtime really reads; empty where it reads none, or where that is unknown."""
    hosts_toml: str = ""
    """The hosts.toml in effect for this image's registry; it hides the *.crt files beside it (containerd: docs/hosts.md)."""
    config_file: str = ""
    """The runtime's main configuration file."""
    runtime_unit: str = ""
    """The systemd unit that runs the runtime, such as `containerd.service`."""
    managed_by: str = ""
    """`k3s`, `rke2` or another distribution that generates the runtime's configuration."""
    platform: str = ""
    """`os/architecture[/variant]`."""
    hostname: str = ""
    """The node's own name, as uname(2) tells it."""
    kubelet_version: str = ""
    serial_pulls: bool | None = None
    """Whether the kubelet pulls one image after the other (serializeImagePulls); None where its settings were not seen."""
    conntrack: tuple[int, int] | None = None
    """Entries of the connection tracking table, and how many it may have; None where there is none, or it was not seen."""
    local_ports: tuple[int, int] | None = None
    """First and last local port for outgoing connections."""
    runtime_answers: bool | None = None
    """Whether CRI Version was answered; None where it was not asked."""
    unseen: str = ""
    """What of the runtime's effective configuration a walk had to do without, and why, as a clause; empty where nothing that matters."""


@frozen(kw_only=True)
class RuntimeRemark:
    """One line of the runtime's own log about a pull of this image: which host did not serve, or what it could not read."""

    when: datetime
    unit: str
    """The unit or the file that it was read from."""
    text: str
    """Redacted."""
    host: str = ""
    """Host and port; empty where the line is about no host."""
    cause: CauseId | None = None
    """What the text says by itself."""
    is_mirror: bool = False


@frozen(kw_only=True)
class Queue:
    """What waits on this node while a pull hangs."""

    pods: tuple[PodRef, ...] = ()
    """Pods with a sandbox and no container yet, that of the pull itself among them."""
    moves: bool = True
    """Whether the runtime began other pulls since: one after the other, they would wait."""


@frozen(kw_only=True)
class Adopted:
    """What another node of the fleet proved, of this image or of its registry; it comes from elsewhere, so no text of it is trusted."""

    node: str
    image: ImageReference
    seen: datetime
    """When its kubelet failed last."""
    cause: CauseId
    stage: Stage
    via: Via | None
    summary: str
    facts: tuple[str, ...] = ()
    """The first that its walk observed."""


@frozen(kw_only=True)
class Case:
    """One image on one node, as the judge sees it."""

    now: datetime
    image: ImageReference | None = None
    image_text: str = ""
    """The image as the pod names it."""
    failure: PullFailure | None = None
    hypothesis: Hypothesis | None = None
    """What the failure's text alone says."""
    trace: Trace | None = None
    not_walked: str = ""
    """Why no walk was made, where that was decided."""
    adopted: Adopted | None = None
    """Stands in for a walk until this node's own is made."""
    reproduction: Reproduction | None = None
    reproduction_hypothesis: Hypothesis | None = None
    """What the runtime's answer to the reproduction says."""
    image_present: bool | None = None
    """CRI ImageStatus; None where it was not asked."""
    pull_record: PullRecord | None = None
    """The kubelet's record of that image; None where it keeps none, or the image is absent."""
    node: NodeView = NodeView()
    later_success: bool = False
    """The runtime itself pulled the image after this failure."""
    similar_repositories: tuple[str, ...] = ()
    """Repositories of the same registry of which this node has images, spelled like this one."""
    remarks: tuple[RuntimeRemark, ...] = ()
    """What the runtime's own log says of the hosts that it tried for this image, oldest first."""
    queue: Queue = Queue()
    lines_lost: bool = False
    """Journald dropped lines of kubelet or runtime about that time."""

    @property
    def log(self) -> str:
        """What the failure was read from, as a source of evidence."""
        return "log file" if self.failure is not None and self.failure.from_file else "journal"
