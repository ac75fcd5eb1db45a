"""Certificates of agents and tokens as a cluster would give them out."""

import base64
import datetime as dt
import json
import time
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Pair:
    """A client certificate with URIs, signed by its own authority, written to `folder`."""

    def __init__(self, folder: Path, *uris: str, name: str = "agent", number: int = 1) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        signer = ec.generate_private_key(ec.SECP256R1())
        self.authority = folder / f"agents-ca-{number}.pem"
        self.certificate, self.key = folder / f"{name}-{number}.pem", folder / f"{name}-{number}-key.pem"
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {number}")])
        root = _builder(issuer, issuer, signer.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        leaf = _builder(subject, issuer, key.public_key())
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            leaf = leaf.add_extension(x509.SubjectAlternativeName([*names, x509.DNSName("node-z")]), critical=False)
        pem = serialization.Encoding.PEM
        self.authority.write_bytes(root.sign(signer, hashes.SHA256()).public_bytes(pem))
        self.certificate.write_bytes(leaf.sign(signer, hashes.SHA256()).public_bytes(pem))
        self.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - dt.timedelta(days=1), now + dt.timedelta(days=1)
    )


class ServerFiles:
    """The collector's certificate for `localhost`, and its authority."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.certificate, self.key = folder / "ca", folder / "cert", folder / "key"
        self.renew()

    def renew(self, authority: trustme.CA | None = None) -> None:
        leaf = (authority or self.authority).issue_cert("localhost")
        (authority or self.authority).cert_pem.write_to_path(str(self.ca))
        # As the kubelet changes a mounted Secret: what is there before is replaced, not written over.
        for path, pem in ((self.certificate, leaf.cert_chain_pems[0]), (self.key, leaf.private_key_pem)):
            fresh = path.with_suffix(".new")
            pem.write_to_path(str(fresh))
            fresh.replace(path)

    @property
    def settings(self) -> dict[str, str]:
        return {"tls_certificate": str(self.certificate), "tls_key": str(self.key)}


def token(*, audience: object = ("pullwhy",), seconds: float | None = 3600.0, number: int = 1) -> str:
    """Return what looks like a projected service account token; only the API server can tell whether it is one."""
    claims: dict[str, object] = {"aud": audience, "jti": number}
    if seconds is not None:
        claims["exp"] = int(time.time() + seconds)
    parts = [json.dumps({"alg": "RS256"}).encode(), json.dumps(claims).encode(), f"signature-{number}".encode()]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
