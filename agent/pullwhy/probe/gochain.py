"""Verifies a server's chain as Go does, with Go's words for a refusal (Go 1.27: crypto/x509/verify.go, crypto/tls).

OpenSSL and Go differ in both directions: Go refuses a name that only the common name gives, SHA-1, and what it cannot parse;
OpenSSL refuses `*.lan`, key identifiers that do not match, and key usages that Go does not look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pullwhy.frozen import frozen
from pullwhy.plan import GoBuild
from pullwhy.probe import gocert, gonames
from pullwhy.probe.gocert import GoCertificate, GoRefuses
from pullwhy.text import printable
from pullwhy.trace import TLSFault

MAX_SIGNATURES: Final = 100
"""Signatures checked for one chain (maxChainSignatureChecks)."""
MAX_SENT: Final = 32
"""Certificates read of one chain."""
MAX_RSA_BITS: Final = 8192
MIN_RSA_BITS: Final = 1024
"""Go 1.24 and later: crypto/rsa, GODEBUG rsa1024min."""

_ANY_USAGE: Final = "2.5.29.37.0"
_SERVER_USAGE: Final = "1.3.6.1.5.5.7.3.1"
_HASHES: Final = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_ED25519: Final = "1.3.101.112"
_PSS: Final = "1.2.840.113549.1.1.10"
_INSECURE: Final = {
    "1.2.840.113549.1.1.2": "MD2-RSA",
    "1.2.840.113549.1.1.4": "MD5-RSA",
    "1.2.840.113549.1.1.5": "SHA1-RSA",
    "1.3.14.3.2.29": "SHA1-RSA",
    "1.2.840.10045.4.1": "ECDSA-SHA1",
}
_NO_SHA1: Final = 24
"""Go 1.24 took the setting x509sha1 away."""
_CANNOT_SIGN: Final = "x509: invalid signature: parent certificate cannot sign this kind of certificate"


@frozen
class Refusal:
    """Why Go refuses a chain, and because of which of the certificates that were sent."""

    fault: TLSFault
    text: str
    at: int | None = 0
    authority: bytes = b""
    """The trusted certificate at fault, where it is none of those that were sent; DER."""


@frozen
class Roots:
    """Trusted certificates by their subject; each is read when it is needed first."""

    by_subject: Mapping[bytes, tuple[bytes, ...]]

    @classmethod
    def of(cls, ders: Sequence[bytes]) -> Roots:
        """Return the roots of DER certificates."""
        found: dict[bytes, tuple[bytes, ...]] = {}
        for one in ders:
            subject = gocert.subject_of(one)
            found[subject] = (*found.get(subject, ()), one)
        return cls(found)


def refusal(
    sent: Sequence[bytes], host: str, roots: Roots, now: datetime, go: GoBuild, *, verify: bool = True
) -> Refusal | None:
    """Return why a Go client of `host` refuses the chain `sent` (DER, leaf first), None where it takes it.

    Without `verify` (skip_verify) only what cannot be read is refused.
    """
    chain: list[GoCertificate] = []
    for index, one in enumerate(sent[:MAX_SENT]):
        try:
            chain.append(gocert.read(one, go))
        except GoRefuses as error:
            text = f"tls: failed to parse certificate from server: {error}"
            return Refusal(TLSFault.UNACCEPTABLE, text, index)
    if not chain:
        return Refusal(TLSFault.HANDSHAKE_FAILED, "tls: received empty certificates message", None)
    large = _rsa_bits(chain[0])
    if large > MAX_RSA_BITS and go.since(20):
        text = f"tls: server sent certificate containing RSA key larger than {MAX_RSA_BITS} bits"
        return Refusal(TLSFault.UNACCEPTABLE, text)
    found = _Verifier(chain, host, roots, now, go).refusal() if verify else None
    if found is None and 0 < large < MIN_RSA_BITS and go.since(24, "rsa1024min=0"):
        text = f"tls: invalid signature by the server certificate: crypto/rsa: {large}-bit keys are insecure"
        return Refusal(TLSFault.UNACCEPTABLE, text)
    return found


class _Verifier:
    def __init__(self, chain: list[GoCertificate], host: str, roots: Roots, now: datetime, go: GoBuild) -> None:
        self._sent = chain
        self._host = host
        self._roots = roots
        self._now = now
        self._go = go
        self._checked = 0
        self._ders: dict[GoCertificate, bytes] = {}
        """Trusted certificates that were looked at."""
        self._hint: Refusal | None = None
        """Why the first of those that bear the issuer's name is not the one that signed."""
        self._not_valid: Refusal | None = None

    def refusal(self) -> Refusal | None:
        leaf = self._sent[0]
        found = self._invalid(leaf, []) or self._wrong_name(leaf)
        if found is not None:
            return found
        chains = [[leaf]] if leaf in self._trusted(leaf.subject) else self._chains([leaf])
        if not chains:
            return self._unknown()
        if any(_serves(chain) for chain in chains):
            return None
        return Refusal(TLSFault.UNACCEPTABLE, "x509: certificate specifies an incompatible key usage")

    def _unknown(self) -> Refusal:
        """Say why there is no chain: a parent that is not valid counts as it is, one that did not sign is only a hint."""
        text = "x509: certificate signed by unknown authority"
        if self._not_valid is not None:
            return self._not_valid
        if self._hint is None:
            return Refusal(TLSFault.UNTRUSTED, text, None)
        return replace(self._hint, text=f"{text} (possibly because of {self._hint.text})")

    def _wrong_name(self, leaf: GoCertificate) -> Refusal | None:
        text = gonames.mismatch(leaf, self._host)
        return Refusal(TLSFault.NAME_MISMATCH, text) if text else None

    def _chains(self, chain: list[GoCertificate]) -> list[list[GoCertificate]]:
        child = chain[-1]
        roots = self._trusted(child.issuer)
        found = [[*chain, root] for root in roots if self._is_parent(root, chain, intermediate=False)]
        for other in self._sent[1:]:
            if other.subject == child.issuer and self._is_parent(other, chain, intermediate=True):
                found += self._chains([*chain, other])
        return found

    def _trusted(self, subject: bytes) -> list[GoCertificate]:
        found = []
        for one in self._roots.by_subject.get(subject, ()):
            try:
                certificate = gocert.read(one, self._go)
            except GoRefuses:
                continue  # Go's pool passes over what it cannot read
            self._ders[certificate] = one
            found.append(certificate)
        return found

    def _is_parent(self, parent: GoCertificate, chain: list[GoCertificate], *, intermediate: bool) -> bool:
        if any(
            (parent.subject, parent.key, parent.dns_names) == (one.subject, one.key, one.dns_names) for one in chain
        ):
            return False
        self._checked += 1
        if self._checked > MAX_SIGNATURES:
            return False
        unsigned = unsigned_by(chain[-1], parent, self._go)
        if unsigned is not None:
            fault, why = unsigned
            name = printable(parent.common_name, 100)
            hint = f'"{why}" while trying to verify candidate authority certificate "{name}"'
            self._hint = self._hint or Refusal(fault, hint, self._place(chain[-1]))
            return False
        invalid = self._invalid(parent, chain, intermediate=intermediate)
        self._not_valid = invalid or self._not_valid
        return invalid is None

    def _place(self, certificate: GoCertificate) -> int | None:
        return self._sent.index(certificate) if certificate in self._sent else None

    def _invalid(
        self, certificate: GoCertificate, chain: list[GoCertificate], *, intermediate: bool = False
    ) -> Refusal | None:
        """Return what Certificate.isValid finds wrong with the next certificate of a chain."""
        found = self._fault(certificate, chain, intermediate)
        if found is None:
            return None
        at = self._place(certificate)
        return Refusal(*found, at, self._ders.get(certificate, b"") if at is None else b"")

    def _fault(
        self, certificate: GoCertificate, chain: list[GoCertificate], intermediate: bool
    ) -> tuple[TLSFault, str] | None:
        if certificate.critical_unknown:
            return TLSFault.UNACCEPTABLE, "x509: unhandled critical extension"
        expired = "x509: certificate has expired or is not yet valid: current time {} is {} {}"
        now = _rfc3339(self._now)
        if self._now < certificate.not_before:
            return TLSFault.NOT_YET_VALID, expired.format(now, "before", _rfc3339(certificate.not_before))
        if self._now > certificate.not_after:
            return TLSFault.EXPIRED, expired.format(now, "after", _rfc3339(certificate.not_after))
        if chain:
            text = gonames.constrained(certificate, chain)
            if text:
                return TLSFault.UNACCEPTABLE, text
        if intermediate and not (certificate.basic_constraints and certificate.authority):
            return TLSFault.UNACCEPTABLE, "x509: certificate is not authorized to sign other certificates"
        if certificate.basic_constraints and 0 <= certificate.max_path < len(chain) - 1:
            return TLSFault.UNACCEPTABLE, "x509: too many intermediates for path length constraint"
        return None


