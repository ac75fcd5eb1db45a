"""The stand-in kubelet's records of pulls, as kubelet 1.35 and later keep them (pkg/kubelet/images/pullmanager)."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.kubelet.pods import Credential, Pod, location

FOLDER = "/var/lib/kubelet/image_manager"
API = "kubelet.config.k8s.io/v1beta1"
STAMP = "2026-01-01T00:00:00Z"
SECRET_NAME = "pull-secret"


def file_name(text: str) -> str:
    """Return the name of the file for an image or an image's reference (fs_pullrecords.go: cacheFilename)."""
    return f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"


def _hash(credential: Credential) -> str:
    return hashlib.sha256(f"{credential.username}\0{credential.password}".encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Records:
    """The records of one kubelet under the default policy NeverVerifyPreloadedImages."""

    folder: Path = Path(FOLDER)

    def begin(self, image: str) -> None:
        """Record that a pull of the image begins."""
        self._write("pulling", image, {"kind": "ImagePullIntent", "apiVersion": API, "image": image})

    def end(self, image: str) -> None:
        """Forget that a pull of the image was begun."""
        (self.folder / "pulling" / file_name(image)).unlink(missing_ok=True)

    def pulled(self, image: str, reference: str, pod: Pod, credential: Credential | None) -> None:
        """Record with whose credentials the image came."""
        own: dict[str, Any] = {"nodePodsAccessible": True}
        if credential is not None and credential in pod.credentials:
            uid = f"{pod.namespace}-{SECRET_NAME}"
            named = {"uid": uid, "namespace": pod.namespace, "name": SECRET_NAME, "credentialHash": _hash(credential)}
            own = {"kubernetesSecrets": [named]}
        record = {"kind": "ImagePulledRecord", "apiVersion": API, "lastUpdatedTime": STAMP, "imageRef": reference}
        self._write("pulled", reference, {**record, "credentialMapping": {location(image): own}})

    def must_pull(self, image: str, reference: str, credentials: Sequence[Credential]) -> bool:
        """Say whether the pod's credentials must be shown to the registry although the image is there."""
        path = self.folder / "pulled" / file_name(reference)
        if not path.exists():
            return False
        own = json.loads(path.read_text(encoding="utf-8"))["credentialMapping"].get(location(image), {})
        if own.get("nodePodsAccessible"):
            return False
        known = {secret["credentialHash"] for secret in own.get("kubernetesSecrets", [])}
        return not known & {_hash(credential) for credential in credentials}

    def _write(self, kind: str, name: str, value: dict[str, Any]) -> None:
        folder = self.folder / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / file_name(name)).write_text(json.dumps(value), encoding="utf-8")
