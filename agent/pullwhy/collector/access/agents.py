"""Which node an agent is on, by what it shows, not by what it says: a certificate, or a token that the Kubernetes API knows."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from pullwhy.collector.access.reviewed import Bounds, Reviewed
from pullwhy.collector.denials import Denial, Denied
from pullwhy.collector.kubernetes.directory import Directory
from pullwhy.collector.kubernetes.reviews import NODE_NAME, POD_NAME, POD_UID, User, is_token, who
from pullwhy.kubernetes.client import Client
from pullwhy.secret import Secret
from pullwhy.text import printable

CERTIFICATE_SECONDS: Final = 86_400.0
"""A stream that a certificate opened ends after a day: what was signed or ended meanwhile counts then."""
TOKEN_SECONDS: Final = 3600.0
"""The same for a token that does not tell its own end."""
REVIEWED_SECONDS: Final = 120.0
"""How long a review is believed; the API server itself keeps those of its webhooks so long."""
REFUSED_SECONDS: Final = 15.0
OUTAGE_SECONDS: Final = 900.0
"""While no review can be had, an older one is believed for so long, within the token's own time."""
SKEW_SECONDS: Final = 60.0
"""A token that ended this moment by our clock may be good by the API server's, which decides."""
MOST_REVIEWS: Final = 40_000
MOST_WAITING: Final = 2_000
"""Agents whose tokens are under review; more are told to come again."""

_NODE_URI: Final = re.compile(r"pullwhy://node/(?:([\w.-]{1,253})/)?([\w.-]{1,253})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    """An agent's node, as shown."""

    node: str
    """Empty: it may be on any."""
    cluster: str | None = None
    """None: it may be of any."""
    seconds: float | None = None
    """How long it holds; None: for good."""

    def check(self, cluster: str, node: str) -> None:
        """Raise Denied where an agent says that it is on another node than it has shown."""
        shown = f"node '{printable(self.node, 253)}'"
        if self.node and self.node != node:
            told = f"its credentials are of {shown}, it reports for '{printable(node, 253)}'"
            raise Denied(Denial.WRONG_NODE, told, shown)
        if self.cluster is not None and self.cluster != cluster:
            told = f"its credentials are of cluster '{self.cluster}', it reports for '{printable(cluster, 253)}'"
            mend = (
                "set the collector's `agent_cluster` to the agents' `cluster`, or name it in the certificate"
                if cluster
                else f"set `cluster` of this agent (PULLWHY_CLUSTER={self.cluster})"
            )
            raise Denied(Denial.WRONG_NODE, f"{told}: {mend}", shown)


class Gate(Protocol):
    """Lets agents in."""

    async def admit(self, peer: Mapping[str, Iterable[bytes]], token: Secret | None) -> Identity:
        """Return which node an agent is on; raises Denied or CannotTell.

        `peer` is what TLS says of it (gRPC: GRPC_PEER_URI_PROPERTY_NAME and others), `token` what it sent.
        """


class OpenGate:
    """Believes every agent."""

    async def admit(self, peer: Mapping[str, Iterable[bytes]], token: Secret | None) -> Identity:
        """Take whatever comes."""
        del peer, token
        return Identity("")


class CertificateGate:
    """Goes by the URI in the certificate that TLS has verified: `pullwhy://node/NAME` or `pullwhy://node/CLUSTER/NAME`.

    A URI, because no other certificate of the same authority holds such a one by chance, as it may hold a node's DNS name.
    """

    def __init__(self, cluster: str) -> None:
        """`cluster` is that of certificates which name none."""
        self._cluster = cluster

    async def admit(self, peer: Mapping[str, Iterable[bytes]], token: Secret | None) -> Identity:
        """Return the node that the certificate names; raises Denied."""
        del token
        uris = [value.decode("ascii", "replace") for value in peer.get("peer_uri", ())]
        found = [match for uri in uris if (match := _NODE_URI.match(uri))]
        if len(found) != 1:
            names = ", ".join(value.decode("ascii", "replace") for value in peer.get("x509_common_name", ()))
            told = f"its certificate holds {len(found)} URIs of the form pullwhy://node/NAME, it must hold one"
            raise Denied(Denial.BAD_CERTIFICATE, told, printable(names, 100))
        return Identity(found[0][2], found[0][1] or self._cluster, CERTIFICATE_SECONDS)


class _Claims(msgspec.Struct):
    exp: float | None = None
    aud: str | tuple[str, ...] = ()


class TokenGate:
    """Goes by service account tokens: of our audience, of the agents' account, bound to a pod on a node."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        audience: str,
        account: tuple[str, str],
        *,
        cluster: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._directory = client, directory
        self._audience, self._account, self._wall = audience, account, wall
        self._cluster = cluster  # whose API reviews the tokens: another's nodes may have the same names
        bounds = Bounds(REVIEWED_SECONDS, REFUSED_SECONDS, OUTAGE_SECONDS, MOST_REVIEWS, MOST_WAITING)
        self._reviewed: Reviewed[str] = Reviewed(bounds, clock)

    async def admit(self, peer: Mapping[str, Iterable[bytes]], token: Secret | None) -> Identity:
        """Return the node to whose pod the token is bound; raises Denied or CannotTell."""
        del peer
        if not token:
            raise Denied(Denial.NO_CREDENTIALS, "it sent no token: set `report.token_file`")
        left = self._seconds_left(token)
        key = hashlib.sha256(token.reveal().encode()).digest()
        node = await self._reviewed.get(key, lambda: self._node(token), left)
        return Identity(node, self._cluster, max(left, 1.0))

    async def _node(self, token: Secret) -> str:
        user = await who(self._client, token, self._audience)
        if user is None:
            raise Denied(Denial.BAD_TOKEN, f"the Kubernetes API does not accept its token for '{self._audience}'")
        if user.service_account != self._account:
            told = f"its token is of {printable(user.name, 200)}, not of the account in `agent_service_account`"
            raise Denied(Denial.WRONG_ACCOUNT, told, printable(user.name, 200))
        node = user.first(NODE_NAME) or await self._node_of_pod(user)
        if not node:
            raise Denied(
                Denial.NO_NODE,
                "its token is bound to no pod on a node: use a projected token",
                printable(user.name, 200),
            )
        return node

    async def _node_of_pod(self, user: User) -> str:
        """Return the node of the pod to which the token is bound: what clusters before 1.30 tell of it."""
        namespace, _ = user.service_account
        pod = await self._directory.pod(namespace, user.first(POD_NAME), user.first(POD_UID))
        return pod.node if pod is not None else ""

    def _seconds_left(self, token: Secret) -> float:
        """Look at the token's own claims, which are not verified yet: what they already exclude needs no review. Raises Denied."""
        claims = _claims(token.reveal())
        if claims is None:
            raise Denied(Denial.BAD_TOKEN, "what it sent is no service account token")
        audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if self._audience not in audiences:
            raise Denied(Denial.BAD_TOKEN, f"its token is not for the audience '{self._audience}'")
        left = TOKEN_SECONDS if claims.exp is None else claims.exp - self._wall()
        if left < -SKEW_SECONDS:
            raise Denied(Denial.BAD_TOKEN, "its token has expired: is `report.token_file` renewed?")
        return left


def _claims(token: str) -> _Claims | None:
    parts = token.split(".")
    if not is_token(token) or len(parts) != 3:  # noqa: PLR2004 - header, payload, signature: RFC 7515 section 3.1
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
