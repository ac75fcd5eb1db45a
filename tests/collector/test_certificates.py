"""The collector's certificates are used whole or not at all, and tell when they end."""

import asyncio
import datetime as dt
import logging
import math
import ssl
from pathlib import Path

import pytest
import trustme
from collector.minted import ServerFiles
from collector.samples import collector, get
from cryptography import x509

from pullwhy.collector.access import certificates
from pullwhy.collector.access.certificates import Certificates, Content, Files


def shows(context: ssl.SSLContext, authority: Path) -> bool:
    """Return whether a client that trusts `authority` alone comes to terms with a server of this context."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=str(authority))
    client = trusting.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * 4:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return False
    return True


class Swapped(Certificates):
    """Certificates whose files are taken away as soon as they were read."""

    def _read(self) -> Content:
        content = super()._read()
        for path in self._files.all():
            path.unlink()
        return content


def test_what_was_read_is_what_https_shows_though_the_files_are_others_by_then(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path)
    serving = Swapped(Files(files.certificate, files.key))
    context = serving.server_context()
    assert shows(context, files.ca)
    files.renew(trustme.CA())
    assert not shows(context, files.ca)
    assert serving.changed()
    assert shows(context, files.ca)


def test_remarks_in_any_language_may_stand_between_the_blocks(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path)
    for path in (files.certificate, files.ca):
        path.write_bytes("friendlyName: für Müller\n".encode() + path.read_bytes())
    assert shows(Certificates(Files(files.certificate, files.key, files.ca)).server_context(), files.ca)


def test_what_is_too_large_for_a_certificate_is_told_as_that(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path)
    files.certificate.write_bytes(b"#" * 40_000)
    with pytest.raises(certificates.UnusableCertificate, match="too large"):
        Certificates(Files(files.certificate, files.key))


def test_files_that_cannot_be_used_are_told_once_and_read_again_after_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files, now = ServerFiles(tmp_path), [0.0]
    serving = Certificates(Files(files.certificate, files.key), lambda: now[0])
    files.renew(trustme.CA())
    away = files.key.rename(tmp_path / "away")
    for _ in range(3):
        assert not serving.changed()
    assert len(caplog.records) == 1
    away.rename(files.key)
    caplog.set_level(logging.INFO)
    assert serving.changed()
    files.certificate.write_bytes(b"half a certif")
    assert not serving.changed()
    now[0] += certificates.AGAIN_SECONDS
    caplog.clear()
    assert not serving.changed()
    assert "stays in use" in caplog.text


DAY = 86_400.0


@pytest.mark.parametrize(
    ("lasts", "left", "told"),
    [
        (365, 33, ""),
        (365, 29.5, "ends in 29.5 days"),
        (365, -1, "has ended"),
        (90, 29.5, ""),
        (90, 20, "ends in 20.0 days"),
    ],
)
def test_the_end_of_a_certificate_is_told_before_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lasts: int, left: float, told: str
) -> None:
    files = ServerFiles(tmp_path)
    begin = dt.datetime.now(dt.UTC)
    leaf = files.authority.issue_cert("localhost", not_before=begin, not_after=begin + dt.timedelta(days=lasts))
    leaf.cert_chain_pems[0].write_to_path(str(files.certificate))
    leaf.private_key_pem.write_to_path(str(files.key))
    now = [0.0]
    serving = Certificates(Files(files.certificate, files.key), wall=lambda: now[0])
    begins, ends = serving.valid
    parsed = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert (begins, ends) == (parsed.not_valid_before_utc.timestamp(), parsed.not_valid_after_utc.timestamp())
    for hours in (0, 1, 23):
        now[0] = ends - left * DAY + hours * 3600
        serving.warn()
    assert len(caplog.records) == bool(told)
    assert told in caplog.text
    now[0] += DAY
    serving.warn()
    assert len(caplog.records) == 2 * bool(told)


def test_the_collector_tells_when_its_certificate_ends(tmp_path: Path) -> None:
    files = ServerFiles(tmp_path)
    ends = x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc.timestamp()

    async def scenario(**settings: str) -> float:
        async with collector(tmp_path, **settings) as running:
            _, text, _ = await asyncio.to_thread(get, running.http_address, "/metrics")
            (line,) = [line for line in text.splitlines() if line.startswith("pullwhy_collector_certificate_not_after")]
            return float(line.split()[1])

    assert asyncio.run(scenario(**files.settings)) == ends
    assert asyncio.run(scenario()) == math.inf
