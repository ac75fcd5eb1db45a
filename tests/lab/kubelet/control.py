"""The host's hand on a node's kubelet: adds and removes pods while it runs."""

import dataclasses
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.containerd import SOCKET
from lab.errors import LabError
from lab.kubelet import lines, providers, real
from lab.kubelet.pods import Container, Credential, Pod, encode
from lab.kubelet.sync import NODE_KEYRING, Settings
from lab.namespace import Namespace, own_environment
from lab.packages import version
from lab.registry import docker_config
from lab.services import Service

CONFIG = "/var/lib/kubelet/config.yaml"
PODS = "/var/lib/kubelet/lab-pods"


class Kubelet:
    """The kubelet of one node: the stand-in, or the real one that PULLWHY_LAB_KUBELET names."""

    def __init__(self, namespace: Namespace, descriptors: Path, settings: Settings, binary: Path | None = None) -> None:
        self._namespace = namespace
        self._real = binary is not None
        self.settings = settings
        self._folder = real.MANIFESTS if self._real else PODS
        namespace.path(self._folder).mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "lab.kubelet", "--config", CONFIG, "--pods", PODS]
        argv += ["--descriptors", str(descriptors), "--container-runtime-endpoint", f"unix://{SOCKET}"]
        if settings.credential_providers:
            argv += ["--image-credential-provider-config", providers.CONFIG]
            argv += ["--image-credential-provider-bin-dir", providers.BINARIES]
        value = dataclasses.asdict(settings)
        if binary is not None:
            major, minor = version(binary).split(".")[:2]
            argv = real.arguments(binary, CONFIG, namespace.name)
            value = real.configuration(
                (int(major), int(minor)),
                serial=settings.serial,
                qps=settings.qps,
                burst=settings.burst,
                log_format=settings.log_format,
            )
        namespace.write(CONFIG, json.dumps(value))
        self.service = Service.define(namespace, "kubelet", argv, env=own_environment(), notifies=True)

    @property
    def version(self) -> str:
        """The version that it tells at its start."""
        return lines.style(self.settings.version).version

    def start(self) -> None:
        """Start it; raises LabError with its last lines."""
        self.service.start()

    def restart(self) -> None:
        """Stop and start it: its back-off begins anew, as the kubelet's does."""
        self.service.restart()

    def add_pod(
        self,
        name: str,
        image: str = "",
        *,
        namespace: str = "default",
        uid: str | None = None,
        container: str = "app",
        pull_policy: str = "",
        env: Mapping[str, str] | None = None,
        credentials: Sequence[Credential] = (),
        missing_secrets: Sequence[str] = (),
        containers: Sequence[Container] = (),
    ) -> Pod:
        """Bind a pod to the node: one container of *image*, or *containers*. Returns it, with the UID it got."""
        if bool(image) == bool(containers):
            raise LabError("a pod needs an image or containers, and not both")
        members = tuple(containers) or (Container(container, image, pull_policy, dict(env or {})),)
        pod = Pod(namespace, name, uid or str(uuid.uuid4()), members, tuple(credentials), tuple(missing_secrets))
        # Written outside the folder and moved in: a kubelet reads every file that it sees there.
        text = real.manifest(pod) if self._real else encode(pod)
        path = self._namespace.write(f"{self._folder}.{pod.uid}.new", text, 0o600)
        path.replace(self._file(pod))
        return pod

    def remove_pod(self, pod: Pod) -> None:
        """Delete the pod: its sandbox goes, and no more lines come for it."""
        self._file(pod).unlink(missing_ok=True)

    def _file(self, pod: Pod) -> Path:
        return self._namespace.path(self._folder) / f"{pod.uid}.json"

    def set_credential_provider(self, name: str, match_images: Sequence[str], script: str, mode: int = 0o755) -> None:
        """Give the kubelet an exec credential provider: a shell script, for images that these globs cover."""
        entry = {
            "name": name,
            "matchImages": list(match_images),
            "defaultCacheDuration": "0s",
            "apiVersion": providers.API,
        }
        config = {"kind": "CredentialProviderConfig", "apiVersion": "kubelet.config.k8s.io/v1", "providers": [entry]}
        self._namespace.write(f"{providers.BINARIES}/{name}", f"#!/bin/sh\n{script}\n", mode)
        self._namespace.write(providers.CONFIG, json.dumps(config))

    def set_node_credentials(self, pairs: Mapping[str, tuple[str, str]]) -> None:
        """Write the node's own keyring: user and password by registry key; none takes it away."""
        path = self._namespace.path(str(NODE_KEYRING))
        if pairs:
            self._namespace.write(str(NODE_KEYRING), json.dumps(docker_config(pairs)), 0o600)
        else:
            path.unlink(missing_ok=True)
