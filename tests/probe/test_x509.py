from datetime import timedelta

from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from walking.certificates import Plain

from pullwhy.probe.x509 import MAX_CERTIFICATE, MAX_CHAIN, MAX_NAMES, UNREADABLE, read, read_chain


def test_a_certificate_is_read_with_its_names_and_dates() -> None:
    root = Plain("Corp Root CA", "Corp")
    leaf = read(Plain("leaf\x1b[31m", signer=root, host="registry.test").der)
    assert leaf.facts.names == ("registry.test",)
    assert leaf.facts.not_after - leaf.facts.not_before == timedelta(days=2)
    assert not leaf.facts.self_signed
    assert (leaf.issuer_common_name, leaf.issuer_organisation) == ("Corp Root CA", "Corp")
    assert "\x1b" not in leaf.facts.subject
    assert read(root.der).facts.self_signed


def test_names_and_chains_are_bounded() -> None:
    issuer = Plain("issuer")
    names = certificates.SubjectAlternativeName([certificates.DNSName(f"n{i}.test") for i in range(500)])
    built = (
        certificates.CertificateBuilder()
        .subject_name(issuer.name)
        .issuer_name(issuer.name)
        .public_key(issuer.key.public_key())
        .serial_number(1)
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(names, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    der = built.public_bytes(serialization.Encoding.DER)
    assert len(read(der).facts.names) == MAX_NAMES
    assert len(read_chain([der] * 100)) == MAX_CHAIN


def test_what_cannot_be_read_is_said_to_be_so() -> None:
    assert read(b"rubbish").facts.subject == UNREADABLE
    assert read(b"0" * (MAX_CERTIFICATE + 1)).facts.subject == UNREADABLE
    assert read(b"rubbish").facts.sha256 != read(b"other").facts.sha256


GOOD = Plain("Corp Root CA", "Corp", host="registry.test").der


@settings(deadline=None)
@given(st.data())
def test_damaged_certificates_never_raise(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for position in data.draw(st.lists(st.integers(0, len(GOOD) - 1), min_size=1, max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    assert len(read(bytes(damaged)).facts.sha256) == 64
