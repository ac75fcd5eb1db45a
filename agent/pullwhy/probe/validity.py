"""When a certificate begins and ends, out of its DER (RFC 5280, section 4.1), without a cryptography library."""

from __future__ import annotations

import binascii
from datetime import datetime
from typing import Final

from pullwhy.probe import der
from pullwhy.probe.der import Malformed

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
_VERSION: Final = 0xA0


def validity(pem: str) -> tuple[datetime, datetime] | None:
    """Return begin and end of the first certificate of a PEM text; None where they cannot be read."""
    body = pem.partition(_BEGIN)[2].partition(_END)[0]
    try:
        fields = der.only(binascii.a2b_base64(body), der.SEQUENCE).children()[0].children()
        # The version may be left out; serial number, algorithm and issuer come before the validity.
        begins, ends = fields[4 if fields[0].tag == _VERSION else 3].children()[:2]
        return der.time(begins), der.time(ends)
    except (Malformed, ValueError, IndexError):
        return None
