"""Who asks: the bearer token of the queries reaches the collector, and nobody else."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pullwhy.cli.client import Client, Unauthorized, token_in
from pullwhy.cli.main import main
from pullwhy.collector.access.readers import _SEND

TOKEN = "s3cret-7f21"


class Collector(ThreadingHTTPServer):
    """Answers an empty list to who has the token, and redirects where it is told to."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.seen: list[str] = []
        self.elsewhere = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("authorization", ""))
        status = 302 if self.server.elsewhere else 200 if self.server.seen[-1] == f"Bearer {TOKEN}" else 401
        body = b'{"items": [], "next": null}' if status == 200 else json.dumps({"error": _SEND}).encode()
        self.send_response(status)
        self.send_header("location", self.server.elsewhere)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextlib.contextmanager
def collector(port: int = 0) -> Iterator[Collector]:
    with Collector(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with collector() as server:
        monkeypatch.setenv("PULLWHY_TOKEN", TOKEN)
        assert main(["findings", "--server", server.url, "-o", "json"]) == 0
        monkeypatch.setenv("PULLWHY_TOKEN", "of-somebody-else")
        assert main(["nodes", "--server", server.url, "--token-file", str(tmp_path / "token")]) == 0
    assert server.seen == [f"Bearer {TOKEN}"] * 2


def test_a_token_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("too-old")
    with collector() as server:
        client = Client(server.url, lambda: token_in(file))
        with pytest.raises(Unauthorized):
            client.one("/api/v1/findings", {})
        file.write_text(TOKEN)
        assert client.one("/api/v1/findings", {})["items"] == []


def test_who_is_not_let_in_is_told_how_and_nothing_of_the_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULLWHY_TOKEN", "wrong-token")
    with collector() as server:
        assert main(["findings", "--server", server.url]) == 1
    error = capsys.readouterr().err
    assert f"{_SEND}; give your token with --token-file or PULLWHY_TOKEN" in error
    assert error.count("PULLWHY_TOKEN") == 1
    assert "wrong-token" not in error


def test_the_token_does_not_follow_to_where_a_redirect_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULLWHY_TOKEN", TOKEN)
    with collector() as first, collector() as other:
        first.elsewhere = f"{other.url}/api/v1/findings"
        assert main(["findings", "--server", first.url]) == 1
        assert (first.seen, other.seen) == ([f"Bearer {TOKEN}"], [""])


@pytest.mark.parametrize("text", ["", "  \n", "two words", "sécret-7f21", "s3cret\x1b-7f21", "s3cret-7f21" * 10_000])
def test_what_is_no_token_is_a_usage_error_that_does_not_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "token").write_text(text)
    assert main(["findings", "--server", "http://127.0.0.1:1", "--token-file", str(tmp_path / "token")]) == 64
    error = capsys.readouterr().err
    assert f"{tmp_path}/token holds no token" in error
    assert "7f21" not in error


def test_a_token_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", "--server", "http://127.0.0.1:1", "--token-file", "/absent/token"]) == 64
    assert "the token in /absent/token cannot be read: No such file or directory" in capsys.readouterr().err
