"""The order in which Go dials a host's addresses, and which of those that connect it goes on with.

Source: Go 1.27, net/addrselect.go (RFC 6724: addresses without a route last, then by scope, label and precedence) and
net/dial.go (RFC 6555: the family of the first address is dialled, address after address; 300 ms later the other one too).
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.trace import ConnectAttempt, ConnectResult

FALLBACK_DELAY: Final = 0.3
"""Seconds after which the other family is dialled as well, or at once where the first has failed."""

_POLICIES: Final = (  # network, precedence, label; the longest prefix first
    (ipaddress.ip_network("::1/128"), 50, 0),
    (ipaddress.ip_network("::ffff:0:0/96"), 35, 4),
    (ipaddress.ip_network("::/96"), 1, 3),
    (ipaddress.ip_network("2001::/32"), 5, 5),
    (ipaddress.ip_network("2002::/16"), 30, 2),
    (ipaddress.ip_network("3ffe::/16"), 1, 12),
    (ipaddress.ip_network("fec0::/10"), 1, 11),
    (ipaddress.ip_network("fc00::/7"), 3, 13),
    (ipaddress.ip_network("::/0"), 40, 1),
)
_LINK, _SITE, _GLOBAL = 2, 5, 14


@frozen
class _Traits:
    scope: int
    precedence: int
    label: int


@frozen
class _Candidate:
    address: str
    own: _Traits
    source: _Traits | None
    """Of the local address that would be used, None where no route leads there."""
    number: int
    is_v6: bool
    shared: int
    """Leading bits that both addresses share."""


def ordered(addresses: Sequence[str], source_of: Callable[[str], str]) -> tuple[str, ...]:
    """Return `addresses` as Go dials them; `source_of` gives the local address for one, empty where there is no route."""
    candidates = [_candidate(address, source_of(address)) for address in addresses]
    return tuple(one.address for one in sorted(candidates, key=functools.cmp_to_key(_compare)))


def _candidate(address: str, source: str) -> _Candidate:
    number, own = _number(address)
    local = _number(source) if source else None
    shared = 64 - ((number ^ local[0]) >> 64).bit_length() if local else 0
    return _Candidate(address, own, local[1] if local else None, number, ":" in address, shared)


def _number(text: str) -> tuple[int, _Traits]:
    address = ipaddress.ip_address(text.partition("%")[0])
    number = int(address) | (0xFFFF << 32 if address.version == 4 else 0)  # noqa: PLR2004 - as a mapped address
    near = address.is_loopback or address.is_link_local
    site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    scope = _LINK if near else _SITE if site else _GLOBAL
    mapped = ipaddress.IPv6Address(number)
    precedence, label = next((own, label) for network, own, label in _POLICIES if mapped in network)
    return number, _Traits(scope, precedence, label)


def _compare(a: _Candidate, b: _Candidate) -> int:
    """Compare as RFC 6724 section 6 has it, by the rules that Go follows: negative where `a` comes first."""
    if (a.source is None) != (b.source is None):  # rule 1
        return 1 if a.source is None else -1
    if a.source is None or b.source is None:
        return 0
    keys = [
        (a.own.scope == a.source.scope) - (b.own.scope == b.source.scope),  # rule 2
        (a.own.label == a.source.label) - (b.own.label == b.source.label),  # rule 5
        a.own.precedence - b.own.precedence,  # rule 6
        b.own.scope - a.own.scope,  # rule 8
        a.shared - b.shared if a.is_v6 and b.is_v6 else 0,  # rule 9, which Go keeps for IPv6
    ]
    return -next((key for key in keys if key), 0)


def winner(attempts: Sequence[ConnectAttempt]) -> int | None:
    """Return the index of the attempt that Go would go on with, None where none connected; `attempts` are in Go's order."""
    tried = [index for index, one in enumerate(attempts) if one.result is not ConnectResult.NOT_ALLOWED]
    if not tried:
        return None
    first_is_v6 = ":" in attempts[tried[0]].address
    primary = [index for index in tried if (":" in attempts[index].address) == first_is_v6]
    fallback = [index for index in tried if index not in primary]
    ready, failed_after = _serially(attempts, primary)
    begins = min(FALLBACK_DELAY, failed_after)
    other, _ = _serially(attempts, fallback)
    found = [
        (seconds + delay, index) for (seconds, index), delay in ((ready, 0.0), (other, begins)) if index is not None
    ]
    return min(found)[1] if found else None


def _serially(attempts: Sequence[ConnectAttempt], indexes: Sequence[int]) -> tuple[tuple[float, int | None], float]:
    """Return after how long which of the attempts connects, one after the other, and after how long all have failed."""
    seconds = 0.0
    for index in indexes:
        seconds += attempts[index].seconds
        if attempts[index].result is ConnectResult.CONNECTED:
            return (seconds, index), float("inf")
    return (seconds, None), seconds
