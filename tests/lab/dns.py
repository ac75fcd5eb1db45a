"""The names of the lab: what each name server answers, changeable while it runs, and what it was asked."""

import dataclasses
import json
import sys
from pathlib import Path

from lab.errors import LabError, wait_for
from lab.namespace import Namespace, own_environment
from lab.services import Service

FAULTS = frozenset({"nxdomain", "nodata", "servfail", "refused", "silent"})
RECORDS = "/run/lab/dns.json"
LOG = "/run/lab/dns.log"


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """One query that a name server received."""

    server: str
    client: str
    name: str
    type: str
    time: float


class NameServers:
    """The name servers of the lab: one program, an address each."""

    def __init__(self, namespace: Namespace, servers: tuple[str, ...]) -> None:
        self._namespace = namespace
        self._names: dict[str, list[dict[str, object]]] = {}
        self.servers = servers
        """Their addresses, in the order in which a node's resolv.conf lists them."""
        self._publish()
        self._namespace.write(LOG, "")
        argv = [sys.executable, "-m", "lab.dnsserver", RECORDS, LOG, *servers]
        self.service = Service.define(namespace, "lab-dns", argv, env=own_environment(), journal=False)

    def start(self) -> None:
        """Start them and wait until they listen; raises LabError with their last lines."""
        self.service.start()
        wait_for("the name servers", lambda: "ready" in self.service.log(), seconds=15, log=self.service.log)

    def add(self, name: str, *addresses: str, server: str | None = None, delay: float = 0) -> None:
        """Let *name* have these IPv4 and IPv6 addresses, at all servers or at one, answered after *delay* seconds."""
        self._set(name, server, {"addresses": list(addresses), "fault": None, "delay": delay})

    def fault(self, name: str, kind: str, *, server: str | None = None, delay: float = 0) -> None:
        """Let the lookup of *name* fail: nxdomain, nodata, servfail, refused or silent; at all servers or at one."""
        if kind not in FAULTS:
            raise LabError(f"no DNS fault {kind!r}: {', '.join(sorted(FAULTS))}")
        self._set(name, server, {"addresses": [], "fault": kind, "delay": delay})

    def remove(self, name: str) -> None:
        """Forget all that was set for *name*: it does not exist then."""
        self._names.pop(name, None)
        self._publish()

    def queries(self, name: str | None = None) -> list[Query]:
        """Return the queries received so far, for one name or for all, oldest first."""
        text = self._namespace.path(LOG).read_text(encoding="utf-8")
        found = [Query(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [query for query in found if name in {None, query.name}]

    def resolv_conf(self, *servers: str, options: str = "timeout:1 attempts:2") -> str:
        """Return a resolv.conf that lists *servers*, by default all of the lab's."""
        lines = [f"nameserver {address}" for address in servers or self.servers]
        return "\n".join([*lines, f"options {options}", ""])

    def _set(self, name: str, server: str | None, answer: dict[str, object]) -> None:
        others = [old for old in self._names.get(name, []) if old["server"] != server]
        self._names[name.lower()] = [*others, {"server": server, **answer}]
        self._publish()

    def _publish(self) -> None:
        path = self._namespace.write(f"{RECORDS}.new", json.dumps({"names": self._names}))
        path.replace(Path(str(path).removesuffix(".new")))
