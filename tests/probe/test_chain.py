import pytest
from walking.certificates import Plain

from pullwhy.probe.chain import trust_fault
from pullwhy.probe.x509 import Certificate, read
from pullwhy.trace import TLSFault

HOST = "registry.test"


def seen(*chain: Plain) -> tuple[Certificate, ...]:
    return tuple(read(one.der) for one in chain)


@pytest.mark.parametrize(
    ("issuer", "organisation", "trusted", "trusted_organisation", "fault"),
    [
        ("Corp Issuing CA 01", "", "Corp Root CA", "", TLSFault.CHAIN_INCOMPLETE),
        ("lab intermediate", "", "lab root", "", TLSFault.CHAIN_INCOMPLETE),
        ("other lab intermediate", "", "lab root", "", TLSFault.UNTRUSTED),
        ("R3", "Let's Encrypt", "ISRG Root X1", "Internet Security Research Group", TLSFault.CHAIN_INCOMPLETE),
        ("Thing CA G2", "DigiCert Inc", "DigiCert Global Root G2", "DigiCert Inc", TLSFault.CHAIN_INCOMPLETE),
        ("Corp Root CA", "Corp", "Corp Other CA", "Corp", TLSFault.UNTRUSTED),
        ("CA", "", "Root CA", "", TLSFault.UNTRUSTED),
    ],
)
def test_a_missing_intermediate_is_known_by_its_kin(
    issuer: str, organisation: str, trusted: str, trusted_organisation: str, fault: TLSFault
) -> None:
    leaf = Plain("leaf", signer=Plain(issuer, organisation), host=HOST)
    known = seen(Plain(trusted, trusted_organisation))
    chain = seen(leaf)
    found = trust_fault(chain, known)
    assert (found.fault, found.faulty) == (fault, 0)


def test_the_last_of_the_leafs_line_is_at_fault_whatever_else_was_sent() -> None:
    root = Plain("Corp Root CA")
    issuing = Plain("Corp Issuing CA", signer=root)
    leaf = Plain("leaf", signer=issuing, host=HOST)
    chain = seen(leaf, Plain("stray"), issuing)
    found = trust_fault(chain, ())
    assert (found.fault, found.faulty) == (TLSFault.UNTRUSTED, 2)


def test_an_authority_of_the_same_name_with_another_key_is_untrusted() -> None:
    leaf = Plain("leaf", signer=Plain("Corp CA", "Corp"), host=HOST)
    chain = seen(leaf)
    found = trust_fault(chain, seen(Plain("Corp CA", "Corp")))
    assert found.fault is TLSFault.UNTRUSTED
