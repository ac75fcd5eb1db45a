"""Classification rules for the way to the registry: proxy, TLS, names, connections. The texts are Go's."""

from __future__ import annotations

from typing import Final

from pullwhy.diagnose.classify.rule import Rule, rule
from pullwhy.model import CauseId as C
from pullwhy.model import Stage

_STATUS_TEXT: Final = (
    "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|Request Timeout|Too Many Requests"
    "|Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|Gateway Timeout"
)
_END: Final = r"(?=\.?(?:[\s\"',;)\]}]|\\n|\Z))"

# Go 1.20 to 1.27: net/http/transport.go, x/net/http/httpproxy
PROXY: Final[tuple[Rule, ...]] = (
    rule(
        "proxy",
        C.PROXY_FAILED,
        likely=r"proxyconnect|Proxy Authentication Required|socks connect|invalid proxy (?:address|URL)",
        stage=Stage.PROXY,
    ),
    rule(
        # The transport gives a refused CONNECT as the bare status text; an answer of the registry has its number.
        "refused CONNECT",
        C.PROXY_FAILED,
        C.REGISTRY_SERVER_ERROR,
        likely=rf"(?:Get|Head|Post) \"?@url\"?: (?:{_STATUS_TEXT}){_END}",
        stage=Stage.PROXY,
    ),
)

# gRPC to the runtime's own socket, and the docker API on its socket
RUNTIME: Final[tuple[Rule, ...]] = (
    rule(
        "image service not there",
        C.RUNTIME_UNAVAILABLE,
        sure=r"CRI v1 image API is not implemented|unknown service runtime\.v1\w{0,10}\.ImageService",
        stage=Stage.RUNTIME,
    ),
    rule(
        # Another pull holds the same content; it ends, or hangs.
        "content locked by another pull",
        C.PULL_STALLED,
        C.TRANSIENT,
        likely=r"ref \S{1,300} locked",
        stage=Stage.BLOB,
    ),
    rule(
        "runtime's socket",
        C.RUNTIME_UNAVAILABLE,
        likely=r"dial(?:ing:?)?(?: dial)? unix|Error while dialing|connect to the Docker daemon|(?:docker|containerd|crio|cri-dockerd)\.sock"
        r"|code = Unavailable desc = (?:connection error|transport|error reading from server|all SubConns)|transport is closing"
        r"|desc = transport error|[Cc]ontainer runtime is (?:down|not running)",
        stage=Stage.RUNTIME,
    ),
)

# Go 1.20 to 1.27: crypto/x509/verify.go, crypto/tls/{alert,handshake_client,conn}.go, net/http
TLS: Final[tuple[Rule, ...]] = (
    rule(
        "certificate not yet valid",
        C.CERTIFICATE_NOT_YET_VALID,
        likely=r"current time \S{1,60} is before",
        stage=Stage.TLS,
    ),
    rule("certificate expired", C.CERTIFICATE_EXPIRED, likely=r"current time \S{1,60} is after", stage=Stage.TLS),
    rule(
        "certificate out of its time",
        C.CERTIFICATE_EXPIRED,
        C.CERTIFICATE_NOT_YET_VALID,
        likely=r"certificate has expired|expired certificate|certificate expired",
        stage=Stage.TLS,
    ),
    rule(
        "certificate's names",
        C.CERTIFICATE_NAME_MISMATCH,
        likely=r"certificate is (?:not )?valid for |doesn't contain any (?:IP )?SANs|relies on legacy Common Name"
        r"|cannot validate certificate for|hostname mismatch",
        stage=Stage.TLS,
    ),
    rule(
        "client certificate",
        C.CLIENT_CERTIFICATE_REQUIRED,
        C.TLS_HANDSHAKE_FAILED,
        likely=r"tls: (?:certificate required|bad certificate|unknown certificate authority)|No required SSL certificate was sent",
        stage=Stage.TLS,
    ),
    rule(
        # What is wrong is in the certificates: no trust of a node cures it.
        "certificate that Go does not take",
        C.TLS_HANDSHAKE_FAILED,
        C.CERTIFICATE_UNTRUSTED,
        likely=r"failed to parse certificate from server|insecure algorithm (?:MD|SHA1|ECDSA-SHA1)|cannot sign this kind of certificate"
        r"|unhandled critical extension|incompatible key usage|not authorized to sign|too many intermediates|-bit keys are insecure",
        stage=Stage.TLS,
    ),
    rule(
        "certificate authority",
        C.CERTIFICATE_UNTRUSTED,
        C.CERTIFICATE_CHAIN_INCOMPLETE,
        likely=r"signed by unknown authority|x509: |self.signed certificate|unable to (?:get|verify)[^\n]{0,30}certificate"
        r"|certificate verify failed|failed to verify certificate|certificate is not trusted",
        stage=Stage.TLS,
    ),
    rule(
        "plain HTTP",
        C.PLAIN_HTTP_REGISTRY,
        likely=r"server gave HTTP response to HTTPS client|sent an HTTP request to an HTTPS server|HTTP request was sent to HTTPS port"
        r"|malformed HTTP response",
        stage=Stage.TLS,
    ),
    rule(
        "handshake never answered",
        C.TLS_HANDSHAKE_TIMED_OUT,
        C.CONNECTION_TIMED_OUT,
        likely=r"TLS handshake timeout",
        stage=Stage.TLS,
    ),
    rule(
        "bytes that are no TLS",
        C.TLS_HANDSHAKE_FAILED,
        C.PLAIN_HTTP_REGISTRY,
        likely=r"first record does not look like a TLS handshake|oversized record received",
        stage=Stage.TLS,
    ),
    rule("handshake", C.TLS_HANDSHAKE_FAILED, likely=r"\btls: |ssl handshake|SSL_ERROR", stage=Stage.TLS),
)

