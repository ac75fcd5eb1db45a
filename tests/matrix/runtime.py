"""Faults of the runtime itself, of the sandbox image, and pulls that do not come to an end."""

from collections.abc import Mapping
from dataclasses import replace

from matrix.fault import FAST, OWN, Fault, Home, Make, PodSpec, answered, nothing, repository_of
from matrix.servers import Servers
from matrix.tls import authority

from lab.containerd import Settings
from lab.faults import Repository, Rule, error_body
from lab.node import Node

HUNG = Home("hung", watch={"hang_seconds": 3})
PATIENT = Home("patient", kubelet=replace(FAST, scale=0.5))
"""A node whose kubelet tries again after five seconds: what passes by is seen before it has passed."""
TIMED = Home("timed", settings=Settings(progress_timeout="3s"))
TIMING_OUT = ("1.7", "2.1-local")
"""Where a pull without progress is given up: 1.6 knows no timeout, and 2.1's transfer service was not seen to keep to it."""
VERIFIERS = "/opt/containerd/image-verifier/bin"


def failing_pod(name: str) -> Make:
    """Return a pod whose image fails for another reason, on a node whose runtime is about to go down."""

    def make(servers: Servers, node: Node) -> PodSpec:
        return PodSpec(servers.faulty_for(node).set(repository_of(name), "manifest-503"))

    return make


def stop_runtime(servers: Servers, node: Node) -> None:
    """Stop the runtime; the image itself is good from now on."""
    servers.faulty.set(repository_of("stopped"), "ok")
    node.containerd.stop()


def kill_runtime(servers: Servers, node: Node) -> None:
    """Kill the runtime, and keep it from starting again by a configuration that it cannot read."""
    servers.faulty.set(repository_of("killed"), "ok")
    node.write("/etc/containerd/config.toml", "version = 3\n[plugins\n")
    node.containerd.kill()


def good_configuration(servers: Servers, node: Node) -> Mapping[str, str]:
    """Let the administrator mend what the runtime's log tells of."""
    del servers
    node.containerd.configure(node.containerd.settings)
    return {}


def rejecting_verifier(servers: Servers, node: Node) -> PodSpec:
    """An image verifier of the node that accepts no image."""
    node.write(f"{VERIFIERS}/sign", "#!/bin/sh\necho 'no signature that the policy accepts'\nexit 1\n", 0o755)
    return PodSpec(servers.faulty_for(node).set(repository_of("unsigned"), "ok"))


def sandbox(host: str) -> Home:
    """Return a fresh node whose sandbox image lies at *host*."""
    return Home("sandbox", settings=Settings(sandbox_image=f"{host}/pause:3.9"), preload_sandbox=False, private=True)


def pod_of_any_image(servers: Servers, node: Node) -> PodSpec:
    """A pod of a good image, whose sandbox is what fails."""
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:1.0")


def away(host: str) -> Make:
    """Return a pod of a good image, where nothing listens at the sandbox image's registry."""

    def make(servers: Servers, node: Node) -> PodSpec:
        servers.closed_for(host)
        return pod_of_any_image(servers, node)

    return make


def sandbox_tag_missing(servers: Servers, node: Node) -> PodSpec:
    """A sandbox image whose tag the registry does not have."""
    host = servers.listed("pause-tag")
    host.set("pause", "manifest-404")
    node.trust(host.place, servers.lab.authority.pem)
    return pod_of_any_image(servers, node)


def sandbox_untrusted(servers: Servers, node: Node) -> PodSpec:
    """A sandbox image at a registry whose CA the node does not trust."""
    assert servers.pausing.place.host == "pause-ca.lab.test"
    return pod_of_any_image(servers, node)


def once(status: int) -> Repository:
    """Return a repository whose registry fails at the first question only."""
    return Repository(rules=(Rule("manifest", status=status, body=error_body("DENIED", "try again"), times=1),))


STALLED, VIA, DOWN = "PullStalled", "SandboxImage", "RuntimeUnavailable"
FAULTS = (
    Fault("runtime stopped", failing_pod("stopped"), DOWN, "Runtime", home=OWN, then=stop_runtime, mend=nothing),
    Fault(
        "runtime killed and not startable",
        failing_pod("killed"),
        DOWN,
        "Runtime",
        home=OWN,
        then=kill_runtime,
        mend=good_configuration,
    ),
    Fault("image verifier rejects", rejecting_verifier, "SignatureRejected", "Runtime", home=OWN, generations=("2.1",)),
    Fault(
        "sandbox image's registry away",
        away("pause-away.lab.test"),
        "ConnectionRefused",
        "Connect",
        VIA,
        home=sandbox("pause-away.lab.test"),
    ),
    Fault(
        "sandbox image's tag missing",
        sandbox_tag_missing,
        "TagNotFound",
        "Manifest",
        VIA,
        home=sandbox("pause-tag.lab.test"),
    ),
    Fault(
        "sandbox image's CA missing",
        sandbox_untrusted,
        "CertificateUntrusted",
        "TLS",
        VIA,
        home=sandbox("pause-ca.lab.test"),
        mend=authority,
    ),
    answered("manifest never answered", "manifest-hang", STALLED, "Manifest", home=HUNG),
    answered("config never answered", Repository(rules=(Rule("config", "hang"),)), STALLED, "Blob", home=HUNG),
    answered("layer never answered", "layer-hang", STALLED, "Blob", home=HUNG),
    answered("layer stalls", "layer-stall", STALLED, "Blob", home=HUNG),
    answered(
        "layer stalls beyond the progress timeout",
        "layer-stall",
        STALLED,
        "Blob",
        home=TIMED,
        generations=TIMING_OUT,
    ),
    answered("answer that passes by", once(403), "Transient", "Auth", home=PATIENT),
)
