"""What go.podman.io/image does with a list of endpoints: the ping, the manifest, the config; and when it goes on to the next.

Source: go.podman.io/image 5.39, docker/docker_client.go (detectPropertiesHelper) and docker_image_src.go (newImageSource), copy/copy.go.
The endpoints are pullwhy's; the order of questions is this file's.
"""

import dataclasses
from collections.abc import Generator, Iterator, Mapping, Sequence

from differential.names import ADDRESSES, LOOPBACK, Manner, Place, place_of
from differential.recorder import Contact
from pullwhy.plan import Endpoint

from lab.images import Image

_FOUND = 200
_ABSENT = 404


@dataclasses.dataclass(frozen=True, slots=True)
class Copy:
    """One pull: by tag or digest, and how every place behaves."""

    image: Image
    reference: str
    """The tag or the digest."""
    manners: Mapping[Place, Manner]
    tokens: Mapping[str, bytes]
    trusted: bool
    """Whether the system trusts the authority of the servers."""
    rejected: bool
    """Whether the policy lets none of this name run, which is looked at once the manifest has come."""
    asks_for_v1: bool
    """Whether a ping that failed is followed by one of the old protocol, for the sake of its error (containers/image 5.23)."""


def contacts(endpoints: Sequence[Endpoint], copy: Copy) -> list[Contact]:
    """Return whom the library contacts; the same contact again right after the first is left out."""
    found: list[Contact] = []
    for contact in _contacts(endpoints, copy):
        if contact not in found[-1:]:
            found.append(contact)
    return found


def _contacts(endpoints: Sequence[Endpoint], copy: Copy) -> Iterator[Contact]:
    for endpoint in endpoints:
        way = yield from _ping(endpoint, copy)
        if way is None:
            continue
        if (yield from _get(way, copy, f"manifests/{copy.reference}")) == _FOUND:
            if not copy.rejected:
                yield from _get(way, copy, f"blobs/{copy.image.blobs[0].digest}")
            return


def _ping(endpoint: Endpoint, copy: Copy) -> Generator[Contact, None, Endpoint | None]:
    """Ask for /v2/ over HTTPS and, where whatever fails and the endpoint allows it, in plain HTTP; returns the way that answered."""
    ways = [endpoint]
    if endpoint.http_fallback:
        ways.append(dataclasses.replace(endpoint, scheme="http", port=endpoint.http_port))
    for path in ("/v2/", "/v1/_ping")[: 1 + copy.asks_for_v1]:
        for way in ways:
            if (yield from _answers(way, copy, path)):
                return way
    return None


def _answers(way: Endpoint, copy: Copy, path: str) -> Generator[Contact, None, bool]:
    place = place_of(way.host, way.port)
    if place.host not in {*ADDRESSES, LOOPBACK}:
        return False  # its name is not found
    manner, secure = copy.manners.get(place, Manner("refused")), way.scheme == "https"
    if manner.transport in {"refused", "reset"}:
        yield Contact(place, manner.transport)
        return False
    if secure and (manner.transport == "plain" or not _trusts(way, manner, copy)):
        yield Contact(place, "handshake", secure=True)
        return False
    yield _request(way, copy, place, f"GET {path}")
    return path == "/v2/" and manner.answer != "broken" and (secure or manner.transport == "plain")


def _get(way: Endpoint, copy: Copy, name: str) -> Generator[Contact, None, int]:
    place = place_of(way.host, way.port)
    yield _request(way, copy, place, f"GET {way.path}/{way.repository}/{name}")
    has = {"manifest": name.startswith("manifests/"), "all": True}
    return _FOUND if has.get(copy.manners.get(place, Manner()).answer, False) else _ABSENT


def _trusts(way: Endpoint, manner: Manner, copy: Copy) -> bool:
    authority = copy.tokens["@ca" if manner.transport == "tls" else "@other-ca"].decode().strip()
    system = copy.trusted and manner.transport == "tls"
    return system or way.skip_verify or any(authority in text for text in way.ca)


def _request(way: Endpoint, copy: Copy, place: Place, request: str) -> Contact:
    secure = way.scheme == "https"
    client = way.client[0].certificate.strip() if secure and way.client else ""
    names = {
        copy.tokens[f"@cert-{number}"].decode().strip(): f"client {word}" for number, word in ((1, "one"), (2, "two"))
    }
    return Contact(place, "request", secure, request, way.authority, (), names.get(client, client))
