"""The stand-in kubelet's exec credential providers: run as the kubelet runs them, from the same configuration."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from lab.kubelet.pods import Credential, covers, location

CONFIG = "/etc/kubernetes/image-credential-provider/config.json"
BINARIES = "/usr/local/lib/image-credential-provider"
API = "credentialprovider.kubelet.k8s.io/v1"
TIMEOUT_SECONDS = 60


@dataclasses.dataclass(frozen=True, slots=True)
class ProviderFailure:
    """A provider that gave no credentials: its name, the image that it was asked for, and the kubelet's error."""

    provider: str
    image: str
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Providers:
    """Those of a configuration file and a folder of binaries; none where there is no such file."""

    config: Path = Path(CONFIG)
    binaries: Path = Path(BINARIES)

    def ask(self, image: str) -> tuple[list[Credential], list[ProviderFailure]]:
        """Ask every provider whose matchImages cover the image (pkg/credentialprovider/plugin/plugin.go)."""
        if not self.config.exists():
            return [], []
        name, credentials, failures = location(image), list[Credential](), list[ProviderFailure]()
        for entry in json.loads(self.config.read_text(encoding="utf-8"))["providers"]:
            if not any(covers(glob, name) for glob in entry["matchImages"]):
                continue
            try:
                credentials += self._run(entry, name)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                failures.append(ProviderFailure(entry["name"], name, str(error)))
        return credentials, failures

    def _run(self, entry: dict[str, Any], image: str) -> list[Credential]:
        path = self.binaries / entry["name"]
        request = {"kind": "CredentialProviderRequest", "apiVersion": API, "image": image}
        about = f"error execing credential provider plugin {entry['name']} for image {image}"
        try:
            done = subprocess.run(
                [path, *entry.get("args", [])],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise ValueError(f"{about}: fork/exec {path}: {why}: ") from None
        if done.returncode:
            raise ValueError(f"{about}: exit status {done.returncode}: {done.stderr}")
        auth = json.loads(done.stdout).get("auth", {})
        return [Credential(key, each["username"], each["password"]) for key, each in auth.items()]
