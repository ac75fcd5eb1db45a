"""Files of the kubelet, and credentials as people hand them over."""

import base64
import contextlib
import json
from typing import Final

from fuzz.files import CREDENTIALS, IMAGE, Folder
from fuzz.target import Target
from pullwhy.runtime.host.processes import Processes
from pullwhy.runtime.kubelet.credentials import InvalidCredentials, supplied_credentials
from pullwhy.runtime.kubelet.lifetime import lifetime
from pullwhy.runtime.kubelet.providers import SHOWN_PATTERNS, providers
from pullwhy.runtime.kubelet.pullrecords import pull_record
from pullwhy.runtime.kubelet.settings import Kubelet, find_kubelet
from pullwhy.secret import Secret

PROVIDERS: Final = b"""\
kind: CredentialProviderConfig
apiVersion: kubelet.config.k8s.io/v1
providers:
- name: ecr-credential-provider
  matchImages: ["*.dkr.ecr.*.amazonaws.com", registry.example/team]
  args: &args [get-credentials]
"""
RECORD: Final = json.dumps(
    {
        "kind": "ImagePulledRecord",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "imageRef": "sha256:0",
        "credentialMapping": {
            IMAGE.name: {"kubernetesSecrets": [{"namespace": "a", "name": "b", "credentialHash": "canary"}]}
        },
    }
).encode()
SETTINGS: Final = b"""\
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages
preloadedImagesVerificationAllowlist: [registry.example/*]
featureGates:
  KubeletEnsureSecretPulledImages: true
"""
SECRET: Final = b"kind: Secret\ntype: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: " + base64.b64encode(
    CREDENTIALS
)
TOKEN: Final = (
    b"eyJhbGciOiJub25lIn0." + base64.urlsafe_b64encode(b'{"exp":1790000000,"sub":"canary"}').rstrip(b"=") + b".x"
)
NESTED: Final = (b"[", b"- ", b"a: ", b"{a: ", b"? ", b"&a [*a, ", b"!!python/name:", b"\n ")


def provider_config(data: bytes) -> None:
    """Read the configuration of exec credential providers."""
    folder = _PROVIDERS
    folder.write(data)
    found = providers(IMAGE, Kubelet(provider_config=folder.path, provider_directory="/bin"), folder.fs)
    assert len(found.patterns) <= SHOWN_PATTERNS


def record(data: bytes) -> None:
    """Read the record of a pull; the hash of a credential is in none of our texts."""
    folder = _RECORD
    folder.write(data)
    found = pull_record(IMAGE, str(IMAGE), ("sha256:0",), Kubelet(root="/k"), folder.fs)
    assert found is not None
    assert data.count(b"canary") > 1 or "canary" not in repr(found)


def settings(data: bytes) -> None:
    """Read a KubeletConfiguration."""
    folder = _SETTINGS
    folder.write(data)
    find_kubelet(folder.fs, Processes(folder.fs.root / "proc"))


def secret(data: bytes) -> None:
    """Read a Secret as kubectl prints it."""
    with contextlib.suppress(InvalidCredentials):
        supplied_credentials(IMAGE, data, "secret.yaml")


def token(data: bytes) -> None:
    """Look for the end of a token; nothing else of it is told."""
    for username in ("robot", "AWS"):
        assert "canary" not in repr(lifetime(username, Secret(data.decode(errors="replace"))))


_PROVIDERS: Final = Folder("/etc/providers/config.yaml")
_RECORD: Final = Folder(
    "/k/image_manager/pulled/sha256-ddadc6908c781f027b323fc063b40d6aee12e6512460962df43f57671df561cc"
)
_SETTINGS: Final = Folder("/var/lib/kubelet/config.yaml")

TARGETS: Final = (
    Target("credential-providers", provider_config, (PROVIDERS, b""), NESTED),
    Target("pull-record", record, (RECORD,), (b"[", b'{"a":', b'"credentialMapping":{')),
    Target("kubelet-config", settings, (SETTINGS, b"{}"), (*NESTED, b"featureGates:\n")),
    Target("pull-secret", secret, (SECRET, b"kind: List\nitems: []\n"), NESTED),
    Target("token-lifetime", token, (TOKEN, b"a.b.c"), (b"[", b"A", b".", b"eyJ")),
)
