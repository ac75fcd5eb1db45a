"""TLS contexts as near to Go's client as OpenSSL allows, one for each effective trust, and cached: one costs 40 ms and 1 MiB.

Known differences from Go 1.27 (crypto/tls): OpenSSL's order of groups, suites and extensions is its own; it has no X25519MLKEM768
before 3.5, for whose size hello.py stands in; RSA key exchange, which containerd before 2.0 still offered, is not offered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pullwhy import clientpair
from pullwhy.frozen import frozen
from pullwhy.plan import ClientPair, Endpoint
from pullwhy.probe.gochain import Roots
from pullwhy.probe.x509 import Certificate, read

MAX_CONTEXTS: Final = 8
"""Contexts kept; a node has few kinds of trust."""
MAX_AUTHORITIES: Final = 2_000
"""Certificates read of one trust store; Debian's has about 140."""

_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]{1,100000})-----END ")
_SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:@SECLEVEL=1"
)
"""TLS 1.2 suites of Go 1.27; level 1 as Go: RSA keys from 1024 bits, no SHA-1 signatures on certificates."""


@frozen
class Trust:
    """What a connection trusts and shows."""

    authorities: tuple[str, ...]
    """PEM texts."""
    client: tuple[ClientPair, ...] = ()
    verify: bool = True
    openssl: bool = True
    """False where OpenSSL refuses what Go takes: then Go's rules alone judge the chain."""

    @classmethod
    def of(cls, endpoint: Endpoint, system: str, *, own_host: bool) -> Trust:
        """Return the trust under which the runtime talks to an endpoint, or to where it leads.

        The client certificate is shown to the endpoint's own host only, though the runtime would show it to whoever asks.
        """
        client = endpoint.client if own_host else ()
        return cls((system, *endpoint.ca), client, verify=not endpoint.skip_verify)


@dataclass(slots=True)
class Context:
    """A context and, read when first needed, the authorities that it trusts."""

    ssl: ssl.SSLContext
    ders: tuple[bytes, ...]
    verify: bool = True
    """Whether the chain is judged at all."""
    openssl: bool = True
    _authorities: tuple[Certificate, ...] | None = None
    _roots: Roots | None = None

    def roots(self) -> Roots:
        """Return the trusted authorities as Go's verifier looks them up."""
        if self._roots is None:
            self._roots = Roots.of(self.ders)
        return self._roots

    def authorities(self) -> tuple[Certificate, ...]:
        """Return the trusted authorities."""
        if self._authorities is None:
            self._authorities = tuple(read(der) for der in self.ders)
        return self._authorities


class Contexts:
    """Contexts by trust, the least used forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Context] = OrderedDict()

    def get(self, trust: Trust) -> Context:
        """Return the context for `trust`; raises UnusableClientPair."""
        key = _key(trust)
        context = self._known.get(key)
        if context is None:
            context = self._known[key] = _build(trust)
            if len(self._known) > MAX_CONTEXTS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return context


def _key(trust: Trust) -> bytes:
    digest = hashlib.sha256(bytes((trust.verify, trust.openssl)))
    for text in (*trust.authorities, "", *(part for p in trust.client for part in (p.certificate, p.key.reveal()))):
        digest.update(len(text).to_bytes(8, "big") + text.encode("utf-8", "replace"))
    return digest.digest()


def _build(trust: Trust) -> Context:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Go's own rules judge small keys where OpenSSL is not asked.
    context.set_ciphers(_SUITES if trust.openssl else _SUITES.replace("SECLEVEL=1", "SECLEVEL=0"))
    context.set_alpn_protocols(["http/1.1"])
    context.hostname_checks_common_name = False  # Go ignores the common name since 1.15
    # Every certificate in Go's pool is an anchor, an intermediate too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not (trust.verify and trust.openssl):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    ders = certificates("\n".join(trust.authorities))
    _load_authorities(context, ders)
    for pair in reversed(
        trust.client
    ):  # of several with one kind of key the last loaded is used, Go's choice is the first
        clientpair.load(context, pair.certificate, pair.key.reveal())
    return Context(context, ders, trust.verify, trust.openssl)


def certificates(pem: str) -> tuple[bytes, ...]:
    """Return the certificates of a PEM text as DER; what is no certificate is passed over, as Go does."""
    found: list[bytes] = []
    for block in _BLOCK.finditer(pem):
        try:
            found.append(base64.b64decode("".join(block[1].split()), validate=True))
        except binascii.Error:
            continue
        if len(found) == MAX_AUTHORITIES:
            break
    return tuple(found)


def _load_authorities(context: ssl.SSLContext, ders: tuple[bytes, ...]) -> None:
    if not ders:
        return
    try:
        context.load_verify_locations(cadata=b"".join(ders))
    except ssl.SSLError:
        for der in ders:
            try:
                context.load_verify_locations(cadata=der)
            except ssl.SSLError:
                continue  # Go passes over what it cannot parse
