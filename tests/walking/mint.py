"""Certificates written byte by byte, so that they can be wrong in every way; and a table of ways with what Go makes of each."""

import base64
import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
DOMAIN = "lab.test"

ALGORITHMS = {
    ("rsa", "sha256"): "1.2.840.113549.1.1.11",
    ("rsa", "sha1"): "1.2.840.113549.1.1.5",
    ("rsa", "md5"): "1.2.840.113549.1.1.4",
    ("ec", "sha256"): "1.2.840.10045.4.3.2",
    ("ec", "sha1"): "1.2.840.10045.4.1",
}
HASHES = {"sha256": hashes.SHA256(), "sha1": hashes.SHA1(), "md5": hashes.MD5()}


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + len(content).to_bytes(size, "big") + content


def oid(dotted: str) -> bytes:
    numbers = [int(part) for part in dotted.split(".")]
    body = b""
    for number in [numbers[0] * 40 + numbers[1], *numbers[2:]]:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        body += bytes(reversed(groups))
    return tlv(0x06, body)


@functools.cache
def key(kind: str = "ec", _number: int = 0) -> Key:
    """Return a key; the same for the same words, because RSA keys take long to make."""
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "secp256k1":
        return ec.generate_private_key(ec.SECP256K1())
    if kind == "rsa512":
        return _small_rsa()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _small_rsa() -> rsa.RSAPrivateKey:
    """Return a key of 512 bits, which no library makes any more."""
    p, q, e = (
        94656352949113201710403865264152662110713246778520685778942262312816992989759,
        91635721720185181401856581960843411039994020129426396414435228107374916722897,
        65537,
    )
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


Extension = tuple[str, bool, bytes]


def extension(value: x509.ExtensionType, *, critical: bool = False) -> Extension:
    return value.oid.dotted_string, critical, value.public_bytes()


def names(*dns: str) -> Extension:
    return extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns]))


def raw_names(*entries: tuple[int, bytes]) -> Extension:
    return "2.5.29.17", False, tlv(0x30, *(tlv(tag, content) for tag, content in entries))


def authority(*, ca: bool = True, path: int | None = None) -> Extension:
    return extension(x509.BasicConstraints(ca, path if ca else None), critical=True)


def usage(*kinds: x509.ObjectIdentifier) -> Extension:
    return extension(x509.ExtendedKeyUsage(kinds))


def key_usage(**wanted: bool) -> Extension:
    kinds = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    flags = dict.fromkeys((*kinds, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False) | wanted
    return extension(x509.KeyUsage(**flags), critical=True)


@dataclass(frozen=True)
class Certificate:
    """One certificate; *signer* is None where it signs itself."""

    name: str
    key: Key
    signer: "Certificate | None" = None
    extensions: tuple[Extension, ...] = ()
    serial: bytes = b"\x01\x02\x03"
    version: int = 3
    digest: str = "sha256"
    begins: dt.datetime = NOW - DAY
    ends: dt.datetime = NOW + 30 * DAY
    name_tag: int = 0x0C
    tail: bytes = b""
    outer_digest: str = ""
    rsa_parameters: bool = True

    @property
    def subject(self) -> bytes:
        value = tlv(self.name_tag, self.name.encode("latin-1"))
        return tlv(0x30, tlv(0x31, tlv(0x30, oid("2.5.4.3"), value)))

    @functools.cached_property
    def der(self) -> bytes:
        signer = self.signer or self
        algorithm = _algorithm(signer.key, self.digest)
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if not self.rsa_parameters:
            public = tlv(0x30, public[4:].replace(b"\x30\x0d", b"\x30\x0b", 1).replace(b"\x05\x00", b"", 1))
        parts = [
            tlv(0xA0, tlv(0x02, bytes((self.version - 1,)))) if self.version > 1 else b"",
            tlv(0x02, self.serial),
            algorithm,
            signer.subject,
            tlv(0x30, _time(self.begins), _time(self.ends)),
            self.subject,
            public,
        ]
        if self.extensions:
            listed = [
                tlv(0x30, oid(kind), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))
                for kind, critical, value in self.extensions
            ]
            parts.append(tlv(0xA3, tlv(0x30, *listed)))
        signed = tlv(0x30, *parts)
        outer = _algorithm(signer.key, self.outer_digest or self.digest)
        return tlv(0x30, signed, outer, tlv(0x03, b"\0", _sign(signer.key, signed, self.digest))) + self.tail

    @property
    def pem(self) -> bytes:
        return x509_pem(self.der)


