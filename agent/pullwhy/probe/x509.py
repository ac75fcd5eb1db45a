"""Reads the certificates that a server sent; they may be hostile, so every list and text is bounded."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from pullwhy.frozen import frozen
from pullwhy.text import printable
from pullwhy.trace import CertificateFacts

MAX_CHAIN: Final = 10
"""Certificates read of one chain."""
MAX_CERTIFICATE: Final = 65_536
"""Bytes of the largest certificate that is read."""
MAX_NAMES: Final = 30
"""Subject alternative names kept of one certificate."""
MAX_TEXT: Final = 253
"""Characters kept of a subject, an issuer or a name."""

UNREADABLE: Final = "(unreadable certificate)"
_NO_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Certificate:
    """What is read of one certificate: the facts and what chain building needs beside them."""

    facts: CertificateFacts
    subject: bytes = b""
    """DER of the subject's name."""
    issuer: bytes = b""
    issuer_common_name: str = ""
    issuer_organisation: str = ""
    subject_common_name: str = ""
    subject_organisation: str = ""


def read_chain(chain: list[bytes]) -> tuple[Certificate, ...]:
    """Read a chain of DER certificates, leaf first; what cannot be read is said to be unreadable."""
    return tuple(read(der) for der in chain[:MAX_CHAIN])


def read(der: bytes) -> Certificate:
    """Read one DER certificate; never raises for its content."""
    digest = hashlib.sha256(der).hexdigest()
    if len(der) > MAX_CERTIFICATE:
        return Certificate(CertificateFacts(UNREADABLE, UNREADABLE, _NO_DATE, _NO_DATE, sha256=digest))
    try:
        return _read(x509.load_der_x509_certificate(der), digest)
    except Exception:  # noqa: BLE001 - the parser meets hostile bytes with many exceptions, all of them "unreadable"
        return Certificate(CertificateFacts(UNREADABLE, UNREADABLE, _NO_DATE, _NO_DATE, sha256=digest))


def _read(certificate: x509.Certificate, digest: str) -> Certificate:
    subject, issuer = certificate.subject, certificate.issuer
    facts = CertificateFacts(
        subject=printable(subject.rfc4514_string(), MAX_TEXT),
        issuer=printable(issuer.rfc4514_string(), MAX_TEXT),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        names=_names(certificate),
        self_signed=subject == issuer,
        sha256=digest,
    )
    return Certificate(
        facts,
        subject.public_bytes(),
        issuer.public_bytes(),
        _attribute(issuer, NameOID.COMMON_NAME),
        _attribute(issuer, NameOID.ORGANIZATION_NAME),
        _attribute(subject, NameOID.COMMON_NAME),
        _attribute(subject, NameOID.ORGANIZATION_NAME),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    names: list[str] = []
    for name in extension.value:
        if isinstance(name, x509.DNSName | x509.IPAddress):
            names.append(printable(str(name.value), MAX_TEXT))
        if len(names) == MAX_NAMES:
            break
    return tuple(names)


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return printable(str(found[0].value), MAX_TEXT) if found else ""
