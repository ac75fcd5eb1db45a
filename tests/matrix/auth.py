"""Faults of credentials and of the right to pull."""

from collections.abc import Mapping
from dataclasses import replace

from matrix.fault import FAST, Fault, Home, Make, PodSpec, answered, repository_of
from matrix.servers import Servers

from lab.errors import wait_for
from lab.faults import Repository, Rule, error_body, own_token, token_realm
from lab.kubelet.pods import Credential
from lab.node import Node
from lab.registry import PASSWORD, USER, Registry

KEYED = Home("keyed")
"""A node whose own config.json has the right credentials for the private registries."""
MISKEYED = Home("miskeyed")
"""A node whose own config.json has a wrong password for the private registry."""
PROVIDED = Home("provided", kubelet=replace(FAST, credential_providers=True))
VERIFYING = Home("verifying", kubelet=replace(FAST, version="1.36"))
GONE = "sha256:" + "0" * 64


def private(registry: Registry, node: Node) -> str:
    """Let the node trust a private registry and return its host."""
    node.trust(registry.place, registry.authority.pem)
    if registry.variant == "token":
        node.write(f"/etc/containerd/certs.d/{registry.token_authority}/ca.crt", registry.authority.pem)
    return registry.host


def missing_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image and a pod without a secret."""
    return PodSpec(f"{private(servers.private, node)}/shop/secret:1.0")


def missing_token_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image behind a token service, and a pod without a secret."""
    return PodSpec(f"{private(servers.tokened, node)}/shop/secret:1.0")


def missing_secret(servers: Servers, node: Node) -> PodSpec:
    """A pod that names a secret which does not exist."""
    return PodSpec(f"{private(servers.private, node)}/shop/secret:1.2", missing_secrets=("registry-login",))


def secret_for_another_key(servers: Servers, node: Node) -> PodSpec:
    """A secret under a key that the kubelet does not match with this registry."""
    host = private(servers.private, node)
    return PodSpec(f"{host}/shop/secret:1.3", credentials=(Credential(f"{host}/v2", USER, PASSWORD),))


def rejected_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image and a pod whose secret has the wrong password."""
    host = private(servers.private, node)
    return PodSpec(f"{host}/shop/secret:1.1", credentials=(Credential(host, USER, f"not-{PASSWORD}"),))


def rejected_token_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image behind a token service and a pod whose secret has the wrong password."""
    host = private(servers.tokened, node)
    return PodSpec(f"{host}/shop/secret:1.1", credentials=(Credential(host, USER, f"not-{PASSWORD}"),))


def rejected_node_credentials(servers: Servers, node: Node) -> PodSpec:
    """A private image, and a wrong password in the node's own config.json."""
    host = private(servers.private, node)
    node.kubelet.set_node_credentials({host: (USER, f"not-{PASSWORD}")})
    return PodSpec(f"{host}/shop/secret:1.4")


def shadowed_image(servers: Servers, node: Node) -> PodSpec:
    """A public image behind a token service, and a pod whose secret for it has the wrong password."""
    host = private(servers.tokened, node)
    return PodSpec(f"{host}/shop/open:1.0", credentials=(Credential(host, USER, f"not-{PASSWORD}"),))


def failing_provider(servers: Servers, node: Node) -> PodSpec:
    """A private image for which the kubelet's exec credential provider fails."""
    host = private(servers.private, node)
    node.kubelet.set_credential_provider("lab-credential-provider", [host], "exit 1")
    return PodSpec(f"{host}/shop/secret:1.5")


def unverified_pod(servers: Servers, node: Node) -> PodSpec:
    """Policy Never, an image that another pod's secret brought, and a kubelet that verifies the right to use it."""
    host = private(servers.private, node)
    image = f"{host}/shop/secret:1.6"
    node.kubelet.add_pod("other-tenant", image, credentials=(Credential(host, USER, PASSWORD),))
    wait_for("the other pod's pull", lambda: image in node.containerd.images(), seconds=30, every=0.2)
    return PodSpec(image, "Never")


def keyed(repository: str, registry: str = "private") -> Make:
    """Return how an image of a private registry is asked for that lacks something; config.json holds the right credentials."""

    def make(servers: Servers, node: Node) -> PodSpec:
        both = {"private": servers.private, "tokened": servers.tokened}
        pairs: Mapping[str, tuple[str, str]] = {private(one, node): (USER, PASSWORD) for one in both.values()}
        node.kubelet.set_node_credentials(pairs)
        return PodSpec(f"{both[registry].host}/{repository}")

    return make


def with_secret(repository: str) -> Make:
    """Return how an image of a private registry is asked for that lacks something; the pod's secret is right."""

    def make(servers: Servers, node: Node) -> PodSpec:
        host = private(servers.private, node)
        return PodSpec(f"{host}/{repository}", credentials=(Credential(host, USER, PASSWORD),))

    return make


def from_realm(name: str, host: str, *, fault: str = "") -> Make:
    """Return how an image is asked for whose token service is at *host*, which no name server knows, or nothing listens at."""

    def make(servers: Servers, node: Node) -> PodSpec:
        if fault:
            servers.lab.dns.fault(host, fault)
        else:
            servers.closed_for(host)
        return PodSpec(servers.faulty_for(node).set(repository_of(name), token_realm(f"https://{host}/token")))

    return make