def x509_pem(der: bytes) -> bytes:
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = [text[place : place + 64] for place in range(0, len(text), 64)]
    return b"-----BEGIN CERTIFICATE-----\n" + b"\n".join(lines) + b"\n-----END CERTIFICATE-----\n"


def _algorithm(signer: Key, digest: str) -> bytes:
    kind = "rsa" if isinstance(signer, rsa.RSAPrivateKey) else "ec"
    return tlv(0x30, oid(ALGORITHMS[kind, digest]), b"\x05\x00" if kind == "rsa" else b"")


def _time(moment: dt.datetime) -> bytes:
    return tlv(0x17, f"{moment:%y%m%d%H%M%SZ}".encode())


def _sign(signer: Key, data: bytes, digest: str) -> bytes:
    if isinstance(signer, rsa.RSAPrivateKey):
        return signer.sign(data, padding.PKCS1v15(), HASHES[digest])
    return signer.sign(data, ec.ECDSA(HASHES[digest]))


@dataclass(frozen=True)
class Served:
    """What a server sends, and what the client trusts."""

    chain: tuple[Certificate, ...]
    roots: tuple[Certificate, ...]

    @property
    def ders(self) -> list[bytes]:
        return [one.der for one in self.chain]

    @property
    def key_pem(self) -> bytes:
        return self.chain[0].key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True)
class Row:
    """One kind of certificate: how it is made for a host, and Go's verdict, empty where Go takes it."""

    make: Callable[[str], Served]
    says: str = ""
    """Part of Go's words."""
    fault: str = ""
    debug: str = ""
    """GODEBUG under which it is so."""
    since: int = 0
    """Go 1.N from which on it is so; Go takes it before."""
    openssl: bool | None = None
    """OpenSSL's verdict where it is another than Go's."""
    below: str = ""
    """The host's domain where it must be a special one."""


def root_of(name: str, **changes: object) -> Certificate:
    plain = Certificate(f"{name} root", key("ec", 1), None, (authority(), key_usage(key_cert_sign=True)))
    return replace(plain, **changes)  # type: ignore[arg-type]


def leaf_only(
    *extensions: Extension, root: dict[str, object] | None = None, **changes: object
) -> Callable[[str], Served]:
    """Return a maker of a leaf below its own root; without extensions the leaf has the host's name."""

    def make(host: str) -> Served:
        top = root_of(host, **(root or {}))
        leaf = Certificate(host, key("ec", 2), top, (*extensions, names(host)) if _nameless(extensions) else extensions)
        return Served((replace(leaf, **changes),), (top,))  # type: ignore[arg-type]

    return make


def _nameless(extensions: tuple[Extension, ...]) -> bool:
    return all(kind != "2.5.29.17" for kind, _, _ in extensions)


def below_intermediate(
    middle: dict[str, object] | None = None, root: dict[str, object] | None = None, **changes: object
) -> Callable[[str], Served]:
    """Return a maker of a leaf below an intermediate below a root."""

    def make(host: str) -> Served:
        top = root_of(host, **(root or {}))
        plain = Certificate(f"{host} intermediate", key("ec", 3), top, (authority(), key_usage(key_cert_sign=True)))
        between = replace(plain, **(middle or {}))  # type: ignore[arg-type]
        leaf = replace(Certificate(host, key("ec", 2), between, (names(host),)), **changes)  # type: ignore[arg-type]
        return Served((leaf, between), (top,))

    return make
