"""The core faults: how each is really made, and the cause that follows from how it was made."""

from collections.abc import Callable
from dataclasses import dataclass, field

from e2e.servers import Servers

from lab import images
from lab.faults import blob_redirect
from lab.kubelet.pods import Credential
from lab.node import Node
from lab.registry import PASSWORD, USER


@dataclass(frozen=True, slots=True)
class PodSpec:
    """What the pod of a fault asks for."""

    image: str
    pull_policy: str = "IfNotPresent"
    credentials: tuple[Credential, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. *make* prepares servers and node and returns the pod that will fail."""

    name: str
    make: Callable[[Servers, Node], PodSpec]
    cause: str
    stage: str
    via: str | None = None
    confidence: str = "Proved"
    factors: tuple[str, ...] = ()
    own_node: bool = field(default=False)
    """Whether it breaks the node for every other pull."""


def missing_tag(servers: Servers, node: Node) -> PodSpec:
    """A typo in the tag."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:lattest")


def assumed_latest(servers: Servers, node: Node) -> PodSpec:
    """No tag given, and the repository has no `latest`."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web", "Always")


def missing_digest(servers: Servers, node: Node) -> PodSpec:
    """A digest that was never pushed."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web@sha256:{'0' * 64}")


def missing_repository(servers: Servers, node: Node) -> PodSpec:
    """A repository that was never pushed."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/wbe:1.0")


def wrong_platform(servers: Servers, node: Node) -> PodSpec:
    """An index without the node's platform."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/arm-only:1.0")


def missing_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image and a pod without a secret."""
    registry = servers.private
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(f"{registry.host}/shop/secret:1.0")


def rejected_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image and a pod whose secret has the wrong password."""
    registry = servers.private
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(
        f"{registry.host}/shop/secret:1.1", credentials=(Credential(registry.host, USER, f"not-{PASSWORD}"),)
    )


def untrusted_certificate(servers: Servers, node: Node) -> PodSpec:
    """A registry whose own CA this node does not have."""
    del node
    return PodSpec(f"{servers.untrusted.host}/shop/web:1.0")


def expired_certificate(servers: Servers, node: Node) -> PodSpec:
    """A certificate that ended, from a CA that the node trusts."""
    registry = servers.flawed["expired"]
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def wrong_name_certificate(servers: Servers, node: Node) -> PodSpec:
    """A certificate for another name."""
    registry = servers.flawed["wrong-name"]
    node.trust(registry.place, registry.authority.pem)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def plain_http(servers: Servers, node: Node) -> PodSpec:
    """A registry without TLS that the node was not told about."""
    del node
    return PodSpec(f"{servers.untold.host}/shop/web:1.0")


def unknown_name(servers: Servers, node: Node) -> PodSpec:
    """A registry name that does not exist."""
    del node
    servers.lab.dns.fault("nowhere.lab.test", "nxdomain")
    return PodSpec("nowhere.lab.test/shop/web:1.0")


def broken_name_server(servers: Servers, node: Node) -> PodSpec:
    """A zone that every nameserver fails to serve."""
    del node
    servers.lab.dns.fault("servfail.lab.test", "servfail")
    return PodSpec("servfail.lab.test/shop/web:1.0")


def refused_connection(servers: Servers, node: Node) -> PodSpec:
    """A host on which nothing listens."""
    del node
    return PodSpec(f"{servers.closed.authority}/shop/web:1.0")


def blocked_connection(servers: Servers, node: Node) -> PodSpec:
    """A firewall on this node alone that swallows what the registry answers."""
    registry = servers.walled
    node.trust(registry.place, registry.authority.pem)
    node.block(registry.place.addresses[0], registry.place.port)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def unreachable_network(servers: Servers, node: Node) -> PodSpec:
    """A route that says unreachable, on this node alone."""
    node.faults.route(servers.unrouted.addresses[0], "unreachable")
    return PodSpec(f"{servers.unrouted.authority}/shop/web:1.0")


def invalid_reference(servers: Servers, node: Node) -> PodSpec:
    """An upper-case letter in the repository."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/Web:1.0")


def never_pulled(servers: Servers, node: Node) -> PodSpec:
    """Policy Never, and the image is not on the node."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:1.0", "Never")


def unreadable_ca(servers: Servers, node: Node) -> PodSpec:
    """A hosts.toml that names a CA file which is not there."""
    place = servers.closed_for("config.lab.test")
    node.hosts_toml(place, f'server = "https://{place.authority}"\nca = "missing-ca.crt"\n')
    return PodSpec(f"{place.authority}/shop/web:1.0")


