"""What kind of text this is: about a pull, about something else, and whether anything failed at all."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.diagnose.classify.opening import Opened
from pullwhy.diagnose.classify.request import is_on_a_registry

# Other failures that speak of images, registries or their hosts.
_SOMETHING_ELSE: Final = re.compile(
    r"[Ff]ailed to push|[Ee]rror pushing|pushing image|\bpush(?:ed)? (?:failed|denied)|denied[^\n]{0,40}\bpush\b"  # the other way
    r"|(?:[Rr]eadiness|[Ll]iveness|[Ss]tartup) probe|[Cc]ontainer \S{1,253} failed \w{4,9} probe"
    r"|MountVolume|UnmountVolume|AttachVolume|[Uu]nable to (?:attach or )?mount volumes|csi driver"
    r"|Back-off restarting failed|failed calling webhook|[Ff]ailed to garbage collect|error(?:s)? in image deletion|unable to delete"
    r"|http: TLS handshake error from|http\.request\.(?:id|method|uri)=|response completed with error"  # a server's own log
    r"|[Hh]elm (?:chart|repo|pull)|chart repository|charts?/index\.yaml|git (?:pull|clone)|pull request"
    r"|failed to create containerd container|CreateContainer in sandbox"  # of an image that was pulled
    r"|[Ff]ailed to ensure (?:node )?lease|failed to list \*v1|reflector\.go"
)
_OTHER_REASONS: Final = frozenset(
    {
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "CrashLoopBackOff",
        "KillContainerError",
        "PostStartHookError",
    }
)
_OTHER_REASON_TEXT: Final = re.compile(
    r"\b(?:CreateContainer(?:Config)?Error|RunContainerError|CrashLoopBackOff|PostStartHookError)\b"
)
# Whatever else a page of events tells, this is a failed pull.
_PULL_FAILED: Final = re.compile(
    r"ErrImage|ImagePullBackOff|[Ff]ailed to pull (?:and unpack )?image|Back-off pulling image|PullImage from image service failed"
)

# It worked, or goes on.
_WORKED: Final = re.compile(
    r"[Ss]uccessfully pulled|Pulled image|already present on machine|returns image reference|Image is up to date|stop pulling image"
    r"|Downloaded newer image|Pull complete"
)

# A pull in the words of its writers. Where "pull" is a verb, it must be of an image, not of secrets or requests.
_PULL_WORDS: Final = (
    # kubelet and orchestrators
    r"ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName|ImageInspectError|ImagePull\b|Cannot ?[Pp]ull",
    r"Back-off pulling|PullImage|[Pp]re-?pull|[Ii]mage pull|pull image\b|get sandbox image",
    # anybody's prose
    r"[Ff]ail(?:ed|ure|ing) to (?:re-?)?pull(?! secret| request| metric| chart)",
    r"(?:(?<!level=)[Ee]rror|[Uu]nable to|[Cc]ould(?:n't| not)|[Cc]annot|[Tt]r(?:ied|ying) to) pull",
    r"(?:[Nn]ot continuing with|endpoint for|retrying|[Ww]hile|[Dd]uring|[Cc]ancel) pull",
    r"[Pp]ulling (?:from host|image|container image|fs layer|repository|manifest|\S{1,300}:)|pull access|docker pull",
    # containerd
    r"failed to resolve (?:reference|image|ref)\b|failed to (?:authorize|fetch (?:anonymous|oauth) token)|trying next host",
    r"failed to do request: (?:Head|Get)|fetch failed after status|no available registry endpoint|httpReadSee?ker",
    r"failed to copy: (?:failed to send write|read tcp|write /\S{0,1000}/ingest/)|failed commit on ref|failed to extract layer",
    # docker and moby's distribution client
    r"failed to register layer|invalid registry endpoint|unable to ping registry|[Ee]rror from V2 registry|/images/create",
    r"[Dd]ownload(?:ing)? (?:failed after attempts|json|layer)|unexpected HTTP status|error parsing HTTP \d{3} response body",
    r"v[12] ping attempt",
    # containers/image: CRI-O, podman, skopeo
    r"ping(?:ing)? (?:container|docker) registry|[Ii]nitializing source|docker://(?![0-9a-f]{12,64}\b)|adding layer with blob",
    r"(?:reading|writing|fetching) blob|reading manifest|retrieve auth token",
    # kaniko
    r"building image: GET",
)
_PULL: Final = re.compile("|".join(_PULL_WORDS))
_SANDBOX_ONLY: Final = re.compile(r"sandbox image \"[^\"]{1,4096}\" of the container runtime is inconsistent")
# Nothing but the runtime's socket, with at most the name of a tool before it: no other operation is named.
_BARE_SOCKET: Final = re.compile(
    r"(?:[a-z-]{2,20}: |FATA\[\d{4}\] ?|[Ee]rror: ){0,3}(?:rpc error: code = Unavailable desc = )?connection error: desc = \"transport: "
)
# A bare answer of CRI that came to no end: the one call that runs for minutes is PullImage.
_BARE_CRI: Final = re.compile(
    r"rpc error: code = (?:DeadlineExceeded|Canceled) desc = (?i:(?:context )?(?:deadline exceeded|cancell?ed)"
    r"|stream (?:removed|terminated)[^\n]{0,200})\Z"
)
_FAILED: Final = re.compile(
    r"(?i)fail|error|err\b|back-?off|denied|cancel|unable|cannot|can't|could ?n[o']t|refused|timed? ?out|timeout|not found|no such|unauthorized"
    r"|forbidden|invalid|exceeded|errimage|unexpected|unknown|retrying|trying next|reset|not present"
)


def is_something_else(opened: Opened) -> bool:
    """Whether the text tells of another failure, or of a pull that worked."""
    if opened.reason:
        return False
    if opened.other_reason in _OTHER_REASONS:
        return True
    if opened.other_reason == "CreatePodSandboxError" and not opened.sandbox:
        return True
    if _PULL_FAILED.search(opened.whole):
        return False
    others = (_SOMETHING_ELSE, _SANDBOX_ONLY, _OTHER_REASON_TEXT, _WORKED)
    return any(other.search(opened.whole) for other in others)


def is_about_a_pull(opened: Opened) -> bool:
    """Whether the text, by its words or by the request that it names, is about a pull."""
    return bool(
        opened.reason
        or opened.sandbox
        or _PULL.search(opened.whole)
        or is_on_a_registry(opened.error)
        or _BARE_SOCKET.match(opened.whole)
        or _BARE_CRI.match(opened.whole)
    )


def tells_of_failure(opened: Opened) -> bool:
    """Whether anything failed; a pull's beginning and its progress are told in the same words."""
    return bool(opened.reason or _FAILED.search(opened.whole))
