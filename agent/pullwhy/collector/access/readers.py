"""Who asks, and what they may see and change: by a token of a file, or by one that the Kubernetes API knows."""

from __future__ import annotations

import hashlib
import logging
import time
import tomllib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import msgspec

from pullwhy.collector.access.reviewed import Bounds, Reviewed
from pullwhy.collector.denials import CannotTell, Denial, Denied
from pullwhy.collector.kubernetes.reviews import Action, User, is_token, may, who
from pullwhy.collector.remembered import Remembered
from pullwhy.kubernetes.client import APIError, Client
from pullwhy.secret import Secret
from pullwhy.text import printable

logger = logging.getLogger(__name__)

GROUP: Final = "pullwhy"
"""API group of the rights that a role grants. Nothing is served under it: RBAC takes any name."""
REVIEWED_SECONDS: Final = 60.0
"""How long a review is believed: a right that was taken away counts after so long."""
REFUSED_SECONDS: Final = 10.0
OUTAGE_SECONDS: Final = 300.0
"""While no review can be had, an older one is believed for so long."""
MOST_REVIEWS: Final = 10_000
MOST_WAITING: Final = 100
MOST_NAMESPACES: Final = 32
"""Of one finding or problem: more of its pods' namespaces are not asked about. Of a list one alone is, that it is asked of."""
MAX_FILE: Final = 1024 * 1024
LOOK_AGAIN_SECONDS: Final = 1.0
"""A file that could not be used is read again at most so often, however many ask."""
COMPLAINT_SECONDS: Final = 60.0

Right = Literal["probes", "silences"]


class Sight(Protocol):
    """Whose pods somebody may see."""

    async def of(self, namespaces: Collection[str]) -> frozenset[str]:
        """Return those of `namespaces` whose pods he may see."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who asks."""

    name: str
    sight: Sight | None
    """None: he may see everything."""
    may: Callable[[Right], Awaitable[bool]]


class Readers(Protocol):
    """Tells who asks."""

    async def reader(self, token: Secret | None) -> Reader:
        """Return whose token it is; raises Denied or CannotTell."""


def bearer(header: str) -> Secret | None:
    """Return the token of an Authorization header (RFC 6750, section 2.1)."""
    scheme, _, token = header.partition(" ")
    return Secret(token.strip()) if scheme.lower() == "bearer" and token.strip() else None


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    token: Annotated[str, msgspec.Meta(min_length=16, max_length=4096)]
    namespaces: tuple[str, ...] | None = None
    may: tuple[Right, ...] = ()

    def __post_init__(self) -> None:
        # Another one cannot be sent in a header (RFC 6750, section 2.1), so that nobody would ever be this reader.
        if " " in self.token or not (self.token.isascii() and self.token.isprintable()):
            raise ValueError(f"the token of {self.name!r} must be one word of ASCII characters")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    readers: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    namespaces: frozenset[str]

    async def of(self, namespaces: Collection[str]) -> frozenset[str]:
        return self.namespaces & frozenset(namespaces)


class FileReaders:
    """Readers from a TOML file of `[[readers]]`: `name`, `token`, `namespaces` (none named: all), `may` (probes, silences)."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; raises CannotTell."""
        self._path, self._clock = path, clock
        self._stamp: tuple[int, int, int] | None = None
        self._look_at = self._complain_at = clock()
        self._known: dict[bytes, Reader] = {}
        self._take()

    async def reader(self, token: Secret | None) -> Reader:
        """Return the reader whose token it is; raises Denied."""
        if token is None:
            raise Denied(Denial.NO_CREDENTIALS, _SEND)
        self._look()
        known = self._known.get(_digest(token))
        if known is None:
            raise Denied(Denial.BAD_TOKEN, "this token is not known here")
        return known

    def _look(self) -> None:
        """Read the file where it changed; what is wrong with it is said again while it lasts."""
        now = self._clock()
        if now < self._look_at:
            return
        try:
            self._take()
        except CannotTell as error:
            self._look_at = now + LOOK_AGAIN_SECONDS
            if now >= self._complain_at:
                self._complain_at = now + COMPLAINT_SECONDS
                # Whom the edit was to shut out still reads.
                logger.warning("%s; who could read before still can", error)

    def _take(self) -> None:
        try:
            stat = self._path.stat()
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE + 1)
            if len(content) > MAX_FILE:
                raise CannotTell(f"{self._path}: more than {MAX_FILE} bytes")
            rows = msgspec.convert(tomllib.loads(content.decode()), _File).readers
        except OSError as error:
            raise CannotTell(f"{self._path}: {error.strerror}: `reader_tokens` names a readable file") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
            # What these errors quote may be a token.
            raise CannotTell(f"{self._path}: not TOML; write [[readers]] with name and token") from None
        except msgspec.ValidationError as error:
            raise CannotTell(f"{self._path}: {printable(str(error), 300)}") from None
        self._known = {_digest(Secret(row.token)): _reader(row) for row in rows}
        self._stamp, self._complain_at = stamp, self._clock()


