"""The catalogue of causes: every thing that a person may have to mend, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pullwhy.diagnose.catalogue import image, network, node
from pullwhy.diagnose.catalogue.cause import Cause
from pullwhy.model import CauseId

CATALOGUE: Mapping[CauseId, Cause] = MappingProxyType(
    {cause.id: cause for cause in (*image.CAUSES, *network.CAUSES, *node.CAUSES)}
)

ACCESS: frozenset[CauseId] = frozenset(
    {
        CauseId.CREDENTIALS_MISSING,
        CauseId.CREDENTIALS_REJECTED,
        CauseId.CREDENTIAL_PROVIDER_FAILED,
        CauseId.ACCESS_DENIED_OR_NOT_FOUND,
        CauseId.SOURCE_DENIED,
    }
)
"""Answers that depend on who asks."""

ABSENT: frozenset[CauseId] = frozenset({CauseId.TAG_NOT_FOUND, CauseId.DIGEST_NOT_FOUND, CauseId.REPOSITORY_NOT_FOUND})
"""What the registry does not have."""

UNREACHABLE: frozenset[CauseId] = frozenset(
    {
        CauseId.CONNECTION_REFUSED,
        CauseId.CONNECTION_TIMED_OUT,
        CauseId.NETWORK_UNREACHABLE,
        CauseId.CONNECTION_RESET,
        CauseId.TLS_HANDSHAKE_TIMED_OUT,
    }
)
"""How a host that cannot be reached shows itself."""

KIN: tuple[frozenset[CauseId], ...] = (
    ACCESS,
    ABSENT,
    frozenset({CauseId.DNS_NAME_NOT_FOUND, CauseId.DNS_SERVER_FAILURE}),
    UNREACHABLE,
    frozenset({CauseId.CERTIFICATE_UNTRUSTED, CauseId.CERTIFICATE_CHAIN_INCOMPLETE}),
    frozenset({CauseId.CERTIFICATE_EXPIRED, CauseId.CERTIFICATE_NOT_YET_VALID}),
    frozenset({CauseId.CONNECTION_RESET, CauseId.TLS_HANDSHAKE_FAILED, CauseId.PLAIN_HTTP_REGISTRY}),
    frozenset({CauseId.BLOB_UNAVAILABLE, CauseId.CONTENT_CORRUPT, CauseId.CONNECTION_RESET, CauseId.PULL_STALLED}),
    frozenset({CauseId.MANIFEST_UNSUPPORTED, CauseId.CONTENT_CORRUPT, CauseId.NOT_A_REGISTRY}),
)
"""Groups whose members look alike from the text: one fault, told by another observer or at another moment."""


def akin(cause: CauseId, other: CauseId) -> bool:
    """Whether these are of one group that looks alike."""
    return any(cause in group and other in group for group in KIN)


def same_fault(observed: CauseId, told: CauseId, alternatives: tuple[CauseId, ...] = ()) -> bool:
    """Whether what was observed and what a text tells can be one fault.

    `alternatives` are the causes that the text itself cannot exclude; for a mirror that failed they begin with what failed
    there. A cause that was observed also accounts for the symptoms of what it explains.
    """
    if observed is told or observed in alternatives or told in CATALOGUE[observed].explains:
        return True
    if told is CauseId.MIRROR_FAILED and alternatives:
        return same_fault(observed, alternatives[0], alternatives[1:])
    return akin(observed, told)
