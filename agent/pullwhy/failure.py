"""What a log tells of a failed pull; apart from the model, because a scan needs no more of it and begins in less time."""

from __future__ import annotations

import enum
from datetime import datetime

from pullwhy.frozen import frozen


class Reason(enum.StrEnum):
    """The kubelet's own word for a failure (kubelet 1.24 to 1.36: images/types.go, cri-api/pkg/errors)."""

    ERR_IMAGE_PULL = "ErrImagePull"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    INVALID_IMAGE_NAME = "InvalidImageName"
    IMAGE_INSPECT_ERROR = "ImageInspectError"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    SIGNATURE_VALIDATION_FAILED = "SignatureValidationFailed"
    IMAGE_VOLUME_MOUNT_FAILED = "ImageVolumeMountFailed"
    CREATE_POD_SANDBOX_ERROR = "CreatePodSandboxError"
    PULL_HANGS = "PullHangs"  # ours: the runtime began a pull and neither ended it nor made progress


@frozen
class PodRef:
    """A pod as the kubelet names it. A static pod's uid is the hash of its manifest."""

    namespace: str
    name: str
    uid: str = ""

    @property
    def key(self) -> str:
        """What tells this pod from others: its uid, or namespace and name where a line gave none."""
        return self.uid or f"{self.namespace}/{self.name}"


class HintKind(enum.StrEnum):
    """What a kubelet line says about the credentials of a pull."""

    CREDENTIAL_PROVIDER_FAILED = "CredentialProviderFailed"
    PULL_SECRET_UNAVAILABLE = "PullSecretUnavailable"  # noqa: S105 - a name, not a secret
    PULL_RECORDS_UNREADABLE = "PullRecordsUnreadable"  # the kubelet pulls anew, to be safe (1.33 and later)


@frozen
class KubeletHint:
    """Context that explains a later failure: credentials that could not be had, or not be looked up."""

    when: datetime
    unit: str
    kind: HintKind
    message: str
    """Redacted."""
    pod: PodRef | None = None
    image: str = ""
    """Of an exec provider: the image's name without tag and digest, where the kubelet tells it."""
    provider: str = ""
    """The exec provider's name, where the kubelet tells it."""
    secret: str = ""
    """`namespace/name` of the pull secret, where told."""


@frozen
class PullFailure:
    """One failure line, recognised. It is a hypothesis until CRI confirms pod and image: a registry's answer can forge a line."""

    when: datetime
    unit: str
    reason: Reason
    message: str
    """The innermost text: unquoted, redacted, without the kubelet's wrapping."""
    pod: PodRef | None = None
    container: str = ""
    image: str = ""
    """As the pod names it, with the kubelet's defaulted `:latest`; empty where the line does not tell."""
    credentials_sent: bool | None = None
    """Whether any credential matched, where the kubelet's lines tell: it writes `Failed to pull image` only when none did
    (kubelet 1.24 to 1.36: kuberuntime_image.go)."""
    hints: tuple[KubeletHint, ...] = ()
    """What the kubelet said about this pull's credentials before it failed."""
    tries: int = 0
    """Pulls with credentials that were logged just before this failure: one for each credential that matches. 0 where none was seen."""
    told_as: str = ""
    """The kubelet's reason when it told `message`, where a back-off repeats what failed before; empty: `reason`."""
    from_file: bool = False
    """Whether the line stood in a log file, and not in a journal."""