def untrusted_realm(servers: Servers, node: Node) -> PodSpec:
    """An image whose token service has a certificate of a CA that the node does not trust."""
    realm = servers.unknown("realm").host
    name = repository_of("token service untrusted")
    return PodSpec(servers.faulty_for(node).set(name, token_realm(f"https://{realm}/token")))


def own(**answer: object) -> Repository:
    """Return a repository whose token comes from its own registry, which answers so."""
    return own_token("faults.lab.test", **answer)


def named_client() -> Repository:
    """Return a repository that is refused to the client's address, in the words of a cloud registry's firewall."""
    text = error_body(
        "DENIED", "client with IP '10.90.1.1' is not allowed access. Refer to the firewall's rules to grant access."
    )
    return Repository(rules=(Rule("manifest", status=403, body=text),))


MISSING, REJECTED, DENIED = "CredentialsMissing", "CredentialsRejected", "AccessDeniedOrNotFound"
PAGE = "<!DOCTYPE html><html><body>Sign in</body></html>"
FAULTS = (
    Fault("credentials missing", missing_credentials, MISSING, "Auth"),
    Fault("credentials missing for a token", missing_token_credentials, MISSING, "Auth"),
    Fault("pull secret missing", missing_secret, MISSING, "Auth"),
    Fault("pull secret under another key", secret_for_another_key, MISSING, "Auth"),
    answered("basic challenge", "manifest-401-basic", MISSING, "Auth"),
    answered("bare 401", "manifest-401", MISSING, "Auth"),
    answered(
        "token refused with 401",
        own(status=401, body=error_body("UNAUTHORIZED", "authentication required")),
        MISSING,
        "Auth",
    ),
    # The walk may not use a pod's secret, so the kubelet's text is all there is.
    Fault("credentials rejected", rejected_credentials, REJECTED, "Auth", confidence="Likely"),
    Fault("credentials rejected for a token", rejected_token_credentials, REJECTED, "Auth", confidence="Likely"),
    Fault("node's credentials rejected", rejected_node_credentials, REJECTED, "Auth", home=MISKEYED),
    Fault("public image shadowed", shadowed_image, REJECTED, "Auth", factors=("CredentialsShadowPublicImage",)),
    Fault("credential provider fails", failing_provider, "CredentialProviderFailed", "Auth", home=PROVIDED),
    Fault(
        "pod without the right to a present image",
        unverified_pod,
        "CredentialVerificationDenied",
        "Kubelet",
        home=VERIFYING,
    ),
    answered("denied", "manifest-403", DENIED, "Auth"),
    answered("client address denied", named_client(), "SourceDenied", "Auth"),
    answered("policy of the registry", "manifest-412-policy", "BlockedByPolicy", "Manifest"),
    answered("blocked for legal reasons", "manifest-451", "BlockedByPolicy", "Manifest"),
    answered(
        "token service fails",
        own(status=500, body=error_body("UNKNOWN", "")),
        "RegistryServerError",
        "Auth",
        "TokenHost",
    ),
    answered("token service is a page", own(body=PAGE, content_type="text/html"), "NotARegistry", "Auth", "TokenHost"),
    Fault(
        "token service unknown",
        from_realm("nx", "realm-nx.lab.test", fault="nxdomain"),
        "DNSNameNotFound",
        "DNS",
        "TokenHost",
    ),
    Fault(
        "token service refuses connections",
        from_realm("closed", "realm-closed.lab.test"),
        "ConnectionRefused",
        "Connect",
        "TokenHost",
    ),
    Fault("token service untrusted", untrusted_realm, "CertificateUntrusted", "TLS", "TokenHost"),
    Fault("private tag missing", keyed("shop/secret:none"), "TagNotFound", "Manifest", home=KEYED),
    Fault("private digest missing", keyed(f"shop/secret@{GONE}"), "DigestNotFound", "Manifest", home=KEYED),
    Fault("private repository missing", keyed("shop/sceret:1.0"), "RepositoryNotFound", "Manifest", home=KEYED),
    Fault("private platform missing", keyed("shop/arm-only:1.0"), "PlatformNotAvailable", "Platform", home=KEYED),
    Fault("private layer missing", keyed("shop/gutted:1.0"), "BlobUnavailable", "Blob", home=KEYED),
    Fault("tag missing behind a token", keyed("shop/secret:none", "tokened"), "TagNotFound", "Manifest", home=KEYED),
    Fault(
        "repository missing behind a token",
        keyed("shop/sceret:1.0", "tokened"),
        "RepositoryNotFound",
        "Manifest",
        home=KEYED,
    ),
    Fault(
        "platform missing behind a token",
        keyed("shop/arm-only:1.0", "tokened"),
        "PlatformNotAvailable",
        "Platform",
        home=KEYED,
    ),
    Fault("layer missing behind a token", keyed("shop/gutted:1.0", "tokened"), "BlobUnavailable", "Blob", home=KEYED),
    # The walk may not use the pod's secret; the runtime's own next answer is the proof.
    Fault("tag missing with a pull secret", with_secret("shop/secret:gone"), "TagNotFound", "Manifest"),
    Fault("platform missing with a pull secret", with_secret("shop/arm-only:1.0"), "PlatformNotAvailable", "Platform"),
)
