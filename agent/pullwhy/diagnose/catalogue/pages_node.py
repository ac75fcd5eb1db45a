"""Pages, part three: causes on this node itself, and the two that say that there is none to name."""

from __future__ import annotations

from pullwhy.diagnose.catalogue.page import DIGEST, IMAGE, Page, pulled
from pullwhy.model import CauseId

_PAUSE = "registry.example/pause:3.9"
_LAYER = f"failed to extract layer {DIGEST}"

PAGES: dict[CauseId, Page] = {
    CauseId.DISK_FULL: Page(
        about="A filesystem that the runtime writes to has no bytes or no inodes left.",
        texts=(
            pulled(
                f"{_LAYER}: write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/42/fs/usr/lib/x: no space left on device"
            ),
        ),
        proof="statvfs of the image filesystem and of the content store, bytes and inodes, against what the image needs.",
        avoid="Never delete in the runtime's directories: its database would no longer match.",
    ),
    CauseId.READ_ONLY_FILESYSTEM: Page(
        about="A filesystem that the runtime writes to is mounted read-only, often by the kernel after an error of the disk.",
        texts=(
            pulled(
                f"{_LAYER}: mkdir /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/new-1: read-only file system"
            ),
        ),
        proof="The mount's flags.",
        avoid="Do not mount it for writing again before the kernel's log is read.",
    ),
    CauseId.UNPACK_FAILED: Page(
        about="The layer came whole, and cannot be unpacked: a broken archive, an owner that this node cannot give, an attribute that the filesystem "
        "does not take, the snapshotter.",
        texts=(
            pulled(
                f"{_LAYER}: mount callback failed on /var/lib/containerd/tmpmounts/containerd-mount123: archive/tar: invalid tar header: unknown"
            ),
            pulled(
                f"{_LAYER}: failed to Lchown /usr/bin/sudo for UID 70000, GID 70000: lchown /usr/bin/sudo: invalid argument (Hint: try increasing the number of subordinate IDs)"
            ),
        ),
        proof="The runtime fails at the same layer again, and its disks are fine.",
        avoid="Do not clear the node: another one with the same snapshotter fails alike.",
    ),
    CauseId.LOCAL_STORE_CORRUPT: Page(
        about="Content of this image in the runtime's own store is missing or damaged, often after a loss of power, and the runtime takes it for whole.",
        texts=(
            pulled(
                f"{_LAYER}: failed to get reader from content store: content digest {DIGEST}: not found: blob not found"
            ),
        ),
        proof="The runtime's text, and the registry's own content, which is read without a fault.",
        avoid="Never delete the whole store, nor by hand: have the runtime remove this image, on a drained node.",
    ),
    CauseId.RUNTIME_UNAVAILABLE: Page(
        about="The container runtime does not answer on its socket: its unit is down, hangs, or its configuration keeps CRI from starting.",
        texts=(
            (
                f'Failed to pull image "{IMAGE}": rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
                'dial unix /run/containerd/containerd.sock: connect: connection refused"'
            ),
        ),
        proof="CRI Version, which nobody answers.",
        avoid="It is not the image: every pull of the node fails. Read the unit's log before a restart.",
    ),
    CauseId.SANDBOX_IMAGE_UNAVAILABLE: Page(
        about="The sandbox (pause) image is not on the node and cannot be pulled, for a reason that is not known further. No new pod starts on the node: "
        "all of them are in one finding. Where the reason is known, that cause is told, via SandboxImage.",
        texts=(
            (
                f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "{_PAUSE}": failed to pull image "{_PAUSE}": '
                f'failed to pull and unpack image "{_PAUSE}": something went wrong'
            ),
        ),
        proof="The walk of the sandbox image that the runtime's own configuration names.",
        avoid="Do not edit the pods: the runtime names this image. The kubelet's credentials are not used for it.",
    ),
    CauseId.SIGNATURE_REJECTED: Page(
        about="A policy on this node (policy.json of CRI-O, an image verifier of containerd) does not accept the image's signature, or its absence.",
        texts=(
            f'Failed to pull image "{IMAGE}": SignatureValidationFailed: Source image rejected: A signature was required, but no signature exists',
            pulled(
                "image verifier cosign blocked pull of registry.example/shop/web:1.4 for reason: no matching signatures"
            ),
        ),
        proof="The runtime's typed refusal, and the policy's own file where it can be read.",
        avoid="Do not switch verification off.",
    ),
    CauseId.TRANSIENT: Page(
        about="It failed, and the runtime itself has pulled the image since.",
        proof="The runtime's own success, seen in its log, over CRI, or by a container that was made. A walk that passes is not enough.",
        avoid="Do not change anything for one occurrence: look at when and where it comes again.",
    ),
    CauseId.UNDETERMINED: Page(
        about="What was seen names no cause: a back-off line without its error, a text that is not known, a walk that passes while the runtime goes on failing.",
        texts=(f'Back-off pulling image "{IMAGE}"',),
        proof="Nothing is claimed. The finding says what was tried and what is missing.",
        avoid="Do not guess: the remedy says what to look at next.",
    ),
}
