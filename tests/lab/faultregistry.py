"""The host's hand on the fault registry: one process for all hosts that misbehave, its rules changeable while it runs."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import faultproxy, faults
from lab.certificates import Pair
from lab.errors import LabError, wait_for
from lab.faults import Repository, Rule
from lab.namespace import Namespace, own_environment
from lab.registry import Place
from lab.services import Service

FOLDER = "/run/lab/faults"
MODES = faultproxy.MODES | {
    *("http", "https", "mtls", "tls-old"),
    *("tls-garbage", "tls-reset", "tls-hang", "tls-close", "silent"),
}
"""How a host talks; all but http, https, mtls and tls-old never get to a request. http on port 443 is one fault more; proxy… are proxies."""


@dataclasses.dataclass(frozen=True, slots=True)
class Received:
    """A request that the fault registry received; of an Authorization header only the scheme is kept."""

    host: str
    client: str
    method: str
    path: str
    headers: Mapping[str, str]
    time: float


class FaultServer:
    """The process behind all fault registries of a lab, started with the first."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._listeners: list[dict[str, Any]] = []
        self._repositories: dict[str, dict[str, Any]] = {}
        self._revision = 0
        self._publish()
        namespace.write(f"{FOLDER}/requests.log", "")
        argv = [sys.executable, "-m", "lab.faultserver", f"{FOLDER}/settings.json", f"{FOLDER}/requests.log"]
        self.service = Service.define(namespace, "lab-faults", argv, env=own_environment(), journal=False)
        self.service.start()

    def listen(self, place: Place, mode: str, pair: Pair | None, client_ca: bytes) -> None:
        """Begin to listen at *place*; raises LabError when it does not come up."""
        if mode not in MODES:
            raise LabError(f"no mode {mode!r}: {', '.join(sorted(MODES))}")
        files = {"chain": pair.chain if pair else b"", "key": pair.key if pair else b"", "client_ca": client_ca}
        names = {}
        for kind, content in files.items():
            names[kind] = f"{FOLDER}/{place.host}-{place.port}.{kind}"
            self.namespace.write(names[kind], content, 0o600)
        first = place.addresses[0]
        self._listeners.append({"host": place.host, "address": first, "port": place.port, "mode": mode, **names})
        self.publish()

    def set(self, host: str, name: str, repository: Repository) -> None:
        """Let a repository of *host* behave as told, from the next request on."""
        self._repositories.setdefault(host, {})[name] = faults.encode(repository)
        self.publish()

    def requests(self) -> list[Received]:
        """Return the requests received so far, oldest first."""
        text = self.namespace.path(f"{FOLDER}/requests.log").read_text(encoding="utf-8")
        return [Received(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def publish(self) -> None:
        """Write the settings and wait until the process goes by them; raises LabError with its last lines."""
        self._publish()
        wait_for(
            "the fault registry to follow its settings",
            lambda: f"revision {self._revision}\n" in f"{self.service.log(5)}\n",
            seconds=15,
            log=self.service.log,
        )

    def _publish(self) -> None:
        self._revision += 1
        value = {"listeners": self._listeners, "repositories": self._repositories, "revision": self._revision}
        path = self.namespace.write(f"{FOLDER}/settings.json.new", json.dumps(value))
        path.replace(Path(str(path).removesuffix(".new")))


@dataclasses.dataclass(frozen=True, slots=True)
class FaultRegistry:
    """One host of the fault server."""

    server: FaultServer
    place: Place
    mode: str

    @property
    def host(self) -> str:
        """Host and port as image references write them."""
        return self.place.authority

    def set(self, name: str, fault: str | Repository | Rule) -> str:
        """Give the repository *name* a fault: the name of a preset, a repository or one rule. Returns its image reference."""
        if isinstance(fault, str):
            if fault not in faults.PRESETS:
                raise LabError(f"no fault {fault!r}: {', '.join(faults.PRESETS)}")
            repository = faults.PRESETS[fault]
        else:
            repository = Repository(rules=(fault,)) if isinstance(fault, Rule) else fault
        self.server.set(self.place.host, name, repository)
        return f"{self.host}/{name}:1"

    def requests(self, repository: str | None = None) -> list[Received]:
        """Return the requests that this host received, for one repository or for all, oldest first."""
        own = [one for one in self.server.requests() if one.host == self.place.host]
        return [one for one in own if repository is None or f"/{repository}/" in one.path or repository in one.path]