def _serves(chain: list[GoCertificate]) -> bool:
    """Tell whether every certificate of a chain that names usages names that of servers, or any."""
    return all(not one.usages or {_SERVER_USAGE, _ANY_USAGE} & set(one.usages) for one in chain)


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def unsigned_by(child: GoCertificate, parent: GoCertificate, go: GoBuild) -> tuple[TLSFault, str] | None:
    """Return why Go does not take `child` as signed by `parent`, None where it does (Certificate.CheckSignatureFrom)."""
    no_authority = parent.version == 3 and not parent.basic_constraints  # noqa: PLR2004 - v3
    if no_authority or (parent.basic_constraints and not parent.authority) or parent.may_sign is False:
        return TLSFault.UNACCEPTABLE, _CANNOT_SIGN
    weak = _INSECURE.get(child.algorithm)
    if weak and not ("SHA1" in weak and _sha1_allowed(go)):
        mend = " (temporarily override with GODEBUG=x509sha1=1)" if "SHA1" in weak and 0 < go.minor < _NO_SHA1 else ""
        return TLSFault.UNACCEPTABLE, f"x509: cannot verify signature: insecure algorithm {weak}{mend}"
    try:
        _check(child, parent, go)
    except InvalidSignature:
        return TLSFault.UNTRUSTED, "the signature is not of this authority's key"
    except (UnsupportedAlgorithm, ValueError, TypeError) as error:
        return TLSFault.UNACCEPTABLE, f"x509: cannot verify signature: {printable(str(error), 100)}"
    return None


