"""Each certificate has the flaw that it was made with, and no other."""

import datetime as dt

import pytest
from cryptography import x509

from lab.certificates import FLAWS, Authority
from lab.errors import LabError

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
AUTHORITY = Authority("test", NOW)


def chain(flaw: str | None) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(AUTHORITY.issue("reg.lab.test", "10.90.0.10", flaw=flaw).chain)


@pytest.mark.parametrize("flaw", [None, *sorted(FLAWS)])
def test_a_flaw_is_the_only_one(flaw: str | None) -> None:
    certificates = chain(flaw)
    leaf = certificates[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert (names != ["reg.lab.test"]) is (flaw == "wrong-name")
    assert (leaf.not_valid_after_utc < NOW) is (flaw == "expired")
    assert (leaf.not_valid_before_utc > NOW) is (flaw == "not-yet-valid")
    assert (len(certificates) == 1) is (flaw in {"missing-intermediate", "self-signed"})
    assert (leaf.issuer == leaf.subject) is (flaw == "self-signed")
    by_us = leaf.issuer == AUTHORITY.intermediate.certificate.subject
    assert by_us is (flaw not in {"self-signed", "unknown-ca"})


def test_an_unknown_flaw_is_an_error() -> None:
    with pytest.raises(LabError, match="no certificate flaw 'ugly'"):
        AUTHORITY.issue("reg.lab.test", flaw="ugly")
