"""Certificates of the lab's servers: good ones, and each way in which one can be wrong."""

import dataclasses
import datetime as dt
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.errors import LabError

FLAWS = frozenset({"expired", "not-yet-valid", "wrong-name", "missing-intermediate", "self-signed", "unknown-ca"})
_DAY = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """A private key and what the server sends, leaf first, both as PEM."""

    chain: bytes
    key: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody who can sign: a certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A certificate authority of the lab: a root, an intermediate below it, and what they sign."""

    def __init__(self, name: str, now: dt.datetime) -> None:
        self._now = now
        self.root = self._issuer(f"{name} root", None)
        self.intermediate = self._issuer(f"{name} intermediate", self.root)

    @property
    def pem(self) -> bytes:
        """The root's certificate: what a node must trust."""
        return self.root.pem

    def issue(self, *names: str, flaw: str | None = None) -> Pair:
        """Return a server certificate for host names or addresses, with at most one of FLAWS; raises LabError."""
        if flaw is not None and flaw not in FLAWS:
            raise LabError(f"no certificate flaw {flaw!r}: {', '.join(sorted(FLAWS))}")
        if flaw == "unknown-ca":
            return Authority("unknown lab", self._now).issue(*names)
        begins, ends = self._now - _DAY, self._now + 30 * _DAY
        if flaw == "expired":
            begins, ends = self._now - 30 * _DAY, self._now - _DAY
        if flaw == "not-yet-valid":
            begins = self._now + 7 * _DAY
        wanted = ("other.lab.test",) if flaw == "wrong-name" else names
        key = ec.generate_private_key(ec.SECP256R1())
        signer = None if flaw == "self-signed" else self.intermediate
        leaf = _sign(names[0], key, signer, (begins, ends), [x509.SubjectAlternativeName(_general(wanted))])
        sent = [leaf.public_bytes(serialization.Encoding.PEM)]
        if flaw not in {"self-signed", "missing-intermediate"}:
            sent.append(self.intermediate.pem)
        return Pair(b"".join(sent), _key_pem(key))

    def client(self, name: str) -> Pair:
        """Return a client certificate for mutual TLS, signed by the root itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        leaf = _sign(name, key, self.root, (self._now - _DAY, self._now + 30 * _DAY), [usage])
        return Pair(leaf.public_bytes(serialization.Encoding.PEM), _key_pem(key))

    def _issuer(self, name: str, signer: Issuer | None) -> Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        return Issuer(_sign(name, key, signer, (self._now - _DAY, self._now + 365 * _DAY), [basic]), key)


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: Issuer | None,
    valid: tuple[dt.datetime, dt.datetime],
    extensions: list[x509.ExtensionType],
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    own = (signer.key if signer else key).public_key()
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(signer.key if signer else key, hashes.SHA256())


def _general(names: tuple[str, ...]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
