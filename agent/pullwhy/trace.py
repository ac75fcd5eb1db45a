"""What one walk of the pull path observed: facts for the rules, free of judgement."""

from __future__ import annotations

import enum
from datetime import datetime

from pullwhy.access import CredentialFacts
from pullwhy.frozen import frozen
from pullwhy.model import Outcome, Stage, TraceLine, Via


class Identity(enum.StrEnum):
    """As whom the registry was asked."""

    NONE = ""
    ANONYMOUS = "anonymous"
    NODE = "node"  # the node's own credentials (the kubelet's config.json)
    SUPPLIED = "supplied"  # credentials that the caller of `diagnose` gave
    POD = "pull secret"  # a Secret that the agent's settings name; whether the pod names it is not known


class DNSResult(enum.StrEnum):
    """What one nameserver said to one question."""

    ANSWERED = "answered"
    NXDOMAIN = "NXDOMAIN"
    NODATA = "NODATA"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    OTHER_RCODE = "other rcode"
    TIMED_OUT = "timed out"
    PORT_REFUSED = "port refused"
    UNREACHABLE = "unreachable"
    GARBLED = "garbled"


@frozen
class NameserverAnswer:
    """One nameserver's answer for one queried name (A and AAAA taken together)."""

    server: str
    name: str
    result: DNSResult
    addresses: tuple[str, ...] = ()
    seconds: float = 0.0
    detail: str = ""
    upstream: bool = False
    """One of those that systemd-resolved asks, asked to tell its faults from theirs."""


@frozen
class DNSFacts:
    """How a host name was resolved: literal address, hosts file or nameservers, and what the resolver's order makes of it."""

    name: str
    source: str
    """`literal`, `hosts` or `dns`."""
    addresses: tuple[str, ...]
    answers: tuple[NameserverAnswer, ...] = ()
    decisive: NameserverAnswer | None = None
    """The answer at which the resolver stops (Go 1.27: net/dnsclient_unix.go), None for literal and hosts."""
    search_domain: str = ""
    """The search suffix that made the decisive name, empty for the name as written."""


class ConnectResult(enum.StrEnum):
    """What one address said to a TCP connect."""

    CONNECTED = "connected"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    UNREACHABLE = "unreachable"
    PROHIBITED = "prohibited"
    NOT_ALLOWED = "not dialled"  # a destination that pullwhy never dials
    OTHER = "other"


@frozen
class ConnectAttempt:
    """One TCP connect to one address."""

    address: str
    port: int
    result: ConnectResult
    seconds: float
    detail: str = ""
    used: bool = False
    """The connection that the runtime would go on with."""


class TLSFault(enum.StrEnum):
    """Why a handshake failed, as OpenSSL and the bytes on the wire say."""

    UNTRUSTED = "untrusted"
    CHAIN_INCOMPLETE = "chain incomplete"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    NAME_MISMATCH = "name mismatch"
    CLIENT_CERTIFICATE_REQUIRED = "client certificate required"
    HANDSHAKE_FAILED = "handshake failed"
    TIMED_OUT = "timed out"
    PLAIN_HTTP = "plain HTTP"
    RESET = "reset"
    UNACCEPTABLE = "certificate not acceptable"  # to Go's verifier, whatever is trusted


@frozen
class CertificateFacts:
    """One certificate of the chain that the server sent, leaf first; or the trusted one that is at fault, behind them."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...] = ()
    self_signed: bool = False
    sha256: str = ""
    sent: bool = True


@frozen
class TLSFacts:
    """One handshake under the runtime's effective trust."""

    server_name: str
    fault: TLSFault | None = None
    version: str = ""
    chain: tuple[CertificateFacts, ...] = ()
    faulty: int | None = None
    """Index in `chain` of the certificate that is at fault, where it is one."""
    error: str = ""
    large_hello: bool = False
    """A hello as large as the runtime's is lost, and a smaller one is answered."""


class HTTPFault(enum.StrEnum):
    """Why no usable HTTP answer came."""

    RESET = "reset"
    TIMED_OUT = "timed out"
    GARBLED = "garbled"
    TOO_LARGE = "too large"
    TLS_EXPECTED = "TLS expected"  # the server wants TLS where plain HTTP was spoken
    REDIRECT_REFUSED = "redirect refused"
    CUT_SHORT = "cut short"  # the stream ended in order before the promised length


@frozen
class HTTPFacts:
    """One request and its answer: status, registry error codes and allow-listed headers, never a body."""

    method: str
    url: str
    """Without user info, query and fragment."""
    status: int = 0
    codes: tuple[str, ...] = ()
    """Registry error codes of the body, as spelled (distribution-spec 1.1, section Error Codes)."""
    names_client_address: bool = False
    """The error text names a client address: a registry's own firewall."""
    headers: dict[str, str] | None = None
    """Allow-listed: (x-)retry-after, (x-)ratelimit-*, docker-ratelimit-source, date, server, content-type, docker-distribution-api-version."""
    html: bool = False
    registry_api: bool = False
    """The registry API header or a registry error body was seen."""
    received: int = 0
    """Body bytes read."""
    fault: HTTPFault | None = None
    says_expired: bool = False
    """The error text says that a token has expired."""


