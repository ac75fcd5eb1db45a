"""Faults of credentials and of the right to pull."""

from matrix.fault import Fault, PodSpec
from matrix.servers import Servers

from lab.kubelet.pods import Credential
from lab.node import Node
from lab.registry import PASSWORD, USER


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


FAULTS = (
    Fault("credentials missing", missing_credentials, "CredentialsMissing", "Auth"),
    # The walk may not use a pod's secret, so the kubelet's text is all there is.
    Fault("credentials rejected", rejected_credentials, "CredentialsRejected", "Auth", confidence="Likely"),
)
