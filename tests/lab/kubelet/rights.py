"""Who may use an image that is on the node: the records that kubelets from 1.33 on keep of their pulls (KEP-2535)."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from lab.kubelet.pods import Credential, Pod

RECORDS = Path("/var/lib/kubelet/image_manager/pulled")


class Rights:
    """The records of one node (images/pullmanager: image_pull_manager.go). Images that no pull of the kubelet brought are open to all."""

    def __init__(self, folder: Path = RECORDS) -> None:
        self._folder = folder
        self._users: dict[str, set[tuple[str, str]]] = {}

    def pulled(self, image: str, reference: str, credential: Credential | None, pod: Pod) -> None:
        """Note that *pod* pulled the image, which the runtime calls *reference*, with *credential*, or without any."""
        owner = {"kubernetesSecrets": [{"uid": pod.uid, "namespace": pod.namespace, "name": "pull-secret"}]}
        own = {"nodePodsAccessible": True} if credential is None else owner
        if credential is not None:
            self._users.setdefault(image, set()).add((credential.username, credential.password))
        name = image.partition("@")[0]
        name = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
        head = {"kind": "ImagePulledRecord", "apiVersion": "kubelet.config.k8s.io/v1beta1"}
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"sha256-{hashlib.sha256(reference.encode()).hexdigest()}"
        path.write_text(json.dumps({**head, "imageRef": reference, "credentialMapping": {name: own}}), encoding="utf-8")

    def allow(self, image: str, credentials: Sequence[Credential]) -> bool:
        """Say whether a pod with these credentials may use the image as it is on the node."""
        users = self._users.get(image)
        return users is None or any((one.username, one.password) in users for one in credentials)
