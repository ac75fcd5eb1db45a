"""The vocabulary: what a failure, an incident's diagnosis and a finding are; imports nothing of ours but its own first part."""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import datetime

from pullwhy.failure import HintKind as HintKind  # noqa: PLC0414 - part of the vocabulary
from pullwhy.failure import KubeletHint as KubeletHint  # noqa: PLC0414 - part of the vocabulary
from pullwhy.failure import PodRef as PodRef  # noqa: PLC0414 - part of the vocabulary
from pullwhy.failure import PullFailure as PullFailure  # noqa: PLC0414 - part of the vocabulary
from pullwhy.failure import Reason as Reason  # noqa: PLC0414 - part of the vocabulary
from pullwhy.frozen import frozen

SCHEMA = "pullwhy/v1"
"""Names the JSON form of a finding; a field may be added within it, never renamed or removed."""


class Stage(enum.StrEnum):
    """Where on the pull path something was observed, in the order in which a pull passes them."""

    REFERENCE = "Reference"
    CONFIG = "Config"
    PROXY = "Proxy"
    DNS = "DNS"
    CONNECT = "Connect"
    TLS = "TLS"
    AUTH = "Auth"
    MANIFEST = "Manifest"
    PLATFORM = "Platform"
    BLOB = "Blob"
    STORAGE = "Storage"
    UNPACK = "Unpack"
    RUNTIME = "Runtime"
    KUBELET = "Kubelet"


class Outcome(enum.StrEnum):
    """How a stage ended. ERROR is a fault of pullwhy, never of the path."""

    PASSED = "Passed"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    ERROR = "Error"


class Confidence(enum.StrEnum):
    """How well a diagnosis is supported: by an observation on the node, by text alone, or not at all."""

    PROVED = "Proved"
    LIKELY = "Likely"
    UNKNOWN = "Unknown"


class Answer(enum.StrEnum):
    """Can the kubelet's own next try succeed with nothing changed?"""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


class Via(enum.StrEnum):
    """Where on the way a cause struck, when not at the image's own registry."""

    SANDBOX_IMAGE = "SandboxImage"
    BLOB_HOST = "BlobHost"
    MIRROR = "Mirror"
    TOKEN_HOST = "TokenHost"  # noqa: S105 - a name, not a secret
    PROXY = "Proxy"


class Factor(enum.StrEnum):
    """A contributing circumstance; a closed list."""

    DEFAULTED_LATEST_TAG = "DefaultedLatestTag"
    POLICY_ALWAYS_IMAGE_PRESENT = "PolicyAlwaysImagePresent"
    NO_CREDENTIALS_SENT = "NoCredentialsSent"
    CREDENTIALS_SHADOW_PUBLIC_IMAGE = "CredentialsShadowPublicImage"
    SEARCH_DOMAIN_ANSWERED = "SearchDomainAnswered"
    NAMESERVERS_DISAGREE = "NameserversDisagree"
    IPV6_NO_ROUTE = "IPv6NoRoute"
    CLOCK_SKEW = "ClockSkew"
    DISK_NEARLY_FULL = "DiskNearlyFull"
    MIRROR_SKIPPED = "MirrorSkipped"
    SERIAL_PULLS_BLOCKED = "SerialPullsBlocked"
    REF_LOCKED = "RefLocked"
    CONNTRACK_FULL = "ConntrackFull"
    PORTS_EXHAUSTED = "PortsExhausted"
    RUNTIME_DIFFERS = "RuntimeDiffers"
    JOURNAL_SUPPRESSED = "JournalSuppressed"


class CauseId(enum.StrEnum):
    """The closed set of causes; each has a declared value in diagnose/catalogue/causes.py."""

    INVALID_IMAGE_REFERENCE = "InvalidImageReference"
    TAG_NOT_FOUND = "TagNotFound"
    DIGEST_NOT_FOUND = "DigestNotFound"
    REPOSITORY_NOT_FOUND = "RepositoryNotFound"
    PLATFORM_NOT_AVAILABLE = "PlatformNotAvailable"
    MANIFEST_UNSUPPORTED = "ManifestUnsupported"
    IMAGE_NEVER_PULL = "ImageNeverPull"
    CREDENTIAL_VERIFICATION_DENIED = "CredentialVerificationDenied"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_REJECTED = "CredentialsRejected"
    CREDENTIAL_PROVIDER_FAILED = "CredentialProviderFailed"
    ACCESS_DENIED_OR_NOT_FOUND = "AccessDeniedOrNotFound"
    SOURCE_DENIED = "SourceDenied"
    BLOCKED_BY_POLICY = "BlockedByPolicy"
    NOT_A_REGISTRY = "NotARegistry"
    RATE_LIMITED = "RateLimited"
    KUBELET_PULL_RATE_LIMITED = "KubeletPullRateLimited"
    DNS_NAME_NOT_FOUND = "DNSNameNotFound"
    DNS_SERVER_FAILURE = "DNSServerFailure"
    CONNECTION_REFUSED = "ConnectionRefused"
    CONNECTION_TIMED_OUT = "ConnectionTimedOut"
    NETWORK_UNREACHABLE = "NetworkUnreachable"
    CONNECTION_RESET = "ConnectionReset"
    PROXY_FAILED = "ProxyFailed"
    CERTIFICATE_UNTRUSTED = "CertificateUntrusted"
    CERTIFICATE_CHAIN_INCOMPLETE = "CertificateChainIncomplete"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_NOT_YET_VALID = "CertificateNotYetValid"
    CERTIFICATE_NAME_MISMATCH = "CertificateNameMismatch"
    CLIENT_CERTIFICATE_REQUIRED = "ClientCertificateRequired"
    TLS_HANDSHAKE_FAILED = "TLSHandshakeFailed"
    TLS_HANDSHAKE_TIMED_OUT = "TLSHandshakeTimedOut"
    PLAIN_HTTP_REGISTRY = "PlainHTTPRegistry"
    RUNTIME_CONFIG_INVALID = "RuntimeConfigInvalid"
    RUNTIME_CONFIG_IGNORED = "RuntimeConfigIgnored"
    MIRROR_FAILED = "MirrorFailed"
    REGISTRY_SERVER_ERROR = "RegistryServerError"
    BLOB_UNAVAILABLE = "BlobUnavailable"
    CONTENT_CORRUPT = "ContentCorrupt"
    DISK_FULL = "DiskFull"
    READ_ONLY_FILESYSTEM = "ReadOnlyFilesystem"
    UNPACK_FAILED = "UnpackFailed"
    LOCAL_STORE_CORRUPT = "LocalStoreCorrupt"
    PULL_STALLED = "PullStalled"
    RUNTIME_UNAVAILABLE = "RuntimeUnavailable"
    SANDBOX_IMAGE_UNAVAILABLE = "SandboxImageUnavailable"
    SIGNATURE_REJECTED = "SignatureRejected"
    TRANSIENT = "Transient"
    UNDETERMINED = "Undetermined"


