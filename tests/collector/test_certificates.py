"""The collector's certificates are used whole or not at all, and tell when they end."""

import logging
import ssl
from pathlib import Path

import pytest
import trustme
from collector.minted import ServerFiles

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
