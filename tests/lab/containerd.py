"""A node's containerd: a real one of the wanted generation, at the default paths, with its log in the node's journal."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import images, toml
from lab.errors import LabError
from lab.namespace import Namespace
from lab.packages import Components, version
from lab.services import Service

CONFIG = "/etc/containerd/config.toml"
CERTS = "/etc/containerd/certs.d"
ROOT = "/var/lib/containerd"
SOCKET = "/run/containerd/containerd.sock"
SANDBOX_IMAGE = "pause.lab.test/pause:3.9"
UNUSED = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
    "io.containerd.nri.v1.nri",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What a caller may set of containerd's configuration; *extra* is merged over the whole file."""

    config_path: str | None = CERTS
    sandbox_image: str = SANDBOX_IMAGE
    use_local_image_pull: bool = False
    snapshotter: str = "overlayfs"
    progress_timeout: str | None = None
    registry: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """More of the registry table: mirrors, configs with auth or tls, headers."""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def config(generation: str, settings: Settings) -> dict[str, Any]:
    """Return the configuration file for a generation: version 2 for 1.x, version 3 for 2.x."""
    registry = dict(settings.registry)
    if settings.config_path is not None:
        registry["config_path"] = settings.config_path
    pulling: dict[str, Any] = {"snapshotter": settings.snapshotter, "registry": registry}
    if settings.progress_timeout is not None:
        pulling["image_pull_progress_timeout"] = settings.progress_timeout
    runc = {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/sbin/runc"}}
    running: dict[str, Any] = {
        "containerd": {"default_runtime_name": "runc", "runtimes": {"runc": runc}},
        # A sandbox asks for -998, which a machine without CAP_SYS_RESOURCE refuses.
        "restrict_oom_score_adj": True,
    }
    if generation.startswith("1."):
        number = 2
        snapshotter = pulling.pop("snapshotter")
        running["containerd"]["snapshotter"] = snapshotter
        plugins = {"io.containerd.grpc.v1.cri": {"sandbox_image": settings.sandbox_image, **pulling, **running}}
    else:
        number = 3
        pulling["pinned_images"] = {"sandbox": settings.sandbox_image}
        pulling["use_local_image_pull"] = settings.use_local_image_pull
        plugins = {"io.containerd.cri.v1.images": pulling, "io.containerd.cri.v1.runtime": running}
    base = {
        "version": number,
        "root": ROOT,
        "state": "/run/containerd",
        "disabled_plugins": list(UNUSED),
        "grpc": {"address": SOCKET},
        "plugins": plugins,
    }
    return toml.merge(base, settings.extra)


class Containerd:
    """The containerd of one node."""

    def __init__(self, namespace: Namespace, components: Components, generation: str, settings: Settings) -> None:
        self._namespace = namespace
        self._components = components
        self.generation = generation
        self.settings = settings
        binary = components.containerd[generation]
        self.version = version(binary)
        for name, target in self._programs(binary).items():
            link = namespace.path(name)
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        self.configure(settings)
        argv = ["/usr/bin/containerd", "--config", CONFIG]
        self.service = Service.define(namespace, "containerd", argv, notifies=True)

    def configure(self, settings: Settings) -> None:
        """Write the configuration file; it counts from the next start on."""
        self.settings = settings
        self._namespace.write(CONFIG, toml.dumps(config(self.generation, settings)))

    def start(self) -> None:
        """Start it and wait until it serves CRI; raises LabError with its last log lines."""
        self.service.start()

    def stop(self) -> None:
        """Stop it; sandboxes go on living."""
        self.service.stop()

    def restart(self) -> None:
        """Stop and start it."""
        self.service.restart()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.service.kill()

    def set_proxy(self, **variables: str) -> None:
        """Restart it with proxy variables from a drop-in: HTTPS_PROXY="http://…", NO_PROXY="…"; none takes them away."""
        self.service.set_environment(variables, "http-proxy.conf")
        self.restart()

    def load(self, image: images.Image, reference: str) -> None:
        """Put *image* into the store under *reference*, without a registry; raises LabError."""
        path = "/run/lab/load.tar"
        self._namespace.write(path, image.tar(reference))
        self.ctr("images", "import", path)
        self._namespace.path(path).unlink()

    def hold(self, image: images.Image, reference: str) -> None:
        """Put *image* into the store as a pull does that ended before it unpacked; raises LabError."""
        path = "/run/lab/hold.tar"
        self._namespace.write(path, image.tar(reference))
        self.ctr("images", "import", "--no-unpack", path)
        self._namespace.path(path).unlink()

    def load_pause(self) -> None:
        """Put the sandbox image, whose only program sleeps, into the store."""
        files = {"pause": self._components.pause.read_bytes()}
        self.load(images.single(files), self.settings.sandbox_image)

    def ctr(self, *words: str) -> str:
        """Run containerd's own client in the namespace of Kubernetes; raises LabError."""
        return self._namespace.run(["ctr", "--namespace", "k8s.io", *words]).stdout

    def images(self) -> set[str]:
        """Return the names of the images that are in the store."""
        return set(self.ctr("images", "list", "--quiet").split())

    def limit_disk(self, *, size: str | None = None, inodes: int | None = None) -> None:
        """Let the file system of its root have at most *size* ("6m") or *inodes*; None is no limit."""
        options = f"remount,size={size or '2g'},nr_inodes={inodes or 0}"
        self._namespace.run(["mount", "-o", options, ROOT])

    def read_only(self, part: str = "content") -> None:
        """Make a part of its root, "content" or "snapshots", read-only, as a broken disk is remounted.

        Only a bind mount can be remounted so: containerd has its databases open.
        """
        folder = self._part(part)
        self._namespace.run(["mount", "--bind", folder, folder])
        self._namespace.run(["mount", "-o", "remount,bind,ro", folder])

    def writable(self, part: str = "content") -> None:
        """Undo read_only."""
        self._namespace.run(["umount", self._part(part)])

    def _part(self, part: str) -> str:
        parts = {"content": "content.v1.content", "snapshots": f"snapshotter.v1.{self.settings.snapshotter}"}
        if part not in parts:
            raise LabError(f"no part {part!r}: {', '.join(parts)}")
        return f"{ROOT}/io.containerd.{parts[part]}"

    def log(self) -> str:
        """Return the last lines of its log."""
        return self.service.log()

    def _programs(self, binary: Path) -> dict[str, Path]:
        ctr = binary.with_name("ctr")
        if not ctr.exists():
            others = [path.with_name("ctr") for path in self._components.containerd.values()]
            found = [
                path for path in [*others, *self._components.cache.glob("containerd-*/usr/bin/ctr")] if path.exists()
            ]
            if not found:
                raise LabError(f"no ctr beside {binary}, which the lab loads images with")
            ctr = found[-1]
        return {
            "/usr/bin/containerd": binary,
            "/usr/bin/containerd-shim-runc-v2": binary.with_name("containerd-shim-runc-v2"),
            "/usr/bin/ctr": ctr,
            "/usr/sbin/runc": self._components.runc,
        }
