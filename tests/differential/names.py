"""The hosts that configurations under test may name: all of them are one machine's own addresses."""

import dataclasses
from collections.abc import Mapping
from typing import Final, Literal

REGISTRY: Final = "reg.lab.test"
HUB: Final = "registry-1.docker.io"
ADDRESSES: Final[Mapping[str, str]] = {
    REGISTRY: "10.91.0.1",
    "m1.lab.test": "10.91.0.2",
    "m2.lab.test": "10.91.0.3",
    "m3.lab.test": "10.91.0.4",
    HUB: "10.91.0.5",
}
LOOPBACK: Final = "localhost"
PORTS: Final = (80, 443, 5000)
HOSTS_FILE: Final = "\n".join(
    ["127.0.0.1 localhost", "::1 localhost", *(f"{address} {name}" for name, address in ADDRESSES.items()), ""]
)

Transport = Literal["tls", "tls-untrusted", "plain", "refused", "reset"]
Answer = Literal["absent", "denied", "broken", "tag", "manifest", "all"]


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Place:
    """A host and port at which a server may be. Loopback addresses are all one host."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class Manner:
    """How a place behaves: on the wire, and what it has of the image (up to the tag, the manifest, or all of it)."""

    transport: Transport = "plain"
    answer: Answer = "absent"


PLACES: Final = tuple(Place(host, port) for host in (*ADDRESSES, LOOPBACK) for port in PORTS)


def place_of(host: str, port: int) -> Place:
    """Return the place that a host as written in a configuration leads to; there is nothing at unknown ones."""
    name = host.lower()
    return Place(LOOPBACK if name in {"localhost", "127.0.0.1", "::1"} else name, port)
