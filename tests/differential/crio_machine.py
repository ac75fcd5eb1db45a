"""A machine with nothing but a skopeo and the files of containers/image, whose every registry is a recorder on its own network."""

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from differential.machine import Certificates, isolated, recording, unseen_image
from pullwhy.image import parse
from pullwhy.runtime.crio.endpoints import CrioHosts, crio_hosts
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import parse_version

from lab.images import Image
from lab.packages import cache_folder
from lab.skopeo import Skopeo

FOLDERS: Final = ("/etc/containers", "/etc/docker", "/etc/crio", "/root/.config")
"""All that the library reads here, and CRI-O's own settings; a tree's files are below them."""
TRUST: Final = "/etc/ssl/certs/ca-certificates.crt"
SECONDS: Final = 30.0
RELEASES: Final = {"1.9": "1.26.0", "1.18": "1.32.0"}
"""Of skopeo, and of a CRI-O with the same library; newer skopeos stand for the newest CRI-O."""


class Machine:
    """A context: a namespace with servers at every place that its files may name."""

    def __init__(self, skopeo: Skopeo, certificates: Certificates) -> None:
        self.skopeo = skopeo
        self.certificates = certificates
        self._closing = contextlib.ExitStack()
        self._number = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            self.namespace = isolated(starting, "crio-files", cache_folder())
            self.recorder = recording(starting, self.namespace, self.certificates)
            self._closing = starting.pop_all()
        self.fs = HostFS(self.namespace.path("/"))
        release = self.skopeo.version
        self.version = parse_version(RELEASES.get(release.rpartition(".")[0], "1.36.3"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def image(self) -> Image:
        """Return an image that was not pulled before."""
        self._number += 1
        return unseen_image(self._number)

    def write_tree(self, files: Mapping[str, str | None], *, trusted: bool) -> None:
        """Make these the only files below FOLDERS: a token of the certificates, other text, None for a directory.

        With *trusted* the system's own trust store has the authority of the servers.
        """
        self.namespace.write(TRUST, self.certificates.authority.pem if trusted else "")
        for folder in FOLDERS:
            shutil.rmtree(self.namespace.path(folder), ignore_errors=True)
        for name, text in files.items():
            if text is None:
                self.namespace.path(name).mkdir(parents=True, exist_ok=True)
            else:
                self.namespace.write(name, self.certificates.tokens.get(text, text.encode()))

    def predicted(self, reference: str) -> CrioHosts:
        """Return what pullwhy makes of the files as they lie there."""
        return crio_hosts(parse(reference), self.version, None, self.fs)

    def copy(self, reference: str) -> str:
        """Let skopeo copy an image to a folder; returns its error, empty where it succeeded."""
        target = Path("/run/copies") / str(self._number)
        # What CRI-O before 1.35 tells the library for an image of a loopback address.
        loose = not self.version.at_least(1, 35) and reference.startswith("localhost")
        flags = ["--src-tls-verify=false"] if loose else []
        words = self.skopeo.command("copy", "--quiet", *flags, f"docker://{reference}", f"dir:{target}")
        self.namespace.path("/run/copies").mkdir(exist_ok=True)
        done = self.namespace.run(words, check=False, seconds=SECONDS)
        return done.stderr.strip() if done.returncode else ""