def rate_limited(servers: Servers, node: Node) -> PodSpec:
    """A registry that answers 429 and says for how long."""
    return PodSpec(servers.faulty_for(node).set("limited", "manifest-429-retry-after"))


def overloaded(servers: Servers, node: Node) -> PodSpec:
    """A registry that answers 503."""
    return PodSpec(servers.faulty_for(node).set("overloaded", "manifest-503"))


def login_page(servers: Servers, node: Node) -> PodSpec:
    """A portal that answers with a page for people."""
    return PodSpec(servers.faulty_for(node).set("portal", "manifest-login-page"))


def old_schema(servers: Servers, node: Node) -> PodSpec:
    """A manifest of schema 1."""
    return PodSpec(servers.faulty_for(node).set("ancient", "manifest-schema1"))


def missing_layer(servers: Servers, node: Node) -> PodSpec:
    """A manifest whose layer is gone."""
    return PodSpec(servers.faulty_for(node).set("gutted", "layer-404"))


def altered_config(servers: Servers, node: Node) -> PodSpec:
    """A config blob whose bytes are not its digest's."""
    return PodSpec(servers.faulty_for(node).set("altered", "config-corrupt"))


def unknown_blob_host(servers: Servers, node: Node) -> PodSpec:
    """A layer that is redirected to a host which no nameserver knows."""
    servers.lab.dns.fault("blobs.lab.test", "nxdomain")
    redirect = blob_redirect("https://blobs.lab.test{path}")
    return PodSpec(servers.faulty_for(node).set("redirected", redirect))


def registry_away(servers: Servers, node: Node) -> PodSpec:
    """Policy Always, the image is on the node, and nothing listens at its registry."""
    image = f"{servers.closed_for('away.lab.test').authority}/shop/web:1.0"
    node.containerd.load(images.build("on the node already"), image)
    return PodSpec(image, "Always")


CORE = (
    Fault("tag missing", missing_tag, "TagNotFound", "Manifest"),
    Fault("latest assumed", assumed_latest, "TagNotFound", "Manifest", factors=("DefaultedLatestTag",)),
    Fault("digest missing", missing_digest, "DigestNotFound", "Manifest"),
    Fault("repository missing", missing_repository, "RepositoryNotFound", "Manifest"),
    Fault("platform missing", wrong_platform, "PlatformNotAvailable", "Platform"),
    Fault("credentials missing", missing_credentials, "CredentialsMissing", "Auth"),
    # The walk may not use a pod's secret, so the kubelet's text is all there is.
    Fault("credentials rejected", rejected_credentials, "CredentialsRejected", "Auth", confidence="Likely"),
    Fault("CA missing", untrusted_certificate, "CertificateUntrusted", "TLS"),
    Fault("certificate expired", expired_certificate, "CertificateExpired", "TLS"),
    Fault("certificate for another name", wrong_name_certificate, "CertificateNameMismatch", "TLS"),
    Fault("plain HTTP", plain_http, "PlainHTTPRegistry", "TLS"),
    Fault("name unknown", unknown_name, "DNSNameNotFound", "DNS"),
    Fault("nameserver fails", broken_name_server, "DNSServerFailure", "DNS"),
    Fault("connection refused", refused_connection, "ConnectionRefused", "Connect"),
    Fault("connection blocked", blocked_connection, "ConnectionTimedOut", "Connect"),
    Fault("network unreachable", unreachable_network, "NetworkUnreachable", "Connect"),
    Fault("rate limit", rate_limited, "RateLimited", "Manifest"),
    Fault("registry overloaded", overloaded, "RegistryServerError", "Manifest"),
    Fault("login page", login_page, "NotARegistry", "Manifest"),
    Fault("schema 1", old_schema, "ManifestUnsupported", "Manifest"),
    Fault("layer missing", missing_layer, "BlobUnavailable", "Blob"),
    Fault("config altered", altered_config, "ContentCorrupt", "Blob"),
    Fault("blob host unknown", unknown_blob_host, "DNSNameNotFound", "DNS", via="BlobHost"),
    Fault("registry away", registry_away, "ConnectionRefused", "Connect", factors=("PolicyAlwaysImagePresent",)),
    Fault("reference invalid", invalid_reference, "InvalidImageReference", "Reference"),
    Fault("policy Never", never_pulled, "ImageNeverPull", "Kubelet"),
    Fault("CA file missing", unreadable_ca, "RuntimeConfigInvalid", "Config"),
)
