"""Reads certificates as Go reads them, and refuses what Go refuses to read, in Go's own words.

Source: Go 1.27, crypto/x509/parser.go. What changed between Go 1.19 and 1.27 depends on the build (GoBuild.since). Not
looked at, because no registry was seen to fail on it: policies, URI and mail constraints, the address of revocation lists.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.plan import GoBuild
from pullwhy.probe import der
from pullwhy.probe.der import Element, Malformed
from pullwhy.text import printable

MAX_CERTIFICATE: Final = 65_536
"""Bytes of the largest certificate that is read."""
MAX_NAMES: Final = 1_000

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_COMMON_NAME: Final = "2.5.4.3"
_PRINTABLE: Final = re.compile(rb"[A-Za-z0-9 '()+,\-./:=?*&]*")
"""Go takes `*` and `&` too (encoding/asn1: isPrintable)."""
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_RSA_KEY, _EC_KEY = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
_CURVES: Final = frozenset({"1.3.132.0.33", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"})


class GoRefuses(Exception):
    """Go's parser does not take a certificate; the text is Go's."""


@frozen
class GoCertificate:
    """A certificate as Go sees it."""

    subject: bytes
    """DER, as the names of chains are compared."""
    issuer: bytes
    not_before: datetime
    not_after: datetime
    version: int
    signed: bytes
    """What the signature is over."""
    signature: bytes
    algorithm: str
    """OID of the signature's algorithm."""
    key: bytes
    """SubjectPublicKeyInfo, DER."""
    common_name: str = ""
    has_names: bool = False
    """Whether there are subject alternative names at all."""
    dns_names: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    basic_constraints: bool = False
    authority: bool = False
    max_path: int = -1
    """Authorities that may follow, -1 for any number."""
    may_sign: bool | None = None
    """The key usage keyCertSign; None without key usages."""
    usages: tuple[str, ...] = ()
    """OIDs of the extended key usages; empty for any."""
    critical_unknown: tuple[str, ...] = ()
    permitted: tuple[str | Network, ...] = ()
    excluded: tuple[str | Network, ...] = ()


def read(data: bytes, go: GoBuild) -> GoCertificate:
    """Read one DER certificate; raises GoRefuses."""
    if len(data) > MAX_CERTIFICATE:
        raise GoRefuses("x509: malformed certificate")
    with_text = _Parts(go)
    try:
        whole = der.only(data, der.SEQUENCE).children()
        return with_text.certificate(whole)
    except (ValueError, IndexError) as error:
        trailing = "trailing data" in str(error)
        raise GoRefuses("x509: trailing data" if trailing else with_text.doing) from error


def subject_of(data: bytes) -> bytes:
    """Return only the subject of a DER certificate, empty where it cannot be found."""
    try:
        fields = der.only(data[:MAX_CERTIFICATE], der.SEQUENCE).children()[0].children()
        return fields[5 if fields[0].tag == 0xA0 else 4].whole  # noqa: PLR2004 - the version is tag [0]
    except (Malformed, IndexError):
        return b""


