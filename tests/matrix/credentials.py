"""Faults of what the kubelet holds for an image: node credentials, exec providers, records of pulls."""

import base64
import json
import time
from dataclasses import replace

from matrix.auth import private
from matrix.fault import FAST, OWN, Fault, Home, PodSpec
from matrix.servers import Servers

from lab.errors import wait_for
from lab.kubelet.pods import Credential
from lab.kubelet.providers import BINARIES
from lab.kubelet.records import FOLDER
from lab.node import Node
from lab.registry import PASSWORD, USER

PROVIDED = Home("with-provider", kubelet=replace(FAST, version="1.36", credential_providers=True), private=True)
PROVIDED_1_31 = Home("with-old-provider", kubelet=replace(FAST, credential_providers=True), private=True)
RECORDING = Home("recording", kubelet=replace(FAST, version="1.36"))
NO_IDENTITY = "echo 'no identity: the metadata service answers 403' >&2; exit 1"


def expired_token() -> str:
    """Return a JSON web token that ended an hour ago."""
    parts = ({"alg": "none"}, {"sub": "robot", "exp": int(time.time()) - 3600})
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*texts, "c2lnbmF0dXJl"))


def node_key_too_long(servers: Servers, node: Node) -> PodSpec:
    """The right password in the node's config.json, under a key that ends in /v2 without a slash."""
    host = private(servers.private, node)
    node.kubelet.set_node_credentials({f"https://{host}/v2": (USER, PASSWORD)})
    return PodSpec(f"{host}/shop/secret:1.1")


def node_token_expired(servers: Servers, node: Node) -> PodSpec:
    """A token in the node's config.json that has expired."""
    host = private(servers.private, node)
    node.kubelet.set_node_credentials({host: ("robot", expired_token())})
    return PodSpec(f"{host}/shop/secret:1.0")


def node_credentials_shadow(servers: Servers, node: Node) -> PodSpec:
    """A public image, and a wrong password for its registry in the node's config.json."""
    host = private(servers.tokened, node)
    node.kubelet.set_node_credentials({host: (USER, f"not-{PASSWORD}")})
    return PodSpec(f"{host}/shop/open:1.0")


def provider_fails(servers: Servers, node: Node) -> PodSpec:
    """A provider that covers the private registry and has no identity."""
    host = private(servers.private, node)
    node.kubelet.set_credential_provider("lab-credential-provider", [host], NO_IDENTITY)
    return PodSpec(f"{host}/shop/secret:1.0")


def provider_not_executable(servers: Servers, node: Node) -> PodSpec:
    """A provider whose binary lost its execute bit."""
    host = private(servers.private, node)
    node.kubelet.set_credential_provider("lab-credential-provider", [host], "exit 0", mode=0o644)
    return PodSpec(f"{host}/shop/secret:1.1")


def provider_gone(servers: Servers, node: Node) -> PodSpec:
    """A provider whose binary was removed."""
    spec = provider_fails(servers, node)
    node.path(f"{BINARIES}/lab-credential-provider").unlink()
    return spec


def provider_elsewhere(servers: Servers, node: Node) -> PodSpec:
    """A provider whose matchImages cover another host than the private registry."""
    node.kubelet.set_credential_provider("lab-credential-provider", ["*.cloud.test"], NO_IDENTITY)
    return PodSpec(f"{private(servers.private, node)}/shop/secret:1.0")


def recorded_for_another(tag: str, policy: str, servers: Servers, node: Node) -> PodSpec:
    """Let a pod with a secret bring an image; a pod without one asks for it."""
    host = private(servers.private, node)
    image = f"{host}/shop/secret:{tag}"
    node.kubelet.add_pod(f"tenant-{tag.replace('.', '-')}", image, credentials=(Credential(host, USER, PASSWORD),))
    wait_for(
        f"the record of {image}",
        lambda: image in node.containerd.images() and any(node.path(f"{FOLDER}/pulled").glob("sha256-*")),
        seconds=30,
        every=0.1,
    )
    return PodSpec(image, policy)


def record_denies(servers: Servers, node: Node) -> PodSpec:
    """Policy IfNotPresent, the image is there, and the kubelet recorded that another pod's secret brought it."""
    return recorded_for_another("1.7", "IfNotPresent", servers, node)


def record_denies_under_never(servers: Servers, node: Node) -> PodSpec:
    """The same under the policy Never: the kubelet's text is that of an absent image."""
    return recorded_for_another("1.8", "Never", servers, node)


FAULTS = (
    Fault("node key without its last slash", node_key_too_long, "CredentialsMissing", "Auth", home=OWN),
    Fault("node token expired", node_token_expired, "CredentialsRejected", "Auth", home=OWN),
    Fault(
        "node credentials shadow a public image",
        node_credentials_shadow,
        "CredentialsRejected",
        "Auth",
        factors=("CredentialsShadowPublicImage",),
        home=OWN,
    ),
    Fault("provider without identity", provider_fails, "CredentialProviderFailed", "Auth", home=PROVIDED),
    Fault("old provider without identity", provider_fails, "CredentialProviderFailed", "Auth", home=PROVIDED_1_31),
    Fault("provider not executable", provider_not_executable, "CredentialProviderFailed", "Auth", home=PROVIDED),
    Fault("provider binary gone", provider_gone, "CredentialProviderFailed", "Auth", home=PROVIDED_1_31),
    Fault("provider for other hosts", provider_elsewhere, "CredentialsMissing", "Auth", home=PROVIDED),
    Fault(
        "record names another pod's secret", record_denies, "CredentialVerificationDenied", "Kubelet", home=RECORDING
    ),
    Fault(
        "record denies under the policy Never",
        record_denies_under_never,
        "CredentialVerificationDenied",
        "Kubelet",
        home=RECORDING,
    ),
)