class AuthResult(enum.StrEnum):
    """How the challenge was met."""

    NOT_NEEDED = "not needed"
    TOKEN_GRANTED = "token granted"  # noqa: S105 - a state, not a secret
    NO_CREDENTIALS = "no credentials"  # challenged, and no identity that the walk may use matches
    REFUSED = "refused"  # 401/403 from the realm or after the token
    UNUSABLE_CHALLENGE = "unusable challenge"


@frozen
class AuthFacts:
    """The challenge and what came of it."""

    result: AuthResult
    scheme: str = ""
    realm_host: str = ""
    error: str = ""
    """The challenge's `error` parameter (RFC 6750 section 3), such as insufficient_scope."""
    credentials_source: str = ""
    """Which file and key the credentials came from, never the credentials."""
    credentials_kind: str = ""
    """What they are, where that is known: a token of some service."""
    credentials_expire: datetime | None = None
    """When they end by their own word; None where they say nothing."""


@frozen
class ManifestFacts:
    """The manifest or index that the reference led to."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    unsupported: str = ""
    """Why no runtime can use it, where so (schema 1, unknown type)."""
    tag_listed: bool | None = None
    """Whether the registry's tag list holds the tag; None when it was not or could not be asked."""
    similar_tags: tuple[str, ...] = ()
    repository_answers: bool | None = None
    layers_bytes: int = 0
    """Compressed size of the layers and the config."""


@frozen
class PlatformFacts:
    """The node's platform and those that the image has (`os/architecture[/variant]`)."""

    wanted: str
    available: tuple[str, ...]


class BlobResult(enum.StrEnum):
    """What the first bytes of a blob, or the small config blob as a whole, showed."""

    READABLE = "readable"
    MISSING = "missing"
    REFUSED = "refused"
    CORRUPT = "corrupt"
    STALLED = "stalled"
    UNREADABLE = "unreadable"


@frozen
class BlobFacts:
    """One blob as its host served it."""

    digest: str
    result: BlobResult
    host: str = ""
    redirected: bool = False


class ConfigFault(enum.StrEnum):
    """What is wrong with the runtime's configuration for this host."""

    INVALID = "invalid"
    IGNORED = "ignored"
    BLOCKED = "blocked"
    REJECTED = "rejected"  # by the policy for images, which the runtime applies once it has the manifest


@frozen
class ConfigFacts:
    """One fault in the runtime's registry configuration."""

    fault: ConfigFault
    file: str
    why: str
    mend: str
    line: int | None = None
    decides: bool = True
    """False where the runtime pulls all the same (a parse error that only loses a mirror)."""


@frozen
class StorageFacts:
    """One filesystem that the runtime writes to (statvfs)."""

    path: str
    purpose: str
    total_bytes: int
    free_bytes: int
    total_inodes: int
    free_inodes: int
    read_only: bool
    needed_bytes: int = 0


@frozen
class StageResult:
    """One stage against one target with the facts of that stage.

    `http` accompanies `auth`, `manifest`, `platform` and `blob` facts wherever one answer (or its absence) decided the stage.
    Content that is asked for by digest below the reference's own (a platform's manifest, the config, a layer) is Stage.BLOB.
    """

    stage: Stage
    target: str
    """What was asked: a host, an address, a nameserver, a file or a path."""
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""
    """One line for people; redacted."""
    endpoint: int | None = None
    """Index of the endpoint in the plan's order; None for what is not about one."""
    via: Via | None = None
    identity: Identity = Identity.NONE
    dns: DNSFacts | None = None
    connect: tuple[ConnectAttempt, ...] = ()
    tls: TLSFacts | None = None
    http: HTTPFacts | None = None
    auth: AuthFacts | None = None
    manifest: ManifestFacts | None = None
    platform: PlatformFacts | None = None
    blob: BlobFacts | None = None
    config: ConfigFacts | None = None
    storage: StorageFacts | None = None
    access: CredentialFacts | None = None
    stale_trust: bool = False
    """The target, a trust store, was changed after the runtime had loaded it."""

    def line(self) -> TraceLine:
        """Return the form that a finding shows."""
        return TraceLine(self.stage, self.target, self.outcome, round(self.seconds, 3), self.detail, self.identity)


@frozen
class Trace:
    """The stage results of one walk, in the order in which they were made."""

    results: tuple[StageResult, ...] = ()
    seconds: float = 0.0
    requests: int = 0
    """HTTP requests sent, to whomever."""
    complete: bool = True
    """False where the overall deadline cut the walk short."""
    clock_skew_seconds: float | None = None
    """Node clock minus the servers' Date headers, seconds; None where no Date was seen."""
