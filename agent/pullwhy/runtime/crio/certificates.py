"""The certificates that CRI-O uses for one host: a directory laid out as Docker lays it out, with the library's own rules.

Source: go.podman.io/image 5.39, docker/docker_client.go (dockerCertDir) and pkg/tlsclientconfig (SetupCertificates).
"""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen
from pullwhy.plan import ClientPair
from pullwhy.runtime.containerd.hosts import blocked, first_directory, read_client
from pullwhy.runtime.host import pem
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault

ROOTS: Final = ("/root/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")
"""The first that has a directory for the host counts, whatever is in it."""


@frozen
class Certificates:
    """What a directory holds."""

    directory: str = ""
    """Empty where there is none."""
    ca: tuple[str, ...] = ()
    client: tuple[ClientPair, ...] = ()
    useless: tuple[ConfigFacts, ...] = ()
    """Files that change nothing, though they should."""


def read_certificates(authority: str, fs: HostFS, roots: tuple[str, ...] = ROOTS) -> Certificates:
    """Return the certificates for `host[:port]` as the image names it (`docker.io` for Docker Hub).

    Raises PullBlocked where the library fails, UnreadableFile where only this process may not read.
    """
    directory = first_directory(roots, (authority,), fs)
    if not directory:
        return Certificates()
    try:
        names = [entry.name for entry in fs.entries(directory)]
    except UnreadableFile as error:
        if error.denied:
            raise
        raise blocked(directory, error.why, "make it a directory") from None
    ca: list[str] = []
    client: list[ClientPair] = []
    useless: list[ConfigFacts] = []
    for name in names:
        path = f"{directory}/{name}"
        if name.endswith(".crt"):
            text = _authority(path, fs)
            ca += [text] if text else []
            useless += [] if text or text is None else [_no_certificate(path)]
        elif name.endswith(".cert"):
            key = f"{name.removesuffix('.cert')}.key"
            if key not in names:
                mend = f"put the key at {directory}/{key}; if it is an authority's certificate, name it *.crt"
                raise blocked(path, "the client certificate has no key beside it", mend)
            client.append(read_client(path, f"{directory}/{key}", fs))
        elif name.endswith(".key") and f"{name.removesuffix('.key')}.cert" not in names:
            mend = f"put the certificate at {path.removesuffix('.key')}.cert, or remove the key"
            raise blocked(path, "the key has no client certificate beside it", mend)
    return Certificates(directory, tuple(ca), tuple(client), tuple(useless))


def _authority(path: str, fs: HostFS) -> str | None:
    """Return the certificates of a file, empty where there is none in it, None for a link to nothing."""
    try:
        text = fs.text(path)
    except UnreadableFile as error:
        if error.missing:
            return None
        if error.denied:
            raise
        raise blocked(path, f"the CA file cannot be read: {error.why}", f"put a certificate at {path}") from None
    return "".join(block.text for block in pem.certificates(text))


def _no_certificate(path: str) -> ConfigFacts:
    why = "the CA file holds no certificate in PEM form, and CRI-O passes over it without a word"
    return ConfigFacts(ConfigFault.INVALID, path, why, "put the CA's certificate there as PEM", decides=False)