def _reader(row: _Row) -> Reader:
    async def may_change(right: Right) -> bool:
        return right in row.may

    sight = None if row.namespaces is None else _Named(frozenset(row.namespaces))
    return Reader(printable(row.name, 253), sight, may_change)


class KubernetesReaders:
    """Readers by tokens of the cluster, and their rights by its authorizers.

    To see findings takes `get` on `findings.pullwhy`, in a namespace or in all of them; to have nodes walk `create` on
    `probes.pullwhy`; to silence a problem `create` on `silences.pullwhy`.
    """

    def __init__(self, client: Client, audience: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._audience = client, audience
        bounds = Bounds(REVIEWED_SECONDS, REFUSED_SECONDS, OUTAGE_SECONDS, MOST_REVIEWS, MOST_WAITING)
        self._users: Reviewed[User] = Reviewed(bounds, clock)
        self._rights: Remembered[tuple[bytes, Action], bool] = Remembered(MOST_REVIEWS, clock)

    async def reader(self, token: Secret | None) -> Reader:
        """Return whose token it is; raises Denied or CannotTell."""
        if token is None:
            raise Denied(Denial.NO_CREDENTIALS, _SEND)
        if not is_token(token.reveal()):
            raise Denied(Denial.BAD_TOKEN, "what came is no token")
        key = _digest(token)
        user = await self._users.get(key, lambda: self._review(token), REVIEWED_SECONDS)

        async def allowed(action: Action) -> bool:
            return await self._allowed(key, user, action)

        def known(action: Action) -> bool:
            return bool(self._rights.get((key, action)))

        async def may_change(right: Right) -> bool:
            return await allowed(Action("create", GROUP, right))

        everything = await allowed(Action("get", GROUP, "findings"))
        return Reader(printable(user.name, 253), None if everything else _Asked(allowed, known), may_change)

    async def _review(self, token: Secret) -> User:
        user = await who(self._client, token, self._audience)
        if user is None:
            raise Denied(Denial.BAD_TOKEN, "the Kubernetes API does not accept this token")
        return user

    async def _allowed(self, key: bytes, user: User, action: Action) -> bool:
        known = self._rights.get((key, action))
        if known is None:
            try:
                known = await may(self._client, user, action)
            except APIError as error:
                known = self._rights.get((key, action), late=OUTAGE_SECONDS)
                if known is None or not error.passing:
                    raise CannotTell(
                        f"the Kubernetes API does not say what {printable(user.name, 200)} may: {error}"
                    ) from error
                return known
            self._rights.put((key, action), known, REVIEWED_SECONDS if known else REFUSED_SECONDS)
        return known


@dataclass(frozen=True, slots=True)
class _Asked:
    """Sight by SubjectAccessReview of one namespace after the other, those first that were asked about lately: in a list, say."""

    allowed: Callable[[Action], Awaitable[bool]]
    known: Callable[[Action], bool]

    async def of(self, namespaces: Collection[str]) -> frozenset[str]:
        actions = {each: Action("get", GROUP, "findings", each) for each in sorted({*namespaces} - {""})}
        seen = [each for each, action in actions.items() if self.known(action)]
        others = [each for each in actions if each not in seen][:MOST_NAMESPACES]
        return frozenset([*seen, *[each for each in others if await self.allowed(actions[each])]])


_SEND: Final = "say who you are: send `Authorization: Bearer TOKEN`"


def _digest(token: Secret) -> bytes:
    return hashlib.sha256(token.reveal().encode()).digest()


__all__ = ["FileReaders", "KubernetesReaders", "Reader", "Readers", "Sight", "bearer"]
