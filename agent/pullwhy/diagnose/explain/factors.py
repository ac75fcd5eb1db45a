"""What each factor means, in one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pullwhy.model import Factor

SENTENCES: Mapping[Factor, str] = MappingProxyType(
    {
        Factor.DEFAULTED_LATEST_TAG: "the reference names no tag, so `latest` was assumed, and there is none",
        Factor.POLICY_ALWAYS_IMAGE_PRESENT: "the image is on this node; only the pull policy Always asks the registry",
        Factor.NO_CREDENTIALS_SENT: "the kubelet had no credentials to send for this image",
        Factor.CREDENTIALS_SHADOW_PUBLIC_IMAGE: "without the credentials that were sent, the image can be had",
        Factor.SEARCH_DOMAIN_ANSWERED: "the address was found under a search domain, not under the name as written",
        Factor.NAMESERVERS_DISAGREE: "this node's nameservers give different answers for the name",
        Factor.IPV6_NO_ROUTE: "the host has IPv6 addresses, and this node has no route to them",
        Factor.CLOCK_SKEW: "this node's clock is more than a minute off",
        Factor.DISK_NEARLY_FULL: "a filesystem of the runtime is nearly full",
        Factor.MIRROR_SKIPPED: "a mirror failed too, and the runtime went on to the next host",
        Factor.SERIAL_PULLS_BLOCKED: "the kubelet pulls one image at a time, so every other pull on this node waits behind this one",
        Factor.REF_LOCKED: "another pull of the same content holds its lock in the runtime's store",
        Factor.CONNTRACK_FULL: "the connection tracking table of this node is full: the kernel drops new connections",
        Factor.PORTS_EXHAUSTED: "this node has no local port left for another connection to that address",
        Factor.RUNTIME_DIFFERS: "the walk from this node passes where the runtime fails",
        Factor.JOURNAL_SUPPRESSED: "journald dropped lines about that time, so some of what happened is missing here",
    }
)
