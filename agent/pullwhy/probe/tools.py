"""What the stages of one walk share, and the hosts on its way."""

from __future__ import annotations

from dataclasses import dataclass, field

from pullwhy.frozen import frozen
from pullwhy.model import Via
from pullwhy.plan import WalkPlan
from pullwhy.probe.clock import Clock
from pullwhy.probe.destinations import Destinations, Origin
from pullwhy.probe.http import Connection
from pullwhy.probe.nameserver import Asking
from pullwhy.probe.network import Network
from pullwhy.probe.noproxy import ProxyAddress
from pullwhy.probe.record import Recorder
from pullwhy.probe.trust import Contexts
from pullwhy.probe.url import URL
from pullwhy.trace import DNSFacts, StageResult


@dataclass(slots=True)
class Tools:
    """What every stage of one walk shares."""

    plan: WalkPlan
    network: Network
    clock: Clock
    recorder: Recorder
    contexts: Contexts
    destinations: Destinations
    asking: Asking
    resolved: dict[str, DNSFacts] = field(default_factory=dict)
    """Names resolved before in this walk."""
    hellos: set[str] = field(default_factory=set)
    """Hosts to which a hello as large as the runtime's was sent."""


@frozen
class Hop:
    """One host on the way, and who named it."""

    url: URL
    origin: Origin
    via: Via | None


@dataclass(slots=True)
class Opened:
    """An open way, and how requests are put on it."""

    connection: Connection
    proxy: ProxyAddress | None
    """Set where requests name the whole URL: plain HTTP through a proxy."""
    handshake: StageResult | None = None
    """The TLS result, which may have to be taken back."""