def _sha1_allowed(go: GoBuild) -> bool:
    return 0 < go.minor < _NO_SHA1 and go.setting("x509sha1") == "1"


def _check(child: GoCertificate, parent: GoCertificate, go: GoBuild) -> None:
    key = load_der_public_key(parent.key)
    digest = hashes.SHA1() if child.algorithm in _INSECURE else _HASHES.get(child.algorithm)  # noqa: S303 - refused above
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS and go.since(24, "rsa1024min=0"):
            raise ValueError(f"crypto/rsa: {key.key_size}-bit keys are insecure")
        if child.algorithm == _PSS:
            _check_pss(child, key)
        elif digest is None:
            raise UnsupportedAlgorithm("algorithm unimplemented")
        else:
            key.verify(child.signature, child.signed, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
        key.verify(child.signature, child.signed, ec.ECDSA(digest))
    elif isinstance(key, ed25519.Ed25519PublicKey) and child.algorithm == _ED25519:
        key.verify(child.signature, child.signed)
    else:
        raise UnsupportedAlgorithm("algorithm unimplemented")


def _check_pss(child: GoCertificate, key: rsa.RSAPublicKey) -> None:
    """Try the three forms that Go knows: salt as long as the digest (parser.go, getSignatureAlgorithmFromAI)."""
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        try:
            key.verify(child.signature, child.signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        except InvalidSignature:
            continue
        return
    raise InvalidSignature


def _rsa_bits(certificate: GoCertificate) -> int:
    try:
        key = load_der_public_key(certificate.key)
    except (UnsupportedAlgorithm, ValueError):
        return 0
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else 0
