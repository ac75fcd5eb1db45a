"""The system's trust store as a Go program on the host loads it (Go 1.27: crypto/x509/root_unix.go, root_linux.go)."""

from __future__ import annotations

import contextlib
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.runtime.host import pem
from pullwhy.runtime.host.hostfs import Entry, HostFS, UnreadableFile

FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
DIRECTORIES: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs")

MAX_FILE_BYTES: Final = 4 << 20
MAX_TOTAL_BYTES: Final = 8 << 20
"""Of PEM text, all files together; the usual store has 0.25 MiB."""


@frozen
class TrustStore:
    """The certificates, each once, and where they came from."""

    pem: str
    files: tuple[str, ...]
    newest: float = 0.0
    """When the youngest of the files was changed, seconds since the epoch."""


def read_trust(fs: HostFS, file_override: str = "", directory_override: str = "") -> TrustStore:
    """Return the store that a process with these SSL_CERT_FILE and SSL_CERT_DIR loads; what cannot be read is left out.

    The first bundle that can be read counts, then every file of the directories.
    """
    found: dict[str, str] = {}
    used: list[str] = []
    newest = 0.0
    budget = MAX_TOTAL_BYTES
    directories = directory_override.split(":") if directory_override else DIRECTORIES
    for path in _candidates(fs, (file_override,) if file_override else FILES, directories):
        try:
            text = fs.text(path, MAX_FILE_BYTES)
            fresh = {block.body: block.text for block in pem.certificates(text) if block.body not in found}
            changed = fs.mtime(path) if fresh else 0.0
        except UnreadableFile:
            continue
        budget -= sum(map(len, fresh.values()))
        if budget < 0:
            break
        if fresh:
            found |= fresh
            used.append(path)
            newest = max(newest, changed)
    return TrustStore("".join(found.values()), tuple(used), newest)


def trust_digests(fs: HostFS, file_override: str = "", directory_override: str = "") -> frozenset[bytes]:
    """Return a digest of each certificate that `read_trust` finds, without the memory that the store itself takes."""
    found: set[bytes] = set()
    directories = directory_override.split(":") if directory_override else DIRECTORIES
    for path in _candidates(fs, (file_override,) if file_override else FILES, directories):
        with contextlib.suppress(UnreadableFile):
            found.update(pem.digests(fs.lines(path, MAX_FILE_BYTES)))
    return frozenset(found)


def _candidates(fs: HostFS, bundles: tuple[str, ...], directories: tuple[str, ...] | list[str]) -> list[str]:
    first = next((path for path in bundles if _is_file(fs, path)), "")
    paths = [first] if first else []
    for directory in directories:
        # Links within the directory are further names of files that are read anyway (Go: readUniqueDirectoryEntries).
        entries = [entry for entry in _entries(fs, directory) if not entry.is_dir]
        paths += [f"{directory}/{entry.name}" for entry in entries if not entry.target or "/" in entry.target]
    return paths


def _entries(fs: HostFS, directory: str) -> tuple[Entry, ...]:
    try:
        return fs.entries(directory)
    except UnreadableFile:
        return ()


def _is_file(fs: HostFS, path: str) -> bool:
    try:
        return fs.kind(path) == "file"
    except UnreadableFile:
        return False
