"""Whom a walk may be made for, and which addresses it may then lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.plan import WalkPlan
from pullwhy.runtime import urls


@frozen
class Reach:
    """What a walk may dial beside public addresses (probe/destinations.py) and hosts of the runtime's own configuration."""

    local: bool = False
    """Loopback, node, pod, service and private addresses: the kubelet itself failed on them here, or a person at this node asked."""
    private: bool = False
    """Private and shared addresses, but no loopback."""
    trusted: tuple[str, ...] = ()
    """Hosts whose addresses are not held against them, but for those that nobody may dial."""

    def widen(self, plan: WalkPlan) -> WalkPlan:
        """Return `plan` with this reach."""
        return replace(
            plan,
            local_addresses_allowed=self.local,
            private_addresses_allowed=self.private,
            trusted_hosts=tuple(dict.fromkeys((*plan.trusted_hosts, *self.trusted))),
        )


HERE: Final = Reach(local=True)
"""Of a walk for a failure of this node, or for a person at it."""


@frozen
class Known:
    """Registries that this node has to do with: whom it walks when it is asked to."""

    configured: frozenset[str] = frozenset()
    """The runtime's own configuration names them."""
    listed: frozenset[str] = frozenset()
    """The agent's settings list them."""
    held: frozenset[str] = frozenset()
    """The node has images of them."""

    def reach(self, registry: str) -> Reach | None:
        """Return how far a walk of `registry` may lead that somebody elsewhere asks for; None where it is not to be walked.

        Private addresses are those of nodes, pods and services too, so an administrator must have named the registry: who may
        create a pod can have images held, and lead their registry's name anywhere. Loopback is another thing on each node, so it
        must be written in the node's own files.
        """
        loopback = urls.is_loopback(registry)
        if registry in self.configured or (registry in self.listed and loopback):
            return Reach(private=True, trusted=(urls.split_port(registry)[0],))
        if registry in self.listed:
            return Reach(private=True)
        return Reach() if registry in self.held and not loopback else None
