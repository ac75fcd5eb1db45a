"""Server and client contexts with certificates minted on the spot, good and bad."""

import datetime as dt
import ssl
import tempfile
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pullwhy.plan import ClientPair
from pullwhy.secret import Secret

DAY = dt.timedelta(days=1)


def pem_of(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def serve(leaf: trustme.LeafCert, *, only_leaf: bool = False) -> ssl.SSLContext:
    """Return a server's context; `only_leaf` leaves the intermediates out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if only_leaf:
        load(context, leaf.cert_chain_pems[0].bytes() + leaf.private_key_pem.bytes())
    else:
        leaf.configure_cert(context)
    return context


def load(context: ssl.SSLContext, pem: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pair.pem")
        file.write_bytes(pem)
        context.load_cert_chain(file)


def demand_client(context: ssl.SSLContext, authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Make a server's context ask for a client certificate in one TLS version."""
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = context.minimum_version = version
    authority.configure_trust(context)
    return context


def pair_of(leaf: trustme.LeafCert) -> ClientPair:
    certificate = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    return ClientPair(certificate.decode(), Secret(leaf.private_key_pem.bytes().decode()))


def dated(authority: trustme.CA, name: str, begins: int, ends: int) -> ssl.SSLContext:
    """Return a context whose certificate is valid from `begins` to `ends`, in days from now."""
    now = dt.datetime.now(dt.UTC)
    leaf = authority.issue_cert(name, not_before=now + begins * DAY, not_after=now + ends * DAY)
    return serve(leaf)


class Plain:
    """Certificates made by hand: names and signers as the test wants them."""

    def __init__(self, common_name: str, organisation: str = "", signer: "Plain | None" = None, host: str = "") -> None:
        now = dt.datetime.now(dt.UTC)
        self.key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organisation:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        self.name = x509.Name(attributes)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name if signer else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=not host, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        self.certificate = builder.sign(signer.key if signer else self.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def serve(self, *others: "Plain") -> ssl.SSLContext:
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load(context, "".join(one.pem for one in (self, *others)).encode() + key)
        return context