# Go 1.20 to 1.27: net/{dnsclient,dnsclient_unix,net}.go; the C library's words where cgo resolves
DNS: Final[tuple[Rule, ...]] = (
    rule(
        "no such name",
        C.DNS_NAME_NOT_FOUND,
        likely=r"no such host|Name or service not known|nodename nor servname|getaddrinfo ENOTFOUND",
        stage=Stage.DNS,
    ),
    rule(
        "resolver",
        C.DNS_SERVER_FAILURE,
        likely=r"\blookup [^\s:]{1,255}(?::\d{1,5})?(?: on \S{1,100})?: |server misbehaving|name resolution|lame referral"
        r"|[Cc]ould not resolve host|EAI_AGAIN",
        stage=Stage.DNS,
    ),
)

# Go's net.OpError: operation, network, addresses, then the system's own words (Linux and Windows)
CONNECT: Final[tuple[Rule, ...]] = (
    rule(
        "refused",
        C.CONNECTION_REFUSED,
        likely=r"connection refused|actively refused it|ECONNREFUSED",
        stage=Stage.CONNECT,
    ),
    rule(
        "unreachable",
        C.NETWORK_UNREACHABLE,
        C.CONNECTION_TIMED_OUT,
        likely=r"no route to host|(?:network|host) is (?:unreachable|down)|unreachable (?:network|host)|cannot assign requested address"
        r"|dial (?:tcp|udp)\d? [^\n]{0,120}(?:operation not permitted|permission denied|invalid argument)",
        stage=Stage.CONNECT,
    ),
    rule(
        "dialled in vain",
        C.CONNECTION_TIMED_OUT,
        C.DNS_SERVER_FAILURE,
        likely=r"dial (?:tcp|udp)\d?[^\n]{0,120}?: (?:connect: )?(?:i/o timeout|connection timed out|operation timed out|context deadline)"
        r"|did not properly respond after a period of time|connect(?:ion)? (?:attempt )?(?:timed out|time-?out)|ETIMEDOUT",
        stage=Stage.CONNECT,
    ),
    rule(
        "no answer to a request",
        C.CONNECTION_TIMED_OUT,
        C.PULL_STALLED,
        likely=r"Client\.Timeout|while waiting for connection|@url\"?: context deadline exceeded",
        stage=Stage.CONNECT,
    ),
    rule(
        "reset",
        C.CONNECTION_RESET,
        C.CONTENT_CORRUPT,
        likely=r"connection reset|broken pipe|forcibly closed|ECONNRESET|use of closed network connection|server closed idle connection"
        r"|http2: (?:server sent GOAWAY|client connection (?:lost|force closed))|stream error: stream ID|connection was aborted"
        rf"|socket hang up|unexpected EOF|\bEOF{_END}",
    ),
    rule(
        "silence after the connection",
        C.PULL_STALLED,
        C.CONNECTION_TIMED_OUT,
        likely=r"timeout awaiting response headers|(?:read|write) (?:tcp|udp)[^\n]{0,120}: i/o timeout|request canceled|net/http: timeout",
    ),
)

# containerd 1.7 and later: image_pull.go; the kubelet's and dockershim's deadlines; gRPC's own words
STALLED: Final[tuple[Rule, ...]] = (
    rule(
        # CRI-O waits and asks again where a registry says 429, until the kubelet's deadline (go.podman.io/image: docker_client.go)
        "no progress or deadline",
        C.PULL_STALLED,
        C.CONNECTION_TIMED_OUT,
        C.RATE_LIMITED,
        sure=r"[Cc]ancel pulling image",
        likely=r"because of no progress|context canceled|[Dd]eadline ?[Ee]xceeded|operation timeout|[Tt]imed out|[Tt]imeout exceeded"
        r"|i/o timeout|code = Cancell?ed|Stream removed|RST_STREAM",
    ),
)
