"""Begin and end of a certificate are what a cryptography library reads, and damage is told as none."""

import datetime as dt

import pytest
import trustme
from cryptography import x509

from pullwhy.probe.validity import validity


@pytest.mark.parametrize("year", [2049, 2050])
def test_begin_and_end_are_those_of_the_first_certificate(year: int) -> None:
    authority = trustme.CA()
    leaf = (
        authority.issue_cert("localhost", not_after=dt.datetime(year, 12, 31, tzinfo=dt.UTC)).cert_chain_pems[0].bytes()
    )
    parsed = x509.load_pem_x509_certificate(leaf)
    chain = f"a comment\n{leaf.decode()}{authority.cert_pem.bytes().decode()}"
    assert validity(chain) == (parsed.not_valid_before_utc, parsed.not_valid_after_utc)


def test_what_is_no_certificate_has_none() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    lines = pem.splitlines()
    for damaged in ("", "text", pem[:200], "\n".join([lines[0], lines[5], lines[-1]]), f"{lines[0]}\n{lines[-1]}"):
        assert validity(damaged) is None
