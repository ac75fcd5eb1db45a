"""Remedies on the node itself: the runtime's disks, its service, its own store and the sandbox image."""

from __future__ import annotations

from pullwhy.diagnose.remedies.prescription import (
    SOURCE_FIRST,
    Builder,
    Command,
    Remedy,
    Values,
    check,
    image,
    is_crio,
    joined,
    load_archive,
    quote,
    reload,
    restart_note,
    runtime_unit,
)


def _free_space(values: Values) -> Remedy:
    path = values.shell("path", "path", "/var/lib/containerd")
    text = joined(
        f"Free space on {values.text('path', 'the filesystem of the runtime')}, or make it larger where the node's disks are defined.",
        "See what fills it: logs, volumes of pods, or images. The kubelet collects unused images above imageGCHighThresholdPercent and stops",
        "at imageGCLowThresholdPercent; lower both if images fill the disk between collections. Do not delete in the runtime's own",
        "directories: its database would no longer match. If inodes are exhausted, many small files are the reason.",
        check(values),
    )
    commands = (
        Command(f"df --human-readable {path}", "node"),
        Command(f"df --inodes {path}", "node"),
        Command(
            "du --one-file-system --max-depth=2 --human-readable /var | sort --human-numeric-sort | tail -n 20",
            "node",
            ("root",),
        ),
    )
    return Remedy("free-space", text, commands)


def _mend_mount(values: Values) -> Remedy:
    path = values.shell("path", "path", "/var/lib/containerd")
    text = joined(
        f"{values.text('path', 'A filesystem of the runtime')} is mounted read-only. The kernel remounts a filesystem so after an error of the",
        "disk: read its log, and check or replace the disk before mounting it again for writing. If it was mounted so on purpose, mend",
        "the mount where the node's configuration comes from. Drain the node while the disk is in doubt.",
        check(values),
    )
    commands = (
        Command(f"findmnt --target {path}", "node"),
        Command("dmesg --level=err,warn | tail -n 50", "node", ("root",)),
        Command(
            f'mount --options remount,rw "$(findmnt --noheadings --output target --target {path})"',
            "node",
            ("root", "the disk was checked, or replaced"),
        ),
    )
    return Remedy("mend-mount", text, commands)


def _remove_damaged_image(values: Values) -> Remedy:
    text = joined(
        "Content of this one image in the runtime's store is damaged while the registry's is whole, often after a loss of power. Drain the",
        "node and have the runtime itself remove this image, so that the next pull fetches it anew; all names of the same image go with it.",
        "Leave the rest of the store alone. If several images are hit, replace the node and check its disk.",
    )
    commands = (
        Command(
            "kubectl drain NODE --ignore-daemonsets", "workstation", ("NODE: this node's name", "the right to drain")
        ),
        Command(f"crictl rmi {image(values)}", "node", ("root", "the node is drained")),
        Command("kubectl uncordon NODE", "workstation", ("NODE: this node's name",)),
    )
    return Remedy("remove-damaged-image", text, commands)


def _restore_runtime(values: Values) -> Remedy:
    unit = runtime_unit(values)
    text = joined(
        "The container runtime does not answer on its socket: see why its unit is down or hangs, and mend that. An error in its configuration",
        "keeps it from starting; containerd starts without its CRI plugin then, as for certs.d together with the old mirrors settings. The",
        "image is not at fault. Start it again once its log says why it stopped.",
    )
    commands = (
        Command(f"systemctl status {quote(unit)}", "node"),
        Command(f"journalctl --unit {quote(unit)} --since=-30min", "node", ("root",)),
        Command(f"systemctl start {quote(unit)}", "node", ("root", "what its log tells is mended")),
        Command("crictl version", "node", ("root",)),
    )
    return Remedy("restore-runtime", text, commands)


def _provide_sandbox_image(values: Values) -> Remedy:
    if is_crio(values):
        return _provide_pause_image(values)
    if values.text("version").removeprefix("v").startswith("2"):
        setting = "pinned_images.sandbox of the plugin io.containerd.cri.v1.images"
    else:
        setting = "sandbox_image of the plugin io.containerd.grpc.v1.cri"
    text = joined(
        f"No new pod starts on this node until the sandbox image {values.text('image')} is there. It is named by the runtime ({setting}), not by",
        "the pod: name one that this node can pull, serve that registry through a mirror, or put the image on the node with the node image,",
        "pinned so that garbage collection spares it. The kubelet's credentials are not used for it.",
        SOURCE_FIRST,
        restart_note(values),
        check(values),
    )
    preload = load_archive(values, "the sandbox image")
    return Remedy("provide-sandbox-image", text, (preload,), restart_required=True, durable=False)


def _provide_pause_image(values: Values) -> Remedy:
    text = joined(
        f"No new pod starts on this node until the sandbox image {values.text('image')} is there. CRI-O names it (pause_image), not the pod: name",
        "one that this node can pull, serve that registry through a mirror, or put the image on the node with the node image; CRI-O keeps",
        "garbage collection from it. Its credentials are those of pause_image_auth_file, not the kubelet's. A reload of CRI-O is enough.",
        SOURCE_FIRST,
        check(values),
    )
    lines = f"""'[crio.image]' {quote('pause_image = "PAUSE_IMAGE"')}"""
    name = Command(
        f"printf '%s\\n' {lines} > /etc/crio/crio.conf.d/99-pause-image.conf",
        "node",
        ("root", "PAUSE_IMAGE: an image that this node can pull, with its registry"),
    )
    return Remedy("provide-sandbox-image", text, (name, reload(values)), durable=False)


BUILDERS: dict[str, Builder] = {
    "free-space": _free_space,
    "mend-mount": _mend_mount,
    "remove-damaged-image": _remove_damaged_image,
    "restore-runtime": _restore_runtime,
    "provide-sandbox-image": _provide_sandbox_image,
}
