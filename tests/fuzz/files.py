"""Files of the node: half written, written for another program, or by somebody who wishes us ill."""

import contextlib
import tempfile
from pathlib import Path
from typing import Final

from fuzz.target import Target
from pullwhy.image import parse
from pullwhy.runtime.containerd.hosts import registry_hosts
from pullwhy.runtime.containerd.settings import read_config
from pullwhy.runtime.crio.policyjson import InvalidPolicy, parse_policy
from pullwhy.runtime.crio.registriesconf import parse_registries_file
from pullwhy.runtime.crio.registrytables import InvalidRegistriesFile
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.resolver import read_resolver
from pullwhy.runtime.kubelet.credentials import InvalidCredentials, supplied_credentials
from pullwhy.runtime.kubelet.lifetime import lifetime
from pullwhy.runtime.versions import Version, parse_version
from pullwhy.secret import Secret

VERSIONS: Final = (*map(parse_version, ("1.6.20", "1.7.24", "2.1.9", "2.2.0")), Version())
HOSTS: Final = b"""server = "https://registry.example"
[host."https://mirror.example/v2/cache"]
  capabilities = ["pull", "resolve"]
  ca = ["ca.crt", "/etc/ca.pem"]
  client = [["client.cert", "client.key"]]
  skip_verify = false
  override_path = true
  dial_timeout = "1m30s"
  [host."https://mirror.example/v2/cache".header]
    x-token = ["canary"]
[host.'http://other.example']
"""
CONFIG: Final = b"""version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
root = "/var/lib/containerd"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/containerd/certs.d:/etc/docker/certs.d"
    [plugins."io.containerd.cri.v1.images".registry.configs."registry.example".auth]
      password = "canary"
"""
OLD_CONFIG: Final = b"""version = 2
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."*"]
  endpoint = ["https://user:canary@mirror.example"]
"""
RESOLV: Final = (
    b"# who\nnameserver 192.0.2.1\nnameserver fd00::1\nsearch a.example b.example\noptions ndots:5 timeout:1 rotate\n"
)
CREDENTIALS: Final = (
    b'{"auths": {"https://registry.example/v2/": {"auth": "dXNlcjpjYW5hcnk="}, "*.example": {"username": "u"}}}'
)
IMAGE: Final = parse("registry.example/team/app:1")


REGISTRIES: Final = b"""unqualified-search-registries = ["registry.example"]
short-name-mode = "enforcing"
[[registry]]
prefix = "*.example"
location = "registry.example/team"
insecure = false
blocked = false
[[registry.mirror]]
location = "mirror.example:5000/cache"
pull-from-mirror = "digest-only"
[aliases]
"app" = "registry.example/team/app"
"""
OLD_REGISTRIES: Final = (
    b'[registries.search]\nregistries = ["registry.example"]\n[registries.block]\nregistries = ["a"]\n'
)
POLICY: Final = b"""{"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"registry.example":
[{"type": "reject"}], "*.example": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}]}}}"""
TOKEN: Final = b"eyJhbGciOiJub25lIn0.eyJleHAiOjE3NjQwMDAwMDAsIm5iZiI6MX0.c2ln"


class Folder:
    """A host's root with one file that changes."""

    def __init__(self, path: str) -> None:
        self._keep = tempfile.TemporaryDirectory(prefix="pullwhy-fuzz-")
        self.path = path
        self.fs = HostFS(Path(self._keep.name))
        self._file = Path(self._keep.name, path.lstrip("/"))
        self._file.parent.mkdir(parents=True)

    def write(self, data: bytes) -> None:
        """Replace the file."""
        self._file.write_bytes(data)


def version_of(data: bytes) -> Version:
    """Let the input choose the runtime's version."""
    return VERSIONS[len(data) % len(VERSIONS)]


def hosts_toml(data: bytes) -> None:
    """Read a hosts.toml: endpoints, or a fault that decides."""
    folder = _HOSTS
    folder.write(data)
    found = registry_hosts("registry.example", ("/certs.d",), version_of(data), folder.fs)
    assert found.endpoints or any(result.config and result.config.decides for result in found.results)
    secret = data.count(b'x-token = ["canary"]')
    assert data.count(b"canary") > secret or "canary" not in repr(found)


def containerd_config(data: bytes) -> None:
    """Read a config.toml of containerd."""
    folder = _CONFIG
    folder.write(data)
    found = read_config(folder.path, version_of(data), folder.fs)
    secret = data.count(b'password = "canary"') + data.count(b'"https://user:canary@')
    assert data.count(b"canary") > secret or "canary" not in repr(found)


def resolv_conf(data: bytes) -> None:
    """Read a resolv.conf; it always gives somebody to ask."""
    folder = _RESOLV
    folder.write(data)
    view = read_resolver(folder.fs)
    assert len(view.resolver.nameservers) <= 3


def credentials(data: bytes) -> None:
    """Read a dockerconfigjson; no text of ours repeats what is in it."""
    with contextlib.suppress(InvalidCredentials):
        found = supplied_credentials(IMAGE, data, "config.json")
        assert data.count(b"canary") > 0 or "canary" not in repr(found)


def registries_conf(data: bytes) -> None:
    """Read a registries.conf, or a drop-in of it."""
    with contextlib.suppress(InvalidRegistriesFile):
        parse_registries_file(data, "/etc/containers/registries.conf", drop_in=bool(len(data) % 2))


def policy_json(data: bytes) -> None:
    """Read a policy.json and ask it about an image."""
    with contextlib.suppress(InvalidPolicy):
        parse_policy(data).requirement(IMAGE)


def token(data: bytes) -> None:
    """Look for the end of a credential's life in the credential."""
    password = data.decode("utf-8", "replace")
    assert len(password) < 16 or password not in repr(lifetime("AWS", Secret(password)))


_HOSTS: Final = Folder("/certs.d/registry.example/hosts.toml")
_CONFIG: Final = Folder("/etc/containerd/config.toml")
_RESOLV: Final = Folder("/etc/resolv.conf")

TARGETS: Final = (
    Target("hosts-toml", hosts_toml, (HOSTS, b""), (b"[host.a]\n", b"[", b"a.", b'"', b"{a=", b"#\n")),
    Target(
        "containerd-config", containerd_config, (CONFIG, OLD_CONFIG), (b"[a.b]\n", b"[[a]]\n", b"a.b.", b"{a=", b"[")
    ),
    Target("resolv-conf", resolv_conf, (RESOLV, b""), (b"nameserver ", b"search a", b"options ", b"\n", b"# ")),
    Target(
        "registries-conf",
        registries_conf,
        (REGISTRIES, OLD_REGISTRIES),
        (b"[[registry]]\n", b"[", b"a.", b"{a=", b"*."),
    ),
    Target("policy-json", policy_json, (POLICY,), (b"[", b'{"default":', b'"a":[{}],')),
    Target("token", token, (TOKEN,), (b".", b"eyJ", b"AAAA")),
    Target("credentials", credentials, (CREDENTIALS,), (b'{"auths":', b"[", b'"a":{},')),
)
