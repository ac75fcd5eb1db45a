"""What containerd does with a list of endpoints: which of them it asks for what, and when it goes on to the next.

Source: containerd 1.6 to 2.1, remotes/docker (resolver.go, fetcher.go). The endpoints are pullwhy's; the order of questions is this file's.
"""

import dataclasses
from collections.abc import Generator, Iterator, Mapping, Sequence
from urllib.parse import quote

from differential.names import ADDRESSES, LOOPBACK, Manner, Place, place_of
from differential.recorder import OWN_HEADERS, Contact
from pullwhy.plan import Endpoint

from lab.images import Image

REPOSITORY = "a/b"
TAG = "t"
_BAD_REQUEST = 400
_FOUND = 200
_STATUS = {"denied": 401, "broken": 500}


@dataclasses.dataclass(frozen=True, slots=True)
class Pull:
    """One pull: of which registry's image, by tag or digest, and how every place behaves."""

    registry: str
    image: Image
    by_digest: bool
    manners: Mapping[Place, Manner]
    tokens: Mapping[str, bytes]

    @property
    def reference(self) -> str:
        """The image as the kubelet would name it."""
        name = f"{self.registry}/{REPOSITORY}"
        return f"{name}@{self.image.digest}" if self.by_digest else f"{name}:{TAG}"


def contacts(endpoints: Sequence[Endpoint], pull: Pull) -> list[Contact]:
    """Return whom containerd contacts; the same contact again right after the first is left out."""
    found: list[Contact] = []
    for contact in _contacts(endpoints, pull):
        if contact not in found[-1:]:
            found.append(contact)
    return found


def _contacts(endpoints: Sequence[Endpoint], pull: Pull) -> Iterator[Contact]:
    plain: set[int] = set()
    usable = [one for one in endpoints if one.pull and (one.resolve or pull.by_digest)]
    manifest = f"manifests/{pull.image.digest}"
    names = [manifest, f"blobs/{pull.image.digest}"] if pull.by_digest else [f"manifests/{TAG}"]
    for name in names:
        if (yield from _ask(usable, pull, plain, "HEAD", name)):
            break
    else:
        return
    # From here on every host is asked, whatever its capabilities, over new connections.
    plain.clear()
    if (yield from _ask(endpoints, pull, plain, "GET", manifest)):
        yield from _ask(endpoints, pull, plain, "GET", f"blobs/{pull.image.blobs[0].digest}")


def _ask(
    endpoints: Sequence[Endpoint], pull: Pull, plain: set[int], method: str, name: str
) -> Generator[Contact, None, bool]:
    """Ask one host after the other until one has it; returns whether one had.

    *plain* holds the hosts that have fallen back to plain HTTP, which they then go on with.
    """
    for endpoint in endpoints:
        way = _plain(endpoint) if id(endpoint) in plain else endpoint
        status = yield from _visit(way, pull, method, name)
        if status < 0:
            plain.add(id(endpoint))
            status = yield from _visit(_plain(endpoint), pull, method, name)
        if status == _FOUND:
            return True
    return False


def _plain(endpoint: Endpoint) -> Endpoint:
    port = 80 if endpoint.port == 443 and not endpoint.names_port else endpoint.port
    return dataclasses.replace(endpoint, scheme="http", port=port)


def _visit(endpoint: Endpoint, pull: Pull, method: str, name: str) -> Generator[Contact, None, int]:
    """Contact one endpoint; returns the status that it answers, 0 where it does not, -1 where plain HTTP comes next."""
    place = place_of(endpoint.host, endpoint.port)
    secure = endpoint.scheme == "https"
    manner = pull.manners.get(place, Manner("refused"))
    if place.host not in {*ADDRESSES, LOOPBACK}:
        return 0  # its name is not found
    if manner.transport in {"refused", "reset"}:
        yield Contact(place, manner.transport)
        return 0
    if secure and manner.transport == "plain":
        yield Contact(place, "handshake", secure=True)
        return -1 if endpoint.http_fallback else 0
    if secure and not _trusts(endpoint, manner, pull):
        yield Contact(place, "handshake", secure=True)
        return 0
    yield _request(endpoint, pull, place, f"{method} {quote(endpoint.path)}/{REPOSITORY}/{name}")
    if not secure and manner.transport != "plain":
        return _BAD_REQUEST
    return _status(manner, method, name)


def _trusts(endpoint: Endpoint, manner: Manner, pull: Pull) -> bool:
    authority = pull.tokens["@ca" if manner.transport == "tls" else "@other-ca"].decode().strip()
    return endpoint.skip_verify or any(authority in text for text in endpoint.ca)


def _request(endpoint: Endpoint, pull: Pull, place: Place, request: str) -> Contact:
    secure = endpoint.scheme == "https"
    if endpoint.is_mirror:
        request += f"?ns={pull.registry.replace(':', '%3A').replace('[', '%5B').replace(']', '%5D')}"
    headers = sorted((name.lower(), value.reveal()) for name, value in endpoint.headers)
    own = tuple(pair for pair in headers if pair[0].startswith(OWN_HEADERS))
    client = endpoint.client[0].certificate.strip() if secure and endpoint.client else ""
    names = {
        pull.tokens[f"@cert-{number}"].decode().strip(): f"client {word}" for number, word in ((1, "one"), (2, "two"))
    }
    return Contact(place, "request", secure, request, endpoint.authority, own, names.get(client, client))


def _status(manner: Manner, method: str, name: str) -> int:
    if manner.answer in _STATUS:
        return _STATUS[manner.answer]
    manifest = name.startswith("manifests/")
    has = {"tag": manifest and method == "HEAD", "manifest": manifest, "all": manifest or method == "GET"}
    return _FOUND if has.get(manner.answer, False) else 404