class _Parts:
    """Reads a certificate part by part, knowing what Go would say of the part that is being read."""

    def __init__(self, go: GoBuild) -> None:
        self.go = go
        self.doing = "x509: malformed certificate"

    def certificate(self, whole: list[Element]) -> GoCertificate:
        """Return the certificate of the three parts in `whole`; raises GoRefuses, Malformed, IndexError."""
        signed, outer, signature = whole[:3]
        fields = signed.children()
        version = 1
        if fields[0].tag == 0xA0:  # noqa: PLR2004 - [0]
            self.doing = "x509: malformed version"
            version = der.integer(der.only(fields.pop(0).content, der.INTEGER).content) + 1
            if not 1 <= version <= 3:  # noqa: PLR2004 - v1 to v3
                raise GoRefuses("x509: invalid version")
        self._serial(fields[0])
        self.doing = "x509: malformed signature algorithm identifier"
        if fields[1].whole != outer.whole:
            raise GoRefuses("x509: inner and outer signature algorithm identifiers don't match")
        algorithm = der.oid(outer.children()[0].content)
        self._name(fields[2])
        self.doing = "x509: malformed validity"
        begins, ends = (der.time(element) for element in fields[3].children()[:2])
        common_name = self._name(fields[4])
        self._key(fields[5])
        found = GoCertificate(
            subject=fields[4].whole,
            issuer=fields[2].whole,
            not_before=begins,
            not_after=ends,
            version=version,
            signed=signed.whole,
            signature=_whole_bytes(signature),
            algorithm=algorithm,
            key=fields[5].whole,
            common_name=common_name,
        )
        extensions = next((field for field in fields[6:] if field.tag == 0xA3), None)  # noqa: PLR2004 - [3]
        return found if extensions is None or version < 3 else self._extended(found, extensions)  # noqa: PLR2004 - v3

    def _serial(self, element: Element) -> None:
        self.doing = "x509: malformed serial number"
        number = der.integer(element.content)
        if number < 0 and self.go.since(23, "x509negativeserial=1"):
            raise GoRefuses("x509: negative serial number")

    def _name(self, element: Element) -> str:
        """Check a name as Go does, and return its common name."""
        self.doing = "x509: invalid RDNSequence"
        common_name = ""
        for part in element.children():
            for attribute in part.children():
                kind, value = attribute.children()[:2]
                text = _string(value)
                if der.oid(kind.content) == _COMMON_NAME:
                    common_name = text
        return common_name

    def _key(self, element: Element) -> None:
        self.doing = "x509: malformed public key"
        algorithm = element.children()[0].children()
        kind = der.oid(algorithm[0].content)
        if kind == _RSA_KEY and (len(algorithm) < 2 or algorithm[1].tag != der.NULL):  # noqa: PLR2004 - with parameters
            raise GoRefuses("x509: RSA key missing NULL parameters")
        if kind == _EC_KEY:
            self.doing = "x509: invalid ECDSA parameters"
            if algorithm[1].tag != der.OID:
                raise GoRefuses(self.doing)
            if der.oid(algorithm[1].content) not in _CURVES:
                raise GoRefuses("x509: unsupported elliptic curve")

    def _extended(self, found: GoCertificate, extensions: Element) -> GoCertificate:
        self.doing = "x509: malformed extensions"
        seen: set[str] = set()
        for extension in der.only(extensions.content, der.SEQUENCE).children():
            parts = extension.children()
            kind = der.oid(parts[0].content)
            if kind in seen:
                raise GoRefuses("x509: certificate contains duplicate extension")
            seen.add(kind)
            critical = parts[1].tag == der.BOOLEAN and parts[1].content != b"\0"
            self.doing = "x509: malformed extension"
            reader = _READERS.get(kind)
            if reader is not None:
                self.doing = reader.refusal
                found = reader.read(found, parts[-1].content)
            if critical:
                found = self._criticalled(found, kind)
            self.doing = "x509: malformed extensions"
        return found

    def _criticalled(self, found: GoCertificate, kind: str) -> GoCertificate:
        word = _NEVER_CRITICAL.get(kind)
        if word and self.go.since(23):
            raise GoRefuses(f"x509: {word} incorrectly marked critical")
        known = kind in _READERS or kind in _KNOWN or word or (kind in _POLICIES and self.go.since(22))
        return found if known else replace(found, critical_unknown=(*found.critical_unknown, kind))


def _whole_bytes(element: Element) -> bytes:
    data, unused = der.bits(element.content)
    if element.tag != der.BIT_STRING or unused:
        raise Malformed("bits that fill no byte")
    return data


def _string(value: Element) -> str:
    """Read one of ASN.1's many kinds of text as Go does (parseASN1String); raises GoRefuses."""
    data = value.content
    match value.tag:
        case 0x13 if _PRINTABLE.fullmatch(data) is None:
            raise GoRefuses("x509: invalid RDNSequence: invalid attribute value: invalid PrintableString")
        case 0x0C:
            try:
                return data.decode()
            except UnicodeDecodeError:
                raise GoRefuses("x509: invalid RDNSequence: invalid attribute value: invalid UTF-8 string") from None
        case 0x1E:
            if len(data) % 2:
                raise GoRefuses("x509: invalid RDNSequence: invalid attribute value: invalid BMPString")
            return data.decode("utf-16-be", "replace")
        case 0x16 if any(byte > 127 for byte in data):  # noqa: PLR2004 - ASCII
            raise GoRefuses("x509: invalid RDNSequence: invalid attribute value: invalid IA5String")
        case 0x12 if any(byte not in b"0123456789 " for byte in data):
            raise GoRefuses("x509: invalid RDNSequence: invalid attribute value: invalid NumericString")
        case 0x13 | 0x14 | 0x16 | 0x12:
            pass
        case tag:
            raise GoRefuses(f"x509: invalid RDNSequence: invalid attribute value: unsupported string type: {tag}")
    return data.decode("latin-1")


