"""Ways in which a server's certificate can be odd, and what Go makes of each. Compared with a real Go in the lab.

Where OpenSSL's verdict is another, the row says so: a walk that only asked OpenSSL would be wrong there.
"""

from collections.abc import Callable
from dataclasses import replace

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from walking.mint import (
    DAY,
    NOW,
    Certificate,
    Row,
    Served,
    authority,
    below_intermediate,
    extension,
    key,
    key_usage,
    leaf_only,
    names,
    raw_names,
    root_of,
    tlv,
    usage,
)

NAME = "name mismatch"
BAD = "certificate not acceptable"
AUTHORITY = (authority(), key_usage(key_cert_sign=True))


def _constrained(*, permitted: str = "", excluded: str = "") -> dict[str, object]:
    value = x509.NameConstraints(
        [x509.DNSName(permitted)] if permitted else None, [x509.DNSName(excluded)] if excluded else None
    )
    return {"extensions": (*AUTHORITY, extension(value, critical=True))}


def _wildcard(host: str) -> Served:
    return leaf_only(names(f"*.{host.partition('.')[2]}"))(host)


def _partial_wildcard(host: str) -> Served:
    return leaf_only(names(f"{host[0]}*.{host.partition('.')[2]}"))(host)


def _trailing_dot(host: str) -> Served:
    return leaf_only(names(f"{host}."))(host)


def _self_signed(host: str) -> Served:
    own = Certificate(host, key("ec", 2), None, (names(host),))
    return Served((own,), (own,))


def _identifiers_differ(host: str) -> Served:
    """The authority's identifier is one, the leaf names another, as after an authority was made anew from its key."""
    top = root_of(host, extensions=(*AUTHORITY, ("2.5.29.14", False, tlv(0x04, b"\x01" * 20))))
    own = ("2.5.29.35", False, tlv(0x30, tlv(0x80, b"\x02" * 20)))
    return Served((Certificate(host, key("ec", 2), top, (names(host), own)),), (top,))


def _cross_signed(host: str) -> Served:
    """The intermediate's signer is expired; another certificate of the same key is trusted in its place."""
    served = below_intermediate()(host)
    leaf, middle = served.chain
    old = replace(root_of(host), name=f"{host} old root", ends=NOW - DAY)
    crossed = replace(middle, signer=old)
    return Served((replace(leaf, signer=crossed), crossed, old), (middle,))


def _out_of_order(host: str) -> Served:
    served = below_intermediate()(host)
    stranger = Certificate("stranger", key("ec", 9), None, AUTHORITY)
    return Served((served.chain[0], stranger, served.chain[1]), served.roots)


def _extra(**changes: object) -> Callable[[str], Served]:
    """Send a good leaf, and behind it a certificate that nobody needs and Go cannot read."""

    def make(host: str) -> Served:
        served = leaf_only()(host)
        odd = replace(Certificate("extra", key("ec", 8), None, AUTHORITY), **changes)  # type: ignore[arg-type]
        return Served((*served.chain, odd), served.roots)

    return make


def _wrong_key(host: str) -> Served:
    """The trusted authority has the name, but not the key."""
    served = leaf_only()(host)
    return Served(served.chain, (replace(served.roots[0], key=key("ec", 7)),))


_OTHER = extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical=True)

