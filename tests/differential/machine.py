"""A node with nothing but a containerd, whose every registry is a recorder on its own network."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from differential.names import ADDRESSES, HOSTS_FILE, LOOPBACK
from differential.recorder import Recorder
from pullwhy.runtime.containerd.settings import read_config
from pullwhy.runtime.cri import CRIClient, CRIError
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import parse_version

from lab import images
from lab.certificates import Authority, Pair
from lab.containerd import CONFIG, SOCKET, Containerd, Settings
from lab.errors import wait_for
from lab.images import Blob, Image
from lab.namespace import Namespace
from lab.packages import Components
from lab.services import install_systemctl

ROOTS: Final = ("/etc/containerd/certs.d", "/etc/docker/certs.d")
PULL_SECONDS: Final = 20.0


class Certificates:
    """What servers show and what configurations may name, made once: a token stands for each in a tree's files."""

    def __init__(self) -> None:
        now = dt.datetime.now(dt.UTC)
        names = (*ADDRESSES, LOOPBACK, "127.0.0.1", "::1")
        trusted, other = Authority("trusted", now), Authority("other", now)
        self.authority = trusted
        self.server: Pair = trusted.issue(*names)
        self.untrusted: Pair = other.issue(*names)
        one, two = trusted.client("client one"), trusted.client("client two")
        self.tokens: Mapping[str, bytes] = {
            "@ca": trusted.pem,
            "@other-ca": other.pem,
            "@cert-1": one.chain,
            "@key-1": one.key,
            "@cert-2": two.chain,
            "@key-2": two.key,
            "@both-2": two.chain + two.key,
        }


def isolated(starting: contextlib.ExitStack, name: str, cache: Path) -> Namespace:
    """Start a namespace that has every place's address and knows every place's name, and no other."""
    files = {
        "/etc/hosts": HOSTS_FILE,
        "/etc/nsswitch.conf": "hosts: files\n",
        "/etc/resolv.conf": "nameserver 127.0.0.1\n",
    }
    namespace = Namespace.start(name, shared=[cache], files=files)
    starting.callback(namespace.close)
    commands = ["link set lo up", *(f"addr add {address}/32 dev lo" for address in ADDRESSES.values())]
    namespace.run(["ip", "-batch", "-"], stdin="\n".join(commands) + "\n")
    return namespace


def recording(starting: contextlib.ExitStack, namespace: Namespace, given: Certificates) -> Recorder:
    """Start servers at every place."""
    recorder = Recorder(namespace.pid, given.server, given.untrusted, given.authority.pem)
    starting.callback(recorder.close)
    return recorder


def unseen_image(number: int) -> Image:
    """Return an image that differs from that of every other number."""
    config = Blob(
        images.OCI_CONFIG, b'{"architecture":"%s","os":"linux","n":%d}' % (images.ARCHITECTURE.encode(), number)
    )
    return Image(images.manifest(config, []), (), (config,))


class Machine:
    """A context: a namespace with containerd of one generation, and servers at every place that its files may name."""

    def __init__(self, components: Components, generation: str, settings: Settings, certificates: Certificates) -> None:
        self.certificates = certificates
        self._generation = components.generation(generation)
        self._components = components
        self._settings = settings
        self._closing = contextlib.ExitStack()
        self._number = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            self.namespace = isolated(starting, "differential", self._components.cache)
            install_systemctl(self.namespace)
            self.recorder = recording(starting, self.namespace, self.certificates)
            self.containerd = Containerd(self.namespace, self._components, self._generation, self._settings)
            self.containerd.start()
            self._runner = starting.enter_context(asyncio.Runner())
            self._client = self._runner.run(_connect(str(self.namespace.path(SOCKET))))
            self._serves()
            starting.callback(lambda: self._runner.run(self._client.close()))
            self._closing = starting.pop_all()
        self.fs = HostFS(self.namespace.path("/"))
        self.version = parse_version(self.containerd.version)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def view(self) -> RuntimeView:
        """Return what pullwhy makes of the machine's configuration as it lies there."""
        return RuntimeView(version=self.version, config=read_config(CONFIG, self.version, self.fs), fs=self.fs)

    def write_tree(self, files: Mapping[str, str | None]) -> None:
        """Make these the only files below ROOTS: a token of the certificates, other text, `-> target`, None for a directory."""
        for root in ROOTS:
            _clear(self.namespace.path(root))
        for name, text in files.items():
            path = self.namespace.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.mkdir(exist_ok=True)
            elif text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_bytes(self.certificates.tokens.get(text, text.encode()))

    def image(self) -> Image:
        """Return an image that nobody has seen before, so that nothing of it lies in containerd's store."""
        self._number += 1
        return unseen_image(self._number)

    def restart(self) -> bool:
        """Start containerd anew and tell whether it serves CRI: its plugin may not start while the rest does."""
        self.containerd.restart()
        self._runner.run(self._client.close())
        self._client = self._runner.run(_connect(self._client.socket))
        return self._serves()

    def _serves(self) -> bool:
        """Wait until it takes pulls, or says that it has no such service."""
        answer = wait_for("containerd to answer", self._answer, seconds=30, log=self.containerd.log)
        return answer == "ready"

    def _answer(self) -> str:
        try:
            self._runner.run(self._client.images())
        except CRIError as error:
            return error.code if error.code == "Unimplemented" else ""
        return "ready"

    def pull(self, image: str) -> str:
        """Let containerd pull; returns its error, empty where the pull succeeded."""
        try:
            self._runner.run(self._client.pull(image, PULL_SECONDS))
        except CRIError as error:
            if error.code != "Unavailable":
                return str(error)
            log = self.containerd.service.log(400)
            self.restart()
            return "\n".join([str(error), *(line for line in log.splitlines() if line.startswith("panic: "))])
        return ""


async def _connect(path: str) -> CRIClient:
    return CRIClient(path)


def _clear(path: Path) -> None:
    """Remove what is below a folder of another root: never along a link."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for child in list(path.iterdir()):
        if child.is_dir() and not child.is_symlink():
            _clear(child)
            child.rmdir() if child.exists() else None
        else:
            child.unlink()
