"""What is known of CRI-O's and dockerd's view of a registry: its own endpoint and Docker-style certificate directories.

registries.conf (mirrors, blocked hosts, short names) is not read yet, and said to be unknown where there is one.
"""

from __future__ import annotations

import re
from typing import Final

from pullwhy.model import Outcome, Stage
from pullwhy.runtime.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.hosts import (
    DOCKER_HUB,
    DOCKER_HUB_HOST,
    Hosts,
    PullBlocked,
    certificate_files,
    endpoint,
    faulty,
    unseen,
)
from pullwhy.runtime.hostsfile import HostEntry
from pullwhy.runtime.versions import Version
from pullwhy.trace import StageResult

CERTIFICATES: Final = {
    "cri-o": ("/etc/containers/certs.d", "/etc/docker/certs.d"),
    "docker": ("/etc/docker/certs.d",),
}
"""The first that has a directory for the host counts (go.podman.io/image: docker_client.go; dockerd: registry)."""
SETTINGS: Final = {
    "cri-o": ("/etc/containers/registries.conf", "/etc/containers/registries.conf.d"),
    "docker": ("/etc/docker/daemon.json",),
}


AUTH_FILES: Final = ("/run/containers/0/auth.json", "/root/.config/containers/auth.json", "/root/.docker/config.json")
"""Where CRI-O finds credentials of its own, beside its `global_auth_file` (go.podman.io/image: pkg/docker/config)."""
_GLOBAL_AUTH: Final = re.compile(r"^[ \t]*global_auth_file[ \t]*=[ \t]*[\"'][^\"'\s]", re.MULTILINE)


def holds_any_credentials(runtime: str, fs: HostFS) -> bool:
    """Whether CRI-O may pull with credentials of its own; dockerd uses only those of the request."""
    if runtime != "cri-o":
        return False
    settings = ("/etc/crio/crio.conf", *fs.glob("/etc/crio/crio.conf.d/*"))
    return any(_may_exist(path, fs) for path in AUTH_FILES) or any(_names_auth_file(path, fs) for path in settings)


def _may_exist(path: str, fs: HostFS) -> bool:
    try:
        return bool(fs.kind(path))
    except UnreadableFile as error:
        return not error.missing


def _names_auth_file(path: str, fs: HostFS) -> bool:
    """Whether a file sets `global_auth_file`; one that cannot be read may."""
    try:
        return _GLOBAL_AUTH.search(fs.text(path)) is not None
    except UnreadableFile as error:
        return not error.missing


def other_hosts(registry: str, runtime: str, fs: HostFS) -> Hosts:
    """Return the registry's own endpoint with its certificates, and what may change it and is not read."""
    unread = tuple(
        StageResult(
            Stage.CONFIG,
            path,
            Outcome.SKIPPED,
            detail=f"unknown: mirrors and blocked or insecure registries that {runtime} takes from this file are not read",
        )
        for path in SETTINGS.get(runtime, ())
        if _exists(path, fs)
    )
    authority = DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
    entry = HostEntry(scheme="https", authority=authority, path="/v2")
    directory = next(
        (f"{root}/{authority}" for root in CERTIFICATES.get(runtime, ()) if _exists(f"{root}/{authority}", fs)), ""
    )
    try:
        if directory:
            found = certificate_files(directory, fs)
            entry = HostEntry("https", authority, "/v2", ca=found.ca, client=found.client)
        return Hosts((endpoint(entry, registry, directory, Version(), fs),), unread, directory)
    except PullBlocked as blocked:
        return Hosts((), (*unread, faulty(blocked.facts)), directory)
    except UnreadableFile as error:
        plain = endpoint(HostEntry(scheme="https", authority=authority, path="/v2"), registry, "", Version(), fs)
        return Hosts((plain,), (*unread, unseen(error, "the certificates of this registry")))


def _exists(path: str, fs: HostFS) -> bool:
    try:
        return bool(fs.kind(path))
    except UnreadableFile:
        return False
