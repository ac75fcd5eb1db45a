"""Pages, part two: causes between this node and the registry, in the order of the pull path."""

from __future__ import annotations

from pullwhy.diagnose.catalogue.page import BLOB, DIGEST, IMAGE, MANIFEST, Page, copied, head, pulled, resolved
from pullwhy.model import CauseId

_TLS = "tls: failed to verify certificate: x509: "
_CA = "/etc/containerd/certs.d/registry.example/ca.crt"
_MIRROR = "https://mirror.example/v2/shop/web/manifests/1.4?ns=registry.example"

PAGES: dict[CauseId, Page] = {
    CauseId.RUNTIME_CONFIG_INVALID: Page(
        about="The runtime's own configuration for this registry cannot be used: a hosts.toml with an error, a CA file that is not there, a short name "
        "that CRI-O cannot complete. Some errors fail every pull, others silently lose a mirror or a CA, and the pull goes to the default host.",
        texts=(
            resolved(f'unable to read CA cert "{_CA}": open {_CA}: no such file or directory'),
            (
                'Failed to pull image "web:1.4": rpc error: code = Unknown desc = short-name "web:1.4" did not resolve to an alias and no '
                "unqualified-search registries are defined"
            ),
        ),
        proof="The file, read by the runtime's own rules, with the line that is wrong; or the runtime's log, which says that it could not read it.",
        avoid="Do not loosen registries.conf for a short name: write the whole name in the workload. certs.d needs no restart of containerd.",
    ),
    CauseId.RUNTIME_CONFIG_IGNORED: Page(
        about="There is configuration, and the runtime does not read it: a directory outside config_path, several roots where the transfer service "
        "(containerd 2.1 and later) takes one, a directory without the port, a hosts.toml that hides the *.crt beside it. Nothing is logged.",
        texts=(head(f"{_TLS}certificate signed by unknown authority"),),
        proof="The walk fails with the configuration that is in effect, and the file that would change that lies where the runtime does not look.",
        avoid="Do not copy the CA to ever more places: the finding names why this one is passed over.",
    ),
    CauseId.MIRROR_FAILED: Page(
        about="The runtime asks a mirror before the registry. It failed, and the runtime reports its answer instead of the registry's, or had nothing else.",
        texts=(
            resolved(f"unexpected status from HEAD request to {_MIRROR}: 503 Service Unavailable"),
            head("dial tcp 192.0.2.20:443: connect: connection refused", _MIRROR),
        ),
        proof="Every host of the runtime's order is walked, each with its own answer; the runtime's log tells which it tried.",
        avoid="Do not trust the last error alone: it is of one host out of several.",
    ),
    CauseId.PROXY_FAILED: Page(
        about="The runtime's process has a proxy in its environment, and the way through it fails: its name, its port, a refusal (403, 407), an error "
        "(5xx), or a NO_PROXY that does not match.",
        texts=(
            head("proxyconnect tcp: dial tcp 192.0.2.30:3128: connect: connection refused"),
            head("Proxy Authentication Required"),
        ),
        proof="The proxy is asked as the runtime would ask it, with the environment of the runtime's own process.",
        avoid="Do not set the variables in a shell or a pod: the runtime reads its own environment, once, when it starts.",
    ),
    CauseId.DNS_NAME_NOT_FOUND: Page(
        about="The first decisive answer that the node's resolver gets is that the name does not exist, or has no address: a typing error, a private "
        "zone that this node cannot see, one nameserver of several that denies it.",
        texts=(head("dial tcp: lookup registry.example on 192.0.2.53:53: no such host"),),
        proof="Each nameserver is asked on its own; where they disagree, the one that decides is named.",
        avoid="Do not ask from inside a pod: that is the cluster's DNS, and the runtime uses the node's.",
    ),
    CauseId.DNS_SERVER_FAILURE: Page(
        about="No nameserver gives a usable answer: SERVFAIL, REFUSED, silence, a closed port.",
        texts=(
            head("dial tcp: lookup registry.example on 192.0.2.53:53: server misbehaving"),
            head(
                "dial tcp: lookup registry.example on 192.0.2.53:53: read udp 192.0.2.7:40001->192.0.2.53:53: i/o timeout"
            ),
        ),
        proof="Each nameserver is asked on its own, with its answer or its silence.",
        avoid="Do not restart CoreDNS, unless the node's resolv.conf lists it. Nothing on the node needs a restart.",
    ),
    CauseId.CONNECTION_REFUSED: Page(
        about="The address answers that nothing listens on that port: the service is down, the port is wrong, or a firewall rejects.",
        texts=(head("dial tcp 192.0.2.10:443: connect: connection refused"),),
        proof="A connect to each address of the host, refused.",
        avoid="An echo reply says nothing about this port.",
    ),
    CauseId.CONNECTION_TIMED_OUT: Page(
        about="Packets to that address and port get no answer: a firewall or security group drops them, in one direction or both.",
        texts=(head("dial tcp 192.0.2.10:443: i/o timeout"),),
        proof="A connect to each address of the host, without an answer. A full connection tracking table of the node is told as a factor.",
        avoid="Do not judge by echo requests: they are often filtered where the port is open, and let through where it is not.",
    ),
    CauseId.NETWORK_UNREACHABLE: Page(
        about="The node has no way to the address: no route, a route that rejects, a rule that forbids, or only IPv6 addresses and no IPv6.",
        texts=(
            head("dial tcp 192.0.2.10:443: connect: no route to host"),
            head("dial tcp [2001:db8::10]:443: connect: network is unreachable"),
        ),
        proof="The kernel's answer to a connect, for each address. Exhausted local ports are told as a factor.",
        avoid="Where another address of the host is reached, an unreachable IPv6 address is only a factor: do not take the name's addresses away for it.",
    ),
    CauseId.CONNECTION_RESET: Page(
        about="The connection is accepted and then cut: by a middlebox that filters, by a load balancer without a backend, by the server.",
        texts=(head("read tcp 192.0.2.7:40001->192.0.2.10:443: read: connection reset by peer"), head("EOF")),
        proof="The walk is cut in the same way, and says after how many bytes.",
        avoid="Do not change trust: the certificate was never in question.",
    ),
    CauseId.CERTIFICATE_UNTRUSTED: Page(
        about="The server's certificate leads to an authority that the runtime on this node does not trust: a company's own CA, a proxy that opens TLS, "
        "a self-signed certificate.",
        texts=(head(f"{_TLS}certificate signed by unknown authority"),),
        proof="A handshake under the runtime's effective trust fails, and the chain that was sent is shown.",
        avoid="Never skip verification: whoever is in between then gets the credentials. containerd 1.x to 2.1 does not look into /etc/docker/certs.d "
        "unless it is told to. certs.d needs no restart; the system's trust store does.",
    ),
    CauseId.CERTIFICATE_CHAIN_INCOMPLETE: Page(
        about="The server sends its own certificate without the intermediate that leads to a trusted root. Browsers fetch it by themselves, runtimes do not.",
        texts=(head(f"{_TLS}certificate signed by unknown authority"),),
        proof="The issuer of the last certificate sent is neither sent nor trusted.",
        avoid="Do not put the intermediate into every node's trust store: the server's chain is one file.",
    ),
    CauseId.CERTIFICATE_EXPIRED: Page(
        about="A certificate of the chain is past its end.",
        texts=(
            head(
                f"{_TLS}certificate has expired or is not yet valid: current time 2026-11-22T10:00:00Z is after 2026-11-17T00:00:00Z"
            ),
        ),
        proof="The certificate's dates against the node's clock and the server's Date header.",
        avoid="No CA needs to be added: the authority is not in question.",
    ),
    CauseId.CERTIFICATE_NOT_YET_VALID: Page(
        about="A certificate of the chain is valid only later. More often the node's clock is behind.",
        texts=(
            head(
                f"{_TLS}certificate has expired or is not yet valid: current time 2026-11-22T10:00:00Z is before 2026-12-12T00:00:00Z"
            ),
        ),
        proof="The certificate's dates against the node's clock and the server's Date header; a clock that is off is told as a factor.",
        avoid="Do not have the certificate issued again before the clock is compared.",
    ),
    CauseId.CERTIFICATE_NAME_MISMATCH: Page(
        about="The certificate is for other names: a wrong virtual host, an address in place of a name, a certificate that has a common name only.",
        texts=(head(f"{_TLS}certificate is valid for shop.example, www.shop.example, not registry.example"),),
        proof="The names of the certificate that was sent.",
        avoid="Never skip verification. A name in the hosts file only moves the fault.",
    ),
    CauseId.CLIENT_CERTIFICATE_REQUIRED: Page(
        about="The server wants a certificate from the client, and the runtime has none for this host, or a pair that does not fit.",
        texts=(head("remote error: tls: certificate required"), head("remote error: tls: bad certificate")),
        proof="The server asks for one in the handshake, and ends it without.",
        avoid="Pull secrets do not help: the handshake comes before them.",
    ),
    CauseId.TLS_HANDSHAKE_FAILED: Page(
        about="Both sides do not agree on a version or a cipher, or something that is not TLS answers.",
        texts=(
            head("remote error: tls: protocol version not supported"),
            head("tls: first record does not look like a TLS handshake"),
        ),
        proof="A handshake that offers what the runtime offers fails in the same way.",
        avoid="Do not lower the runtime's versions: mend the server.",
    ),
    CauseId.TLS_HANDSHAKE_TIMED_OUT: Page(
        about="The connection stands, and the first message of TLS is never answered: a middlebox, or a path that loses large packets.",
        texts=(head("net/http: TLS handshake timeout"),),
        proof="A connect that succeeds and a hello that is not answered.",
        avoid="It is not an egress rule for the port: the connection was made.",
    ),
    CauseId.PLAIN_HTTP_REGISTRY: Page(
        about="One side speaks HTTP and the other HTTPS. Runtimes speak HTTPS to every host but their own node's, unless told otherwise.",
        texts=(head("http: server gave HTTP response to HTTPS client"),),
        proof="What the server answers to a TLS hello, or to a plain request.",
        avoid="Do not begin with a flag that makes all registries insecure: declare the scheme of this host, or give it TLS.",
    ),
    CauseId.REGISTRY_SERVER_ERROR: Page(
        about="The registry, its token service or its blob host answers with an error of its own.",
        texts=(
            resolved(f"unexpected status from HEAD request to {MANIFEST}: 503 Service Unavailable"),
            copied(f"httpReadSeeker: failed open: unexpected status code {BLOB}: 502 Bad Gateway"),
        ),
        proof="The same status in the walk.",
        avoid="Nothing on the node needs a change: the kubelet tries again by itself.",
    ),
    CauseId.BLOB_UNAVAILABLE: Page(
        about="The manifest is there, and a layer or the config that it names is not: a push that was not completed, a garbage collection that went too "
        "far, a mirror that has only half.",
        texts=(
            pulled(
                f"failed to copy: httpReadSeeker: failed open: could not fetch content descriptor {DIGEST} "
                "(application/vnd.oci.image.layer.v1.tar+gzip) from remote: not found",
                "NotFound",
            ),
        ),
        proof="The manifest is read, and the blob is asked for: its first byte, or as a whole where it is small.",
        avoid="Do not look for the tag: it is there.",
    ),
    CauseId.CONTENT_CORRUPT: Page(
        about="What comes is not what its digest or size promises: a cache, proxy or mirror alters or cuts content, or the registry's storage is damaged.",
        texts=(
            pulled(
                f'failed commit on ref "layer-{DIGEST}": unexpected commit digest sha256:{"0" * 64}, expected {DIGEST}: failed precondition',
                "FailedPrecondition",
            ),
        ),
        proof="Small content is read and hashed, the size of large content is compared, for each host.",
        avoid="Do not delete the runtime's store: what is there is verified, what comes is wrong.",
    ),
    CauseId.PULL_STALLED: Page(
        about="The request is taken and data stops: the path MTU, a proxy that hangs, a server that does. A pull that hangs logs nothing: pullwhy sees "
        "that the runtime began it, did not end it, and writes nothing to its store. The runtime's progress timeout ends it as `context canceled`.",
        texts=(
            f'Failed to pull image "{IMAGE}": rpc error: code = Canceled desc = failed to pull and unpack image "{IMAGE}": context canceled',
            f"cancel pulling image {IMAGE} because of no progress in 5m0s",
        ),
        proof="The walk stalls too: at the manifest, or at the first byte of a layer. Where it does not, that is told as the factor RuntimeDiffers. With "
        "SerialPullsBlocked every other pull of the node waits behind this one; the finding counts the pods.",
        avoid="Do not restart the runtime at once: pulls in flight fail, and the path stays as it is.",
    ),
}