def _names(found: GoCertificate, data: bytes) -> GoCertificate:
    dns_names: list[str] = []
    addresses: list[Address] = []
    for name in der.only(data, der.SEQUENCE).children()[:MAX_NAMES]:
        match name.tag:
            case 0x82:
                dns_names.append(_ascii(name.content, "x509: SAN dNSName is malformed"))
            case 0x81:
                _ascii(name.content, "x509: SAN rfc822Name is malformed")
            case 0x86:
                _uri(_ascii(name.content, "x509: SAN uniformResourceIdentifier is malformed"))
            case 0x87:
                if len(name.content) not in {4, 16}:
                    raise GoRefuses(f"x509: cannot parse IP address of length {len(name.content)}")
                addresses.append(ipaddress.ip_address(name.content))
    return replace(found, has_names=True, dns_names=tuple(dns_names), addresses=tuple(addresses))


def _ascii(data: bytes, refusal: str) -> str:
    if not data.isascii():
        raise GoRefuses(refusal)
    return data.decode()


def _uri(text: str) -> None:
    """Refuse a URI whose host is no domain name, as Go does whatever the rest of the certificate is for."""
    _, scheme, rest = text.partition("://")
    host = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    if not scheme or not host or host.startswith("["):
        return
    if not is_domain(host.partition(":")[0]):
        raise GoRefuses(f'x509: cannot parse URI "{printable(text, 100)}"')


def is_domain(name: str) -> bool:
    """Tell whether Go takes `name` for a domain (domainToReverseLabels): labels without anything odd, no dot at the end."""
    return bool(name) and all(_LABEL.fullmatch(label) for label in name.split("."))


def _basic(found: GoCertificate, data: bytes) -> GoCertificate:
    parts = der.only(data, der.SEQUENCE).children()
    authority = bool(parts) and parts[0].tag == der.BOOLEAN and parts[0].content != b"\0"
    numbers = [part for part in parts if part.tag == der.INTEGER]
    length = der.integer(numbers[0].content) if numbers else -1
    return replace(found, basic_constraints=True, authority=authority, max_path=length)


def _usage(found: GoCertificate, data: bytes) -> GoCertificate:
    flags, _ = der.bits(der.only(data, der.BIT_STRING).content)
    # Go takes all bits at zero for no key usage at all.
    return replace(found, may_sign=bool(flags[0] & 0x04) if any(flags) else None)


def _extended_usage(found: GoCertificate, data: bytes) -> GoCertificate:
    return replace(found, usages=tuple(der.oid(one.content) for one in der.only(data, der.SEQUENCE).children()))


def _constraints(found: GoCertificate, data: bytes) -> GoCertificate:
    for part in der.only(data, der.SEQUENCE).children():
        bases = tuple(base for one in part.children() for base in _base(one.children()[0]))
        found = replace(found, permitted=bases) if part.tag == 0xA0 else replace(found, excluded=bases)  # noqa: PLR2004 - [0]
    return found


def _base(element: Element) -> tuple[str | Network, ...]:
    if element.tag == 0x82:  # noqa: PLR2004 - dNSName
        text = _ascii(element.content, "x509: invalid constraint value: not IA5")
        if text and not is_domain(text.removeprefix(".")):
            raise GoRefuses(f'x509: failed to parse dnsName constraint "{printable(text, 100)}"')
        return (text,)
    if element.tag == 0x87:  # noqa: PLR2004 - iPAddress: address and mask
        half = len(element.content) // 2
        if half not in {4, 16}:
            raise GoRefuses(f"x509: IP constraint contained value of length {len(element.content)}")
        mask = int.from_bytes(element.content[half:], "big")
        length = mask.bit_count()
        if mask != ((1 << length) - 1) << (half * 8 - length):
            raise GoRefuses("x509: IP constraint contained invalid mask")
        return (ipaddress.ip_network((element.content[:half], length), strict=False),)
    return ()


@frozen
class _Reader:
    refusal: str
    read: Callable[[GoCertificate, bytes], GoCertificate]


_READERS: Final = {
    "2.5.29.15": _Reader("x509: invalid key usage", _usage),
    "2.5.29.17": _Reader("x509: invalid subject alternative names", _names),
    "2.5.29.19": _Reader("x509: invalid basic constraints", _basic),
    "2.5.29.30": _Reader("x509: invalid NameConstraints extension", _constraints),
    "2.5.29.37": _Reader("x509: invalid extended key usages", _extended_usage),
}
_KNOWN: Final = frozenset({"2.5.29.31", "2.5.29.32"})
"""Revocation lists, policies."""
_POLICIES: Final = frozenset({"2.5.29.33", "2.5.29.36", "2.5.29.54"})
_NEVER_CRITICAL: Final = {
    "2.5.29.35": "authority key identifier",
    "2.5.29.14": "subject key identifier",
    "1.3.6.1.5.5.7.1.1": "authority info access",
}
