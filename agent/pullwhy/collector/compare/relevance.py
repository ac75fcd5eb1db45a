"""Which facts of a node bear on which cause: of several that separate nodes, the likely reason is named first. Pure."""

from __future__ import annotations

from typing import Final

from pullwhy.collector.compare.contrast import LABEL
from pullwhy.model import CauseId

_BY_WORDS: Final[tuple[tuple[frozenset[str], frozenset[CauseId]], ...]] = (
    (
        frozenset({"ca", "trust", "skip_verify"}),
        frozenset(
            {
                CauseId.CERTIFICATE_UNTRUSTED,
                CauseId.CERTIFICATE_CHAIN_INCOMPLETE,
                CauseId.CERTIFICATE_EXPIRED,
                CauseId.CERTIFICATE_NOT_YET_VALID,
                CauseId.CERTIFICATE_NAME_MISMATCH,
                CauseId.TLS_HANDSHAKE_FAILED,
            }
        ),
    ),
    (frozenset({"client"}), frozenset({CauseId.CLIENT_CERTIFICATE_REQUIRED})),
    (
        frozenset({"nameserver", "nameservers", "search", "resolver", "options", "hosts", "nsswitch"}),
        frozenset({CauseId.DNS_NAME_NOT_FOUND, CauseId.DNS_SERVER_FAILURE}),
    ),
    (
        frozenset({"proxy", "no_proxy"}),
        frozenset(
            {
                CauseId.PROXY_FAILED,
                CauseId.CONNECTION_REFUSED,
                CauseId.CONNECTION_TIMED_OUT,
                CauseId.CONNECTION_RESET,
                CauseId.NETWORK_UNREACHABLE,
                CauseId.SOURCE_DENIED,
                CauseId.NOT_A_REGISTRY,
            }
        ),
    ),
    (
        frozenset({"hosts", "mirror", "mirrors", "server", "capabilities", "override_path", "config_path"}),
        frozenset(
            {
                CauseId.MIRROR_FAILED,
                CauseId.RUNTIME_CONFIG_IGNORED,
                CauseId.RUNTIME_CONFIG_INVALID,
                CauseId.PLAIN_HTTP_REGISTRY,
                CauseId.NOT_A_REGISTRY,
            }
        ),
    ),
    (
        frozenset({"credential", "credentials", "provider", "providers", "auth"}),
        frozenset({CauseId.CREDENTIAL_PROVIDER_FAILED, CauseId.CREDENTIALS_MISSING, CauseId.CREDENTIALS_REJECTED}),
    ),
    (frozenset({"architecture"}), frozenset({CauseId.PLATFORM_NOT_AVAILABLE})),
)
_OF_THE_NODE: Final = {"runtime": 4, "kubelet": 5, "architecture": 5, "pool": 6, "zone": 7}


def relevance(name: str, cause: CauseId, registry: str) -> int:
    """Return how much a fact of this name bears on a fault: 0 the most.

    Facts of a registry are named `HOST: what` (report.proto: NodeStatus.configuration).
    """
    host, of_a_registry, what = name.partition(": ")
    if name.startswith(LABEL):
        return 8
    if of_a_registry and host != registry:
        return 9
    words = set((what if of_a_registry else name).lower().replace("-", " ").split())
    if any(words & about and cause in causes for about, causes in _BY_WORDS):
        return 0 if of_a_registry else 1
    return 2 if of_a_registry else _OF_THE_NODE.get(name, 3)
