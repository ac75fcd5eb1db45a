"""The readers' file is read again when it changes; a start without readers shows nothing."""

import asyncio
from pathlib import Path

import pytest
from collector.minted import ServerFiles
from collector.reading import FILE, TOKEN
from collector.samples import collector, get, until

from pullwhy.collector.access import readers
from pullwhy.collector.denials import Denied
from pullwhy.collector.service import StartError
from pullwhy.secret import Secret


def test_a_broken_file_is_told_again_while_it_is_broken_and_read_when_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, now = tmp_path / "readers.toml", 0.0
    file.write_text(FILE)
    known = readers.FileReaders(file, lambda: now)

    def jane_reads() -> bool:
        try:
            return asyncio.run(known.reader(Secret(TOKEN))).name == "jane"
        except Denied:
            return False

    file.write_text("[[readers]")
    told = []
    for seconds in (1.0, 0.5, 28.5, 31.0, 1.0, 59.0):
        now += seconds
        assert jane_reads()
        told.append(caplog.text.count("who could read before still can"))
    assert told == [1, 1, 1, 2, 2, 3]
    file.write_text(FILE.replace(TOKEN, "a-newer-token-of-jane"))
    now = 122.0
    assert not jane_reads()
    file.unlink()
    now = 123.0
    jane_reads()
    assert caplog.text.count("who could read before still can") == 4, "a new fault is told at once"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (f"token = {TOKEN}", "not TOML"),
        ("[[readers]]\nname = 'x'\n", "missing required field `token`"),
        ("[[readers]]\nname = 'x'\ntoken = 'short'\n", "length >= 16"),
        (FILE.replace(TOKEN, "two words of 20 letters"), "the token of 'jane' must be one word of ASCII characters"),
        (FILE.replace("may", "mya"), "unknown field `mya`"),
    ],
)
def test_a_file_that_names_no_readers_ends_the_start_without_showing_them(
    tmp_path: Path, content: str | None, told: str
) -> None:
    file = tmp_path / "readers.toml"
    if content is not None:
        file.write_text(content)

    async def scenario() -> None:
        async with collector(tmp_path, reader_auth="file", reader_tokens=str(file)):
            pass

    with pytest.raises(StartError, match=told) as error:
        asyncio.run(scenario())
    assert TOKEN not in str(error.value)
    assert "short" not in str(error.value)


def test_questions_over_tls_use_a_renewed_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    monkeypatch.setattr("pullwhy.collector.access.certificates.LOOK_SECONDS", 0.05)
    files = ServerFiles(tmp_path)

    def answers(address: str) -> bool:
        context = ssl.create_default_context(cafile=str(files.ca))
        port = address.rpartition(":")[2]
        try:
            with urllib.request.urlopen(f"https://localhost:{port}/healthz", context=context) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    async def scenario() -> None:
        async with collector(tmp_path, http_tls=True, **files.settings) as running:
            assert await asyncio.to_thread(answers, running.http_address)
            files.renew(type(files.authority)())
            await until(lambda: asyncio.to_thread(answers, running.http_address))

    asyncio.run(scenario())


def test_nobody_is_taken_for_whom_a_forwarded_header_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "readers.toml"
    file.write_text(FILE)

    async def scenario() -> None:
        async with collector(tmp_path, reader_auth="file", reader_tokens=str(file)) as running:
            for number in range(3):
                headers = {"x-forwarded-for": f"203.0.113.{number}", "x-forwarded-proto": "https"}
                assert (await asyncio.to_thread(get, running.http_address, "/api/v1/findings", headers))[0] == 401

    asyncio.run(scenario())
    (refused,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("refused (")]
    assert "127.0.0.1" in refused
    assert "203.0.113" not in caplog.text