class State(enum.StrEnum):
    """A finding's life: it fails now, the pull worked later, the pod went away, or another cause took its place."""

    ACTIVE = "Active"
    RECOVERED = "Recovered"
    GONE = "Gone"
    SUPERSEDED = "Superseded"


class ScopeVerdict(enum.StrEnum):
    """How far over the fleet a fault reaches."""

    NODE_SPECIFIC = "NodeSpecific"
    GROUP_SPECIFIC = "GroupSpecific"
    REGISTRY_WIDE = "RegistryWide"
    IMAGE_WIDE = "ImageWide"
    UNKNOWN = "Unknown"


@frozen
class Hypothesis:
    """What a text alone says about a failure."""

    cause: CauseId
    stage: Stage
    retryable: Answer
    via: Via | None = None
    image: str = ""
    registry: str = ""
    alternatives: tuple[CauseId, ...] = ()
    """Causes that the text alone cannot exclude."""


@frozen
class Evidence:
    """One observed fact and where it was observed (`walk`, `journal`, `cri`, a file with its line)."""

    stage: Stage
    fact: str
    source: str


@frozen
class Retryable:
    """Can the kubelet's next try succeed with nothing changed, and why."""

    answer: Answer
    why: str


@frozen
class RemedyRef:
    """A remedy by id with its arguments; text and commands are rendered, and shell-quoted, only where they are shown."""

    id: str
    arguments: dict[str, str] = field(default_factory=dict)


@frozen
class Reproduction:
    """What the runtime itself said when asked over CRI (or why it was not asked)."""

    outcome: str
    """`Failed`, `Succeeded`, `Skipped` or `Error`."""
    reason: str = ""
    code: str = ""
    """gRPC status code in its own spelling (`NotFound`); empty when nothing was asked."""
    message: str = ""
    seconds: float = 0.0


@frozen
class TraceLine:
    """One stage of the walk as a finding shows it."""

    stage: Stage
    target: str
    outcome: Outcome
    seconds: float
    detail: str
    identity: str


@frozen
class Diagnosis:
    """One root cause with what supports it and one remedy for this node."""

    cause: CauseId
    stage: Stage
    confidence: Confidence
    retryable: Retryable
    summary: str
    remedy: RemedyRef
    via: Via | None = None
    evidence: tuple[Evidence, ...] = ()
    factors: tuple[Factor, ...] = ()


@frozen
class FailingPod:
    """A pod's container that a finding holds up."""

    namespace: str
    name: str
    uid: str
    container: str
    owner: str = ""
    attempts: int = 0
    next_retry_at: datetime | None = None


@frozen
class KubeletState:
    """The kubelet's own clock for the most recent pod of a finding."""

    attempts: int = 0
    last_message: str = ""
    backoff_seconds: float = 0.0
    next_retry_at: datetime | None = None


@frozen
class Scope:
    """The fleet's view; an agent alone knows none."""

    verdict: ScopeVerdict = ScopeVerdict.UNKNOWN
    failing: int = 0
    healthy: int = 0
    unknown: int = 0
    in_common: tuple[str, ...] = ()


@frozen
class Finding:
    """A diagnosis of an image on a node with its pods, counts, times and state; its JSON form is the contract `pullwhy/v1`."""

    id: str
    """Stable for (node, image, cause)."""
    node: str
    image: str
    registry: str
    diagnosis: Diagnosis
    first_seen: datetime
    last_seen: datetime
    count: int = 1
    state: State = State.ACTIVE
    resolved_at: datetime | None = None
    cluster: str = ""
    zone: str = ""
    pool: str = ""
    agent_version: str = ""
    pods: tuple[FailingPod, ...] = ()
    kubelet: KubeletState = KubeletState()
    reproduction: Reproduction | None = None
    trace: tuple[TraceLine, ...] = ()
    scope: Scope = Scope()
    schema: str = SCHEMA
