"""Says which certificate of a refused chain is at fault, and how, in the order in which Go's verifier would find it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pullwhy.probe.destinations import parse_address
from pullwhy.probe.x509 import Certificate
from pullwhy.trace import CertificateFacts, TLSFault

# OpenSSL 3: x509_vfy.h
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NAME_CODES: Final = frozenset({62, 64})

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


@dataclass(frozen=True, slots=True)
class ChainFault:
    """What is wrong with a chain, and with which of its certificates."""

    fault: TLSFault
    faulty: int | None


def chain_fault(
    chain: tuple[Certificate, ...], host: str, code: int, now: datetime, trusted: tuple[Certificate, ...]
) -> ChainFault:
    """Return the fault of a chain that OpenSSL refused with `code`.

    OpenSSL builds the chain first; Go first looks at the leaf's dates and names (Go 1.27: crypto/x509/verify.go), and its word is
    what the kubelet prints. So the leaf is looked at here in Go's order before OpenSSL's code decides.
    """
    if not chain:
        return ChainFault(_from_code(code), None)
    leaf = chain[0].facts
    dated = _date_fault(leaf, now)
    if dated is not None:
        return ChainFault(dated, 0)
    if code in _NAME_CODES or not matches(host, leaf.names):
        return ChainFault(TLSFault.NAME_MISMATCH, 0)
    if code in (_EXPIRED, _NOT_YET_VALID):
        faulty = next((i for i, one in enumerate(chain) if _date_fault(one.facts, now) is not None), None)
        return ChainFault(_from_code(code), faulty)
    return _trust_fault(chain, trusted)


def _from_code(code: int) -> TLSFault:
    if code == _EXPIRED:
        return TLSFault.EXPIRED
    if code == _NOT_YET_VALID:
        return TLSFault.NOT_YET_VALID
    return TLSFault.NAME_MISMATCH if code in _NAME_CODES else TLSFault.UNTRUSTED


def _date_fault(facts: CertificateFacts, now: datetime) -> TLSFault | None:
    if facts.not_before == facts.not_after:
        return None  # unreadable
    if now > facts.not_after:
        return TLSFault.EXPIRED
    return TLSFault.NOT_YET_VALID if now < facts.not_before else None


def matches(host: str, names: tuple[str, ...]) -> bool:
    """Tell whether a certificate's names cover `host` (RFC 6125; a wildcard stands for one whole first label)."""
    address = parse_address(host)
    if address is not None:
        return any(parse_address(name) == address for name in names)
    wanted = host.rstrip(".").lower()
    _, _, parent = wanted.partition(".")
    return any(name.rstrip(".").lower() in (wanted, f"*.{parent}") for name in names)


def _trust_fault(chain: tuple[Certificate, ...], trusted: tuple[Certificate, ...]) -> ChainFault:
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
