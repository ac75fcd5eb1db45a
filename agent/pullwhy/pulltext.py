"""What kubelet and runtime texts name: the image of a pull, as the pod spells it and as the runtime does."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.gotext import LITERAL, unescape

MAX_IMAGE: Final = 4096
"""Characters; image.MAX_LENGTH: longer texts are no reference."""

_PUNCTUATION: Final = ":;,."
"""Ends a reference in prose, never in itself."""

# kubelet 1.24 to 1.36: pkg/kubelet/images/image_manager.go prints the pod's own spelling (with `:latest` where defaulted).
# One literal start for each: then the search looks at no position where none of them can begin.
_POD_SPELLING: Final = re.compile(
    rf"Back-off pulling image {LITERAL}|Failed to apply default image tag {LITERAL}"
    rf"|Container image(?= \"[^\"]{{0,4096}}\" is not present) {LITERAL}|Failed to inspect image {LITERAL}"
    rf"|Failed to pull image {LITERAL}|failed to pull image {LITERAL}"
    r"|image pull failed for (?P<prose>\S{1,4096}+) because"
)
_SANDBOX_SPELLING: Final = re.compile(rf"(?:get sandbox image|failed to pull image|failed pulling image) {LITERAL}")
# containerd 1.6 to 2.3: image_pull.go; CRI-O 1.2x to 1.36: go.podman.io/image transports; cri-dockerd: references in prose.
_RUNTIME_SPELLING: Final = re.compile(
    rf"(?:failed to pull and unpack(?: image)?|failed to (?:parse|resolve) (?:image )?reference|cannot parse input:|[Pp]ull(?:ing)? image"
    rf"|failed to resolve image|PullImage|[Ff]ailed to parse image) {LITERAL}"
    r"|docker://(?![0-9a-f]{12,64}\b)(?P<prose>[^\s\"]{1,4096}+)"
)
_SANDBOX: Final = re.compile(
    r"CreatePodSandboxError|RunPodSandbox|[Cc]reate pod sandbox|CreatePodSandbox|create sandbox for pod|creating pod sandbox"
    r"|get sandbox image"
)
_EXPIRED: Final = re.compile(
    r"\b(?:token|credentials?|password|jwt|session)\b[^.\n]{0,40}\bexpired\b|\bexpired[ _-]?token\b", re.IGNORECASE
)
"""Amazon ECR: "Your authorization token has expired. Reauthenticate and try again."; others say it alike."""


def pod_image(text: str) -> str:
    """Return the image as the kubelet says it, which is the pod's spelling; empty where `text` has none."""
    return _first(_POD_SPELLING, text)


def runtime_image(text: str) -> str:
    """Return the image as the runtime says it, normalised by it; empty where `text` has none."""
    return _first(_RUNTIME_SPELLING, text)


def sandbox_image(text: str) -> str:
    """Return the pause image whose pull failed while a pod sandbox was made; empty where `text` tells of no such pull."""
    if _SANDBOX.search(text) is None:
        return ""
    return _first(_SANDBOX_SPELLING, text) or runtime_image(text)


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    if match is None or match.lastindex is None:
        return ""
    if match.lastgroup == "prose":
        return match["prose"].rstrip(_PUNCTUATION)
    return unescape(match[match.lastindex])[:MAX_IMAGE]


def says_expired(text: str) -> bool:
    """Whether a registry's words say that the token it got has expired."""
    return bool(_EXPIRED.search(text))
