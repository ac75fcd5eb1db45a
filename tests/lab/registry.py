"""Real registries: Debian's docker-registry, plain or with TLS, open or behind a password file or a token server."""

import ctypes
import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lab import images
from lab.certificates import Authority, Pair
from lab.errors import LabError, wait_for
from lab.namespace import Namespace, own_environment
from lab.services import Service

Variant = Literal["plain", "tls", "htpasswd", "token"]
USER, PASSWORD = "robot", "lab-only-password"
SERVICE, ISSUER = "lab-registry", "lab-token-server"
_ACCESS = re.compile(r'^(\S+) - (\S+) \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d+) \d+ "[^"]*" "([^"]*)"$')


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request that a registry received."""

    client: str
    method: str
    path: str
    status: int
    """Of the answer; 0 where it is not known."""
    user_agent: str


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a server of the lab is: its host name, addresses and port."""

    host: str
    addresses: tuple[str, ...]
    port: int

    @property
    def authority(self) -> str:
        """Host and port as image references write them; the port of HTTPS is left out."""
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


class Registry:
    """One registry process. Images are put into its storage; what is asked of it over HTTP is what the nodes asked."""

    def __init__(
        self,
        namespace: Namespace,
        binary: Path,
        place: Place,
        *,
        variant: Variant,
        authority: Authority,
        pair: Pair | None,
        token_pair: Pair | None = None,
    ) -> None:
        self._namespace = namespace
        self._folder = f"/run/lab/registry/{place.host}"
        self.place = place
        self.variant = variant
        self.authority = authority
        self.token_server: Service | None = None
        config = self._config(pair)
        if token_pair is not None:
            self._define_token_server(token_pair)
        namespace.write(f"{self._folder}/config.json", json.dumps(config))
        argv: list[str | Path] = [binary, "serve", f"{self._folder}/config.json"]
        name = f"registry-{place.host.replace('.', '-')}"
        self.service = Service.define(namespace, name, argv, journal=False)

    @property
    def host(self) -> str:
        """Host and port as image references write them."""
        return self.place.authority

    @property
    def url(self) -> str:
        """The registry's address as a hosts.toml names it."""
        return f"{'http' if self.place.port != 443 else 'https'}://{self.place.authority}"

    def start(self) -> None:
        """Start it (and its token server) and wait until it listens; raises LabError with its last lines."""
        if self.token_server is not None:
            self.token_server.start()
            wait_for("the token server", lambda: "ready" in self._token_log(), seconds=15, log=self._token_log)
        self.service.start()
        wait_for(
            f"the registry {self.host}", lambda: "listening on" in self.service.log(), seconds=15, log=self.service.log
        )

    def stop(self) -> None:
        """Stop the registry itself: connections to it are refused from now on."""
        self.service.stop()

    def push(self, repository: str, *tags: str, platforms: Sequence[str] = (images.NATIVE,), text: str = "") -> str:
        """Store a tiny image under all *tags* and return its digest; *text* makes its content, and so its digest, new."""
        image = images.build(text or f"{repository} {' '.join(tags)}", platforms)
        self.store(repository, image, *tags)
        return image.digest

    def store(self, repository: str, image: images.Image, *tags: str) -> None:
        """Store *image* under all *tags* in the registry's own layout (docker-registry 2.8: storage/paths.go)."""
        base = f"{self._folder}/data/docker/registry/v2"
        for blob in (image.top, *image.manifests, *image.blobs):
            algorithm, _, value = blob.digest.partition(":")
            self._namespace.write(f"{base}/blobs/{algorithm}/{value[:2]}/{value}/data", blob.content)
        own = f"{base}/repositories/{repository}"
        for blob in (image.top, *image.manifests):
            self._link(f"{own}/_manifests/revisions", blob.digest)
        for blob in image.blobs:
            self._link(f"{own}/_layers", blob.digest)
        for tag in tags:
            self._namespace.write(f"{own}/_manifests/tags/{tag}/current/link", image.digest)
            self._link(f"{own}/_manifests/tags/{tag}/index", image.digest)

    def blob_file(self, digest: str) -> Path:
        """Return the file of a stored blob as the host sees it, to damage or delete it."""
        value = digest.partition(":")[2]
        return self._namespace.path(f"{self._folder}/data/docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data")

    def requests(self) -> list[Request]:
        """Return the requests answered so far, oldest first."""
        found = []
        for line in self.service.log(1_000_000).splitlines():
            match = _ACCESS.match(line)
            if match:
                found.append(Request(match[1], match[3], match[4], int(match[5]), match[6]))
        return found

    def set_token_server(self, **behaviour: Any) -> None:
        """Change the token server: fault="401", "403", "500" or "hang", or open_repositories=[…] for anonymous pulls."""
        if self.token_server is None:
            raise LabError(f"registry {self.host} has no token server: it is of the variant {self.variant}")
        self._namespace.write(f"{self._folder}/token.json", json.dumps(self._token_settings() | behaviour))

    def _link(self, folder: str, digest: str) -> None:
        self._namespace.write(f"{folder}/{digest.replace(':', '/')}/link", digest)

    def _config(self, pair: Pair | None) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": f"{self.place.addresses[0]}:{self.place.port}", "secret": "lab"}
        if pair is not None:
            self._namespace.write(f"{self._folder}/tls.crt", pair.chain)
            self._namespace.write(f"{self._folder}/tls.key", pair.key, 0o600)
            http["tls"] = {"certificate": f"{self._folder}/tls.crt", "key": f"{self._folder}/tls.key"}
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "info", "formatter": "text"},
            "storage": {"filesystem": {"rootdirectory": f"{self._folder}/data"}},
            "http": http,
        }
        if self.variant == "htpasswd":
            self._namespace.write(f"{self._folder}/htpasswd", f"{USER}:{bcrypt(PASSWORD)}\n")
            config["auth"] = {"htpasswd": {"realm": "lab", "path": f"{self._folder}/htpasswd"}}
        if self.variant == "token":
            config["auth"] = {
                "token": {
                    "realm": f"{'https' if pair else 'http'}://{self.token_authority}/token",
                    "service": SERVICE,
                    "issuer": ISSUER,
                    "rootcertbundle": f"{self._folder}/token.crt",
                }
            }
        return config

    @property
    def token_authority(self) -> str:
        """Host and port of the token server: the registry's own name and the port 5001."""
        return f"{self.place.host}:5001"

    def _token_settings(self) -> dict[str, Any]:
        return {"users": {USER: PASSWORD}, "open_repositories": [], "service": SERVICE, "issuer": ISSUER, "fault": None}

    def _define_token_server(self, signing: Pair) -> None:
        self._namespace.write(f"{self._folder}/token.crt", signing.chain)
        self._namespace.write(f"{self._folder}/token.key", signing.key, 0o600)
        self._namespace.write(f"{self._folder}/token.json", json.dumps(self._token_settings()))
        argv = [sys.executable, "-m", "lab.tokenserver", self._folder, self.place.addresses[0], "5001"]
        name = f"token-{self.place.host.replace('.', '-')}"
        self.token_server = Service.define(self._namespace, name, argv, env=own_environment(), journal=False)

    def _token_log(self) -> str:
        return self.token_server.log() if self.token_server else ""


def bcrypt(password: str) -> str:
    """Return the bcrypt hash of *password*, the only kind that the registry's password file may hold; raises LabError."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    answer: bytes | None = library.crypt(password.encode(), b"$2b$05$labsaltlabsaltlabsaltu")
    if answer is None or not answer.startswith(b"$2b$"):
        raise LabError("libcrypt makes no bcrypt hash")
    return answer.decode()


def docker_config(pairs: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return a dockerconfigjson with a user and password for each registry key."""
    return {"auths": {key: {"username": user, "password": secret} for key, (user, secret) in pairs.items()}}
