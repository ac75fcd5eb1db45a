"""What the watch recognises beside failures and the kubelet's hints: the runtime's own lines."""

from __future__ import annotations

import enum
from datetime import datetime

from pullwhy.frozen import frozen


class RuntimeEventKind(enum.StrEnum):
    """What a line of the runtime's own log says about a pull."""

    PULL_STARTED = "PullStarted"
    PULL_ENDED = "PullEnded"  # `error` is empty where it succeeded
    PULL_CANCELLED = "PullCancelled"  # no bytes for the runtime's progress timeout; PullEnded follows
    TRYING_NEXT_HOST = "TryingNextHost"  # one endpoint of the effective order failed (containerd 1.x: also the last)
    HOST_FAILED = "HostFailed"  # containerd 2.x: the last endpoint failed
    HOSTS_TOML_DECODE_ERROR = "HostsTomlDecodeError"


@frozen
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
    from_file: bool = False
    """Whether the line stood in a log file, and not in a journal."""

    @property
    def succeeded(self) -> bool:
        """Whether this line ends a pull that worked."""
        return self.kind is RuntimeEventKind.PULL_ENDED and not self.error
