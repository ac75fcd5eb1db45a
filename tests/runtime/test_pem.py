import base64
import time

import pytest

from pullwhy.runtime.host import pem


def block(label: str, body: bytes = b"\x30\x01a", end: str = "") -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(body).decode()}\n-----END {end or label}-----\n"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("junk", 0),
        (block("CERTIFICATE"), 1),
        ("subject=x\n" + block("CERTIFICATE") * 2 + "tail", 2),
        (block("CERTIFICATE").replace("\n", "\r\n"), 1),
        (block("TRUSTED CERTIFICATE"), 0),
        (block("CERTIFICATE", end="X"), 0),
        (block("CERTIFICATE", b"\x31\x01a"), 0),
        (block("CERTIFICATE", b"\x30\x05a"), 0),
        (block("CERTIFICATE", b"\x30\x81\x80" + b"a" * 128), 1),
        (block("CERTIFICATE", b"\x30\x80"), 0),
        ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", 0),
        ("-----BEGIN CERTIFICATE-----\n" + block("CERTIFICATE"), 1),
    ],
)
def test_certificates_are_counted_as_go_counts_them(text: str, count: int) -> None:
    assert len(pem.certificates(text)) == count


def test_the_first_private_key_counts() -> None:
    text = block("CERTIFICATE") + block("RSA PRIVATE KEY", b"1") + block("PRIVATE KEY", b"2")
    assert pem.private_key(text) == block("RSA PRIVATE KEY", b"1")
    assert pem.private_key(block("CERTIFICATE")) == ""


def test_blocks_without_end_take_linear_time() -> None:
    begun = time.monotonic()
    assert list(pem.blocks("-----BEGIN A-----\n" * 50_000)) == []
    assert time.monotonic() - begun < 2
