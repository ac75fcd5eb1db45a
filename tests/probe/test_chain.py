import pytest
from walking.certificates import Plain

from pullwhy.probe.chain import chain_fault, matches
from pullwhy.probe.x509 import Certificate, read
from pullwhy.trace import TLSFault

HOST = "registry.test"
NO_ISSUER = 20


def seen(*chain: Plain) -> tuple[Certificate, ...]:
    return tuple(read(one.der) for one in chain)


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("a.test", ("a.test",), True),
        ("A.Test.", ("a.test",), True),
        ("a.test", ("*.test",), True),
        ("b.a.test", ("*.test",), False),
        ("a.test", ("*.a.test",), False),
        ("test", ("*.test",), False),
        ("a.test", ("a*.test", "*"), False),
        ("a.test", (), False),
        ("10.0.0.1", ("10.0.0.1",), True),
        ("10.0.0.1", ("*.0.0.1", "10.0.0.2"), False),
        ("fd00::1", ("fd00:0::1",), True),
    ],
)
def test_names_cover_hosts_as_the_standard_says(host: str, names: tuple[str, ...], expected: bool) -> None:
    assert matches(host, names) is expected


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
    found = chain_fault(chain, HOST, NO_ISSUER, chain[0].facts.not_before, known)
    assert (found.fault, found.faulty) == (fault, 0)


def test_the_last_of_the_leafs_line_is_at_fault_whatever_else_was_sent() -> None:
    root = Plain("Corp Root CA")
    issuing = Plain("Corp Issuing CA", signer=root)
    leaf = Plain("leaf", signer=issuing, host=HOST)
    chain = seen(leaf, Plain("stray"), issuing)
    found = chain_fault(chain, HOST, NO_ISSUER, chain[0].facts.not_before, ())
    assert (found.fault, found.faulty) == (TLSFault.UNTRUSTED, 2)


def test_an_authority_of_the_same_name_with_another_key_is_untrusted() -> None:
    leaf = Plain("leaf", signer=Plain("Corp CA", "Corp"), host=HOST)
    chain = seen(leaf)
    found = chain_fault(chain, HOST, NO_ISSUER, chain[0].facts.not_before, seen(Plain("Corp CA", "Corp")))
    assert found.fault is TLSFault.UNTRUSTED


def test_without_a_chain_the_code_alone_decides() -> None:
    now = seen(Plain("x"))[0].facts.not_before
    faults = [chain_fault((), HOST, code, now, ()).fault for code in (10, 9, 62, 64, 20)]
    assert faults == [
        TLSFault.EXPIRED,
        TLSFault.NOT_YET_VALID,
        TLSFault.NAME_MISMATCH,
        TLSFault.NAME_MISMATCH,
        TLSFault.UNTRUSTED,
    ]