ROWS: dict[str, Row] = {
    # taken
    "good": Row(leaf_only()),
    "good-chain": Row(below_intermediate()),
    "wildcard": Row(_wildcard),
    "wildcard-of-a-top-domain": Row(_wildcard, openssl=False, below="lan"),
    "self-signed-and-trusted": Row(_self_signed),
    "key-identifiers-differ": Row(_identifiers_differ, openssl=False),
    "any-extended-usage": Row(leaf_only(usage(Usage.ANY_EXTENDED_KEY_USAGE)), openssl=False),
    "serial-of-zero": Row(leaf_only(serial=b"\0")),
    "serial-of-25-bytes": Row(leaf_only(serial=b"\x7f" * 25)),
    "root-of-version-1": Row(leaf_only(root={"version": 1, "extensions": ()})),
    "expired-cross-signer": Row(_cross_signed),
    "chain-out-of-order": Row(_out_of_order),
    "path-of-zero": Row(leaf_only(root={"extensions": (authority(path=0), key_usage(key_cert_sign=True))})),
    "permitted-name": Row(leaf_only(root=_constrained(permitted="test"))),
    "md5-on-the-root-itself": Row(leaf_only(root={"key": key("rsa"), "digest": "md5"})),
    # names
    "common-name-only": Row(leaf_only(usage(Usage.SERVER_AUTH), extensions=()), "legacy Common Name", NAME),
    "wrong-name": Row(leaf_only(names("other.lab.test")), "certificate is valid for other.lab.test, not", NAME),
    "wildcard-of-two-labels": Row(leaf_only(names("*.test")), "certificate is valid for *.test, not", NAME),
    "partial-wildcard": Row(_partial_wildcard, "certificate is valid for", NAME),
    "dot-at-the-end": Row(_trailing_dot, "certificate is valid for", NAME),
    "address-as-name": Row(leaf_only(names("10.90.0.9")), "certificate is valid for 10.90.0.9, not", NAME),
    "no-names": Row(leaf_only(raw_names((0x87, b"\x0a\x5a\0\x09"))), "not valid for any names", NAME),
    # dates
    "expired": Row(leaf_only(ends=NOW - DAY), "certificate has expired", "expired"),
    "not-yet-valid": Row(leaf_only(begins=NOW + DAY), "is before", "not yet valid"),
    "expired-intermediate": Row(below_intermediate({"ends": NOW - DAY}), "certificate has expired", "expired"),
    "expired-root": Row(leaf_only(root={"ends": NOW - DAY}), "certificate has expired", "expired"),
    # trust
    "wrong-key": Row(_wrong_key, "signed by unknown authority", "untrusted"),
    "sha1": Row(leaf_only(root={"key": key("rsa")}, digest="sha1"), "insecure algorithm SHA1-RSA", BAD),
    "sha1-ecdsa": Row(leaf_only(digest="sha1"), "insecure algorithm ECDSA-SHA1", BAD),
    "md5": Row(leaf_only(root={"key": key("rsa")}, digest="md5"), "insecure algorithm MD5-RSA", BAD),
    "sha1-intermediate": Row(
        below_intermediate({"digest": "sha1"}, root={"key": key("rsa")}), "insecure algorithm SHA1-RSA", BAD
    ),
    "client-usage-only": Row(leaf_only(usage(Usage.CLIENT_AUTH)), "incompatible key usage", BAD),
    "intermediate-for-clients": Row(
        below_intermediate({"extensions": (*AUTHORITY, usage(Usage.CLIENT_AUTH))}), "incompatible key usage", BAD
    ),
    "intermediate-no-constraints": Row(below_intermediate({"extensions": ()}), "cannot sign this kind", BAD),
    "intermediate-no-authority": Row(below_intermediate({"extensions": (authority(ca=False),)}), "cannot sign", BAD),
    "root-no-constraints": Row(
        leaf_only(root={"extensions": (key_usage(key_cert_sign=True),)}), "cannot sign this kind", BAD, openssl=True
    ),
    "root-may-not-sign": Row(
        leaf_only(root={"extensions": (authority(), key_usage(digital_signature=True))}), "cannot sign this kind", BAD
    ),
    "path-too-long": Row(
        below_intermediate(root={"extensions": (authority(path=0), key_usage(key_cert_sign=True))}),
        "too many intermediates",
        BAD,
    ),
    "excluded-name": Row(leaf_only(root=_constrained(excluded="test")), "excluded by constraint", BAD),
    "name-not-permitted": Row(leaf_only(root=_constrained(permitted="example")), "not permitted by any", BAD),
    "unknown-critical": Row(leaf_only(_OTHER), "unhandled critical extension", BAD),
    # what Go cannot read
    "extra-duplicate-extension": Row(
        _extra(extensions=(authority(), usage(Usage.SERVER_AUTH), usage(Usage.SERVER_AUTH))),
        "contains duplicate extension",
        BAD,
        openssl=True,
    ),
    "underscore-in-printable": Row(leaf_only(name="a_b", name_tag=0x13), "invalid PrintableString", BAD, openssl=True),
    "address-of-5-bytes": Row(
        leaf_only(raw_names((0x87, b"\x0a\0\0\0\x08"))), "cannot parse IP address of length 5", BAD
    ),
    "name-not-ascii": Row(leaf_only(raw_names((0x82, b"r\xe9g.test"))), "SAN dNSName is malformed", BAD),
    "uri-with-an-odd-host": Row(
        leaf_only(raw_names((0x86, b"spiffe://a b/x"), (0x82, b"x.test"))), "cannot parse URI", BAD
    ),
    "algorithms-differ": Row(leaf_only(root={"key": key("rsa")}, outer_digest="sha1"), "inner and outer", BAD),
    "extra-unsupported-curve": Row(_extra(key=key("secp256k1")), "unsupported elliptic curve", BAD, openssl=True),
    "extra-no-parameters": Row(_extra(key=key("rsa"), rsa_parameters=False), "NULL parameters", BAD, openssl=True),
    "negative-serial": Row(
        leaf_only(serial=b"\xff\x01"),
        "negative serial number",
        BAD,
        debug="x509negativeserial=0",
        since=23,
        openssl=True,
    ),
    "negative-serial-allowed": Row(leaf_only(serial=b"\xff\x01"), debug="x509negativeserial=1"),
    "critical-key-identifier": Row(
        leaf_only(("2.5.29.14", True, tlv(0x04, b"\x01" * 20))),
        "incorrectly marked critical",
        BAD,
        since=23,
        openssl=True,
    ),
    "rsa-512": Row(leaf_only(key=key("rsa512")), "keys are insecure", BAD, debug="rsa1024min=1", since=24),
    "rsa-512-allowed": Row(leaf_only(key=key("rsa512")), debug="rsa1024min=0", openssl=False),
}
