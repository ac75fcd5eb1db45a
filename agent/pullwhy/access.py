"""What this node's kubelet holds for an image: where credentials come from and who may use what is there; never a secret."""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen

API_SOURCE: Final = "Kubernetes API"
"""Source of evidence that the API told: whoever may not see the namespace that it begins with is not shown it."""


@frozen
class Provider:
    """An exec credential provider whose matchImages cover the image."""

    name: str
    fault: str = ""
    """Why the kubelet cannot run its binary; empty where it can."""


@frozen
class Providers:
    """The kubelet's exec credential providers, as its flags and their configuration name them."""

    config: str = ""
    """Path of the configuration; empty where the kubelet was started without one."""
    fault: str = ""
    """Why that file cannot be used."""
    unseen: str = ""
    """Why the file could not be looked at here, where the kubelet can."""
    serving: tuple[Provider, ...] = ()
    """Those that cover the image."""
    patterns: tuple[str, ...] = ()
    """Some matchImages of the others."""
    known: bool = False
    """Whether the kubelet's command line was seen."""


@frozen
class CredentialFacts:
    """What the kubelet's own files offer for one image."""

    sources: tuple[str, ...] = ()
    """File and key of each credential that matches, in the order in which they are tried."""
    near_misses: tuple[str, ...] = ()
    """Keys that look meant for this image and do not match, each with the reason."""
    providers: Providers = Providers()
    pull_secrets: tuple[str, ...] = ()
    """What came of the Secrets that the agent was told to try for this pod, a sentence each."""


@frozen
class PullRecord:
    """How the kubelet recorded an image as pulled (KEP-2535, kubelet 1.33 and later: images/pullmanager)."""

    policy: str
    """imagePullCredentialsVerificationPolicy, as configured or by default."""
    file: str = ""
    """The record of the pull; empty where there is none."""
    secrets: tuple[str, ...] = ()
    """Pull secrets, `namespace/name`, with which the image was pulled under this name."""
    service_accounts: tuple[str, ...] = ()
    """Service accounts, `namespace/name`, of the same."""
    node_accessible: bool = False
    """Pulled without credentials, or with the node's own: every pod may use it."""
    intended: bool = False
    """A pull was begun, and its end not recorded."""
    exempt: bool = False
    """Under the policy NeverVerifyAllowlistedImages: whether the list names the image."""
    fault: str = ""
    """Why the record cannot be read; what it says is not known then."""

    @property
    def verifies(self) -> bool:
        """Whether a pod must show credentials of its own for the image, although it is on the node."""
        if self.fault or self.node_accessible or self.policy == "NeverVerify":
            return False
        if self.policy == "NeverVerifyAllowlistedImages":
            return not self.exempt
        return self.policy == "AlwaysVerify" or bool(self.file) or self.intended
