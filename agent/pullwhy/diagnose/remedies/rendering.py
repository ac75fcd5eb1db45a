"""Render remedies: by id and typed arguments into text and quoted commands; the one place where commands are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pullwhy.diagnose.remedies import access, config, image, network, node, scheme, tls
from pullwhy.diagnose.remedies.prescription import Builder, Command, Remedy, Values, explained
from pullwhy.model import RemedyRef

__all__ = ["BUILDERS", "Command", "Remedy", "render"]

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    image.BUILDERS
    | access.BUILDERS
    | network.BUILDERS
    | tls.BUILDERS
    | scheme.BUILDERS
    | config.BUILDERS
    | node.BUILDERS
)
"""Every remedy by its id."""

_ALWAYS = (
    "The image is on this node already; the pod asks the registry at every start because of its pull policy Always. IfNotPresent would "
    "start it from the local copy, but hides faults of the registry and runs stale tags: it is no cure."
)
_SKIPPED = "A mirror in the runtime's order failed as well and was passed over (evidence): mend it, or take it out."

_CONNTRACK = (
    "First make room in this node's connection tracking table: raise net.netfilter.nf_conntrack_max where the node's sysctl settings come "
    "from, and find what opens so many connections (`conntrack -L`)."
)
_PORTS = (
    "First find what on this node keeps so many connections to that address (`ss --tcp --numeric state all`): a client that opens one "
    "for each request, or an egress address that many share. A wider net.ipv4.ip_local_port_range gains time."
)
_SERIAL = (
    "The kubelet pulls one image at a time here. serializeImagePulls: false with maxParallelImagePulls in the kubelet's configuration "
    "keeps one hanging pull from holding up the node; the kubelet must be restarted for it."
)
_LOCKED = "The runtime says that another pull holds the same content: it is free again once that pull ends."


def render(ref: RemedyRef) -> Remedy:
    """Return the remedy `ref` names for its arguments; total: an id of a newer release becomes advice to look further."""
    values = Values(ref.arguments)
    builder = BUILDERS.get(ref.id)
    if builder is None:
        return replace(render(RemedyRef("look-further", ref.arguments)), id=ref.id)
    remedy = builder(values)
    extra = [
        _ALWAYS if values.factor("PolicyAlwaysImagePresent") else "",
        _SKIPPED if values.factor("MirrorSkipped") else "",
        _SERIAL if values.factor("SerialPullsBlocked") else "",
        _LOCKED if values.factor("RefLocked") else "",
    ]
    first = [_CONNTRACK if values.factor("ConntrackFull") else "", _PORTS if values.factor("PortsExhausted") else ""]
    text = " ".join(part for part in (*first, remedy.text, *extra) if part)
    return replace(remedy, text=text, commands=tuple(explained(command) for command in remedy.commands))
