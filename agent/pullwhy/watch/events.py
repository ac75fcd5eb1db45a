"""What the watch recognises beside failures: the runtime's own lines and the kubelet's hints about credentials."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from pullwhy.failure import PodRef


class RuntimeEventKind(enum.StrEnum):
    """What a line of the runtime's own log says about a pull."""

    PULL_STARTED = "PullStarted"
    PULL_ENDED = "PullEnded"  # `error` is empty where it succeeded
    PULL_CANCELLED = "PullCancelled"  # no bytes for the runtime's progress timeout; PullEnded follows
    TRYING_NEXT_HOST = "TryingNextHost"  # one endpoint of the effective order failed (containerd 1.x: also the last)
    HOST_FAILED = "HostFailed"  # containerd 2.x: the last endpoint failed
    HOSTS_TOML_DECODE_ERROR = "HostsTomlDecodeError"


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """One line of the runtime's own log. It is text like any other: a hypothesis."""

    when: datetime
    unit: str
    kind: RuntimeEventKind
    image: str = ""
    """As the runtime names it; empty where the line does not tell (host lines never do)."""
    host: str = ""
    """Host and port of the endpoint, for the host kinds."""
    error: str = ""
    """Redacted; for a host that merely answered, `404 Not Found` and the like."""

    @property
    def succeeded(self) -> bool:
        """Whether this line ends a pull that worked."""
        return self.kind is RuntimeEventKind.PULL_ENDED and not self.error


class HintKind(enum.StrEnum):
    """What a kubelet line says about the credentials of a pull."""

    CREDENTIAL_PROVIDER_FAILED = "CredentialProviderFailed"
    PULL_SECRET_UNAVAILABLE = "PullSecretUnavailable"  # noqa: S105 - a name, not a secret


@dataclass(frozen=True, slots=True)
class KubeletHint:
    """Context that explains a later failure: an exec credential provider or a pull secret that could not be used."""

    when: datetime
    unit: str
    kind: HintKind
    message: str
    """Redacted."""
    pod: PodRef | None = None
    image: str = ""
    provider: str = ""
    """The exec provider's name, where the kubelet (1.35 and later) tells it."""
    secret: str = ""
    """`namespace/name` of the pull secret, where told."""
