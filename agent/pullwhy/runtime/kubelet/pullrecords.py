"""The kubelet's records of the images that it pulled: with whose credentials, and so who may use them.

Source: kubelet 1.33 to 1.36, images/pullmanager/{fs_pullrecords,image_pull_manager,image_pull_policies}.go. Hashes of credentials
stand in them too; they are not read.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from pullwhy.access import PullRecord
from pullwhy.image import ImageReference
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.kubelet.settings import Kubelet

DEFAULT_POLICY: Final = "NeverVerifyPreloadedImages"
MAX_NAMES: Final = 20
"""Secrets and service accounts that are told of one record."""
_API: Final = ("kubelet.config.k8s.io/v1alpha1", "kubelet.config.k8s.io/v1beta1", "kubelet.config.k8s.io/v1")
"""A tuple, because a file may hold anything in the place of a version, also what has no hash."""


def pull_record(
    image: ImageReference, spelled: str, ids: tuple[str, ...], kubelet: Kubelet, fs: HostFS
) -> PullRecord | None:
    """Return the record of an image that is on the node; None where this kubelet keeps none.

    `spelled` is the image as the pod names it, `ids` what CRI calls it (its id first).
    """
    directory = f"{kubelet.root.rstrip('/')}/image_manager"
    policy = kubelet.verification_policy or DEFAULT_POLICY
    try:
        if kubelet.verifies is False or fs.kind(directory) != "dir":
            return None
        exempt = any(_listed(image.name, pattern) for pattern in kubelet.verification_allowlist)
        for reference in ids:
            path = f"{directory}/pulled/{_file_name(reference)}"
            if fs.kind(path) == "file":
                return _read(fs, path, image, reference, PullRecord(policy, exempt=exempt))
        intended = any(
            fs.kind(f"{directory}/pulling/{_file_name(name)}") == "file" for name in {spelled, f"{spelled}:latest"}
        )
    except UnreadableFile as error:
        return PullRecord(policy, fault=f"{error.path}: {error.why}")
    return PullRecord(policy, intended=intended, exempt=exempt)


def _file_name(name: str) -> str:
    return f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"


def _listed(name: str, pattern: str) -> bool:
    """Whether a name is on the list: whole, or below a path that ends in `/*` (image_pull_policies.go)."""
    return name.startswith(pattern[:-1]) if pattern.endswith("/*") else name == pattern


def _read(fs: HostFS, path: str, image: ImageReference, reference: str, base: PullRecord) -> PullRecord:
    try:
        document = json.loads(fs.read(path))
    except (ValueError, RecursionError):
        return PullRecord(base.policy, path, fault=f"{path}: it is no JSON")
    if not isinstance(document, dict) or document.get("kind") != "ImagePulledRecord":
        return PullRecord(base.policy, path, fault=f"{path}: it is no ImagePulledRecord")
    if document.get("apiVersion") not in _API:
        return PullRecord(base.policy, path, fault=f"{path}: a version of ImagePulledRecord that is not known")
    if document.get("imageRef") != reference:
        return base  # the kubelet passes over it
    mapping = document.get("credentialMapping")
    own = mapping.get(image.name) if isinstance(mapping, dict) else None
    own = own if isinstance(own, dict) else {}
    return PullRecord(
        base.policy,
        path,
        _names(own.get("kubernetesSecrets")),
        _names(own.get("kubernetesServiceAccounts")),
        own.get("nodePodsAccessible") is True,
        exempt=base.exempt,
    )


def _names(entries: Any) -> tuple[str, ...]:
    found = []
    for entry in entries[:MAX_NAMES] if isinstance(entries, list) else ():
        parts = (entry.get("namespace"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if all(isinstance(part, str) and len(part) <= 253 for part in parts):  # noqa: PLR2004 - DNS subdomain names
            found.append("/".join(map(str, parts)))
    return tuple(found)
