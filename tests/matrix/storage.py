"""Faults of the node's disks and of the runtime's own store."""

from collections.abc import Mapping

from matrix.fault import OWN, Fault, Make, PodSpec, answered, nothing, repository_of
from matrix.servers import Servers

from lab import faultimages
from lab.errors import LabError
from lab.node import Node

CONTENT = "/var/lib/containerd/io.containerd.content.v1.content"


def full_disk(servers: Servers, node: Node) -> PodSpec:
    """A disk with less room than the image's layers need."""
    image = servers.faulty_for(node).set(repository_of("full"), "layer-big")
    used = int(node.run(["df", "--output=used", "--block-size=1K", "/var/lib/containerd"]).stdout.split()[-1])
    node.containerd.limit_disk(size=f"{used + 512}k")
    return PodSpec(image)


def no_room_to_unpack(servers: Servers, node: Node) -> PodSpec:
    """A disk with room for the layers as they come and not for what is unpacked from them."""
    image = servers.faulty_for(node).set(repository_of("unpack"), "layer-big")
    used = int(node.run(["df", "--output=used", "--block-size=1K", "/var/lib/containerd"]).stdout.split()[-1])
    node.containerd.limit_disk(size=f"{used + (faultimages.BIG_LAYER_BYTES * 3 // 2 >> 10)}k")
    return PodSpec(image)


def failing_first(name: str) -> Make:
    """Return a pod whose sandbox is made and whose image fails for another reason, before the disk is spoilt: a sandbox needs it too."""

    def make(servers: Servers, node: Node) -> PodSpec:
        return PodSpec(servers.faulty_for(node).set(repository_of(name), "manifest-503"))

    return make


def nearly_full_disk(servers: Servers, node: Node) -> PodSpec:
    """A disk with three percent left, which nobody needs: the registry lacks the tag."""
    node.run(["sh", "-c", "head --bytes=64M /dev/zero > /var/lib/containerd/filler"])
    used = int(node.run(["df", "--output=used", "--block-size=1K", "/var/lib/containerd"]).stdout.split()[-1])
    node.containerd.limit_disk(size=f"{used * 100 // 97}k")
    return PodSpec(f"{servers.plain_for(node).host}/shop/web:none")


def no_inodes(servers: Servers, node: Node) -> None:
    """Let the disk have room and no inodes."""
    used = int(node.run(["df", "--output=iused", "/var/lib/containerd"]).stdout.split()[-1])
    node.containerd.limit_disk(inodes=used + 1)
    servers.faulty.set(repository_of("inodes"), "ok")


def read_only_snapshots(servers: Servers, node: Node) -> None:
    """Remount the snapshots read-only."""
    node.containerd.read_only("snapshots")
    servers.faulty.set(repository_of("snapshots"), "ok")


def read_only_content(servers: Servers, node: Node) -> PodSpec:
    """The content store on a file system that was remounted read-only."""
    image = servers.faulty_for(node).set(repository_of("content"), "ok")
    node.containerd.read_only("content")
    return PodSpec(image)


def emptied_layer(servers: Servers, node: Node) -> PodSpec:
    """A layer whose file in the content store is empty, as after a loss of power; the registry's is whole."""
    repository = repository_of("emptied")
    image = servers.faulty_for(node).set(repository, "ok")
    whole = faultimages.make("plain", repository)
    node.containerd.hold(whole, image)
    blob = node.path(f"{CONTENT}/blobs/{whole.blobs[-1].digest.replace(':', '/')}")
    if not blob.exists():
        raise LabError(f"containerd holds no layer at {blob}")
    blob.chmod(0o600)
    blob.write_bytes(b"")
    return PodSpec(image, "Always")


def lost_layer(servers: Servers, node: Node) -> PodSpec:
    """A layer whose file in the content store is gone while the store's database still lists it; the registry's is whole."""
    repository = repository_of("lost")
    image = servers.faulty_for(node).set(repository, "ok")
    whole = faultimages.make("plain", repository)
    node.containerd.hold(whole, image)
    node.path(f"{CONTENT}/blobs/{whole.blobs[-1].digest.replace(':', '/')}").unlink()
    return PodSpec(image, "Always")


def room(servers: Servers, node: Node) -> Mapping[str, str]:
    """Let the administrator free space, as the remedy asks; by which means is not its business."""
    del servers
    node.containerd.limit_disk()
    return {}


UNPACK = "UnpackFailed"
FAULTS = (
    Fault("disk full", full_disk, "DiskFull", "Storage", home=OWN, mend=room),
    Fault("disk full while unpacking", no_room_to_unpack, "DiskFull", "Storage", home=OWN, mend=room),
    Fault("disk nearly full", nearly_full_disk, "TagNotFound", "Manifest", home=OWN, factors=("DiskNearlyFull",)),
    Fault("inodes used up", failing_first("inodes"), "DiskFull", "Storage", home=OWN, then=no_inodes, mend=room),
    Fault("content store read-only", read_only_content, "ReadOnlyFilesystem", "Storage", home=OWN, mend=nothing),
    Fault(
        "snapshots read-only",
        failing_first("snapshots"),
        "ReadOnlyFilesystem",
        "Storage",
        home=OWN,
        then=read_only_snapshots,
        mend=nothing,
    ),
    Fault("layer in the store empty", emptied_layer, "LocalStoreCorrupt", "Unpack", mend=nothing),
    Fault("layer in the store lost", lost_layer, "LocalStoreCorrupt", "Unpack", mend=nothing),
    answered("layer that is no gzip", "layer-not-gzip", UNPACK, "Unpack"),
    answered("layer that is no tar", "layer-broken-tar", UNPACK, "Unpack"),
    answered("layer of another diff id", "layer-wrong-diff", "ContentCorrupt", "Unpack"),
)
