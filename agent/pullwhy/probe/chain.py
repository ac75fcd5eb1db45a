"""Tells a chain whose intermediate is missing from one whose authority is not trusted."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.probe.x509 import Certificate
from pullwhy.trace import TLSFault

_ISSUED_UNDER: Final = {
    "let's encrypt": "internet security research group",
    "sectigo limited": "the usertrust network",
    "zerossl": "the usertrust network",
    "microsoft corporation": "digicert inc",
}
"""Public issuers whose root bears another organisation's name."""
_COMMON_WORDS: Final = frozenset(
    (
        *("root", "ca", "cas", "certificate", "certificates", "certification", "authority", "intermediate", "issuing"),
        *("issuer", "sub", "subordinate", "signing", "server", "tls", "ssl", "rsa", "ecc", "ecdsa", "global", "secure"),
        *("class", "the", "of", "and", "inc"),
    )
)
"""What the names of authorities have in common."""
_WORD: Final = re.compile(r"[^\W\d_]+")
"""Letters only: generations (`G2`, `01`) differ between a root and what it issues."""


@frozen
class ChainFault:
    """What is wrong with a chain, and with which of its certificates."""

    fault: TLSFault
    faulty: int | None


def trust_fault(chain: tuple[Certificate, ...], trusted: tuple[Certificate, ...]) -> ChainFault:
    """Tell a missing intermediate from an untrusted authority.

    Where the last certificate that the leaf leads to is not self-signed, and its issuer is neither sent nor trusted, the missing
    one is an intermediate if a trusted authority bears the issuer's name in all but its rank. The missing one's own
    issuer is not known, for nothing is fetched (AIA), so kinship of names is the only sign.
    """
    top = _top(chain)
    certificate = chain[top]
    if certificate.facts.self_signed or not certificate.issuer:
        return ChainFault(TLSFault.UNTRUSTED, top)
    if any(authority.subject == certificate.issuer for authority in trusted):
        return ChainFault(TLSFault.UNTRUSTED, top)  # same name, other key
    if "root" in _words(certificate.issuer_common_name):
        return ChainFault(TLSFault.UNTRUSTED, top)  # servers need not send roots
    if any(_kin(certificate, authority) for authority in trusted):
        return ChainFault(TLSFault.CHAIN_INCOMPLETE, top)
    return ChainFault(TLSFault.UNTRUSTED, top)


def _top(chain: tuple[Certificate, ...]) -> int:
    """Return the index of the certificate at which the leaf's line of issuers ends."""
    position = 0
    for _ in chain:
        issuer = chain[position].issuer
        above = next((i for i, one in enumerate(chain) if i != position and one.subject == issuer and issuer), None)
        if above is None or chain[position].facts.self_signed:
            break
        position = above
    return position


def _kin(certificate: Certificate, authority: Certificate) -> bool:
    organisation = certificate.issuer_organisation.lower()
    theirs = authority.subject_organisation.lower()
    if organisation and theirs:
        return theirs in (organisation, _ISSUED_UNDER.get(organisation))
    own = _words(certificate.issuer_common_name) - _COMMON_WORDS
    return bool(own) and own == _words(authority.subject_common_name) - _COMMON_WORDS


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
