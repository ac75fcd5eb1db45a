"""What makes findings of several nodes one problem: the same cause, at the same point of the way, of the same subject. Pure."""

from __future__ import annotations

import enum
import functools
import hashlib
from dataclasses import dataclass
from typing import Final

from pullwhy.collector.imagecolumns import image_columns
from pullwhy.model import CauseId, Finding


class SubjectKind(enum.StrEnum):
    """What a person has to look at."""

    IMAGE = "image"
    REGISTRY = "registry"
    NODE = "node"
    """The nodes themselves, whichever image they are asked for."""


KIND: Final[dict[CauseId, SubjectKind]] = {
    **dict.fromkeys(
        (
            CauseId.INVALID_IMAGE_REFERENCE,
            CauseId.TAG_NOT_FOUND,
            CauseId.DIGEST_NOT_FOUND,
            CauseId.REPOSITORY_NOT_FOUND,
            CauseId.PLATFORM_NOT_AVAILABLE,
            CauseId.MANIFEST_UNSUPPORTED,
            CauseId.IMAGE_NEVER_PULL,
            CauseId.CREDENTIAL_VERIFICATION_DENIED,
            CauseId.CREDENTIALS_MISSING,
            CauseId.ACCESS_DENIED_OR_NOT_FOUND,
            CauseId.BLOCKED_BY_POLICY,
            CauseId.BLOB_UNAVAILABLE,
            CauseId.CONTENT_CORRUPT,
            CauseId.UNPACK_FAILED,
            CauseId.LOCAL_STORE_CORRUPT,
            CauseId.PULL_STALLED,
            CauseId.SIGNATURE_REJECTED,
            CauseId.TRANSIENT,
            CauseId.UNDETERMINED,
        ),
        SubjectKind.IMAGE,
    ),
    **dict.fromkeys(
        (
            CauseId.CREDENTIALS_REJECTED,
            CauseId.CREDENTIAL_PROVIDER_FAILED,
            CauseId.SOURCE_DENIED,
            CauseId.NOT_A_REGISTRY,
            CauseId.RATE_LIMITED,
            CauseId.DNS_NAME_NOT_FOUND,
            CauseId.DNS_SERVER_FAILURE,
            CauseId.CONNECTION_REFUSED,
            CauseId.CONNECTION_TIMED_OUT,
            CauseId.NETWORK_UNREACHABLE,
            CauseId.CONNECTION_RESET,
            CauseId.PROXY_FAILED,
            CauseId.CERTIFICATE_UNTRUSTED,
            CauseId.CERTIFICATE_CHAIN_INCOMPLETE,
            CauseId.CERTIFICATE_EXPIRED,
            CauseId.CERTIFICATE_NOT_YET_VALID,
            CauseId.CERTIFICATE_NAME_MISMATCH,
            CauseId.CLIENT_CERTIFICATE_REQUIRED,
            CauseId.TLS_HANDSHAKE_FAILED,
            CauseId.TLS_HANDSHAKE_TIMED_OUT,
            CauseId.PLAIN_HTTP_REGISTRY,
            CauseId.RUNTIME_CONFIG_INVALID,
            CauseId.RUNTIME_CONFIG_IGNORED,
            CauseId.MIRROR_FAILED,
            CauseId.REGISTRY_SERVER_ERROR,
        ),
        SubjectKind.REGISTRY,
    ),
    **dict.fromkeys(
        (
            CauseId.KUBELET_PULL_RATE_LIMITED,
            CauseId.DISK_FULL,
            CauseId.READ_ONLY_FILESYSTEM,
            CauseId.RUNTIME_UNAVAILABLE,
            CauseId.SANDBOX_IMAGE_UNAVAILABLE,
        ),
        SubjectKind.NODE,
    ),
}


@dataclass(frozen=True, slots=True)
class ProblemKey:
    """What the findings of one problem share."""

    cluster: str
    cause: CauseId
    via: str
    kind: SubjectKind
    subject: str
    """The image's canonical reference, the registry, or nothing for the nodes themselves."""

    @property
    def id(self) -> str:
        """16 hexadecimal digits, the same for the same fault for ever and on every collector."""
        return _identified(self)


@functools.lru_cache(maxsize=1024)  # a burst is often one problem on many nodes
def _identified(key: ProblemKey) -> str:
    text = f"{key.cluster}\n{key.cause}\n{key.via}\n{key.kind}\n{key.subject}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def problem_key(finding: Finding) -> ProblemKey:
    """Return of which problem a finding is."""
    diagnosis = finding.diagnosis
    kind = KIND[diagnosis.cause]
    if kind is SubjectKind.REGISTRY and not finding.registry:
        kind = SubjectKind.IMAGE  # a text that names no registry: nothing wider is known to share it
    subject = {
        SubjectKind.IMAGE: image_columns(finding.image)[0],
        SubjectKind.REGISTRY: finding.registry,
        SubjectKind.NODE: "",
    }[kind]
    return ProblemKey(finding.cluster, diagnosis.cause, str(diagnosis.via or ""), kind, subject)
