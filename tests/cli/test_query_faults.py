"""Every way in which a question to a collector fails is one clear line."""

import json
import socket
import threading

import pytest
from cli.answering import answering

from pullwhy.cli.client import Client, Unreachable
from pullwhy.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["findings", "--cause", "TagNotFond"], "did you mean TagNotFound?"),
        (["findings", "--cause", "dns"], "the nearest are DNS"),
        (["findings", "--cause", "zzz"], "the nearest are "),
        (["findings", "--state", "broken"], "known: Active, Recovered, Gone, Superseded, all"),
        (["findings", "--since", "yesterday"], "write how long ago"),
        (["findings", "--limit", "0"], "from 1 to 1000000"),
        (["findings", "-n", "a", "-A"], "not allowed with"),
        (["findings", "-o", "xml"], "invalid choice"),
        (["explain"], "required"),
    ],
)
def test_a_usage_error_names_the_option_and_exits_64(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "server",
    ["", "127.0.0.1:8080", "ftp://host", "http://", "http://h:99999", "http://h/?x=1", "http://a b", "http://é"],
)
def test_a_server_that_is_no_address_is_a_usage_error(capsys: pytest.CaptureFixture[str], server: str) -> None:
    assert main(["findings", "--server", server]) == 64
    assert "write http://HOST:PORT or https://HOST:PORT" in capsys.readouterr().err


def test_a_server_of_the_environment_is_not_blamed_on_the_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULLWHY_SERVER", "bogus")
    assert main(["findings"]) == 64
    assert "PULLWHY_SERVER bogus: write http://HOST:PORT" in capsys.readouterr().err
    assert main(["findings", "--server", "other"]) == 64
    assert "--server other: write http://HOST:PORT" in capsys.readouterr().err


def test_tls_to_a_plain_port_is_told_without_openssls_words(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, b"{}") as server:
        assert main(["findings", "--server", server.replace("http:", "https:")]) == 1
    error = capsys.readouterr().err
    assert "cannot be reached: it does not speak TLS: is it http://?; name it with --server" in error


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_port_is_told_in_words(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        with pytest.raises(Unreachable, match="cannot be reached: no answer in time; "):
            client.one("/api/v1/problems", {})


def test_what_speaks_no_http_is_told_in_words() -> None:
    def alert(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=alert, args=(listener,)).start()
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=5)
        with pytest.raises(Unreachable, match="does not speak HTTP: is it https://"):
            client.one("/api/v1/problems", {})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_collector_out_of_reach_is_named_with_the_mend(capsys: pytest.CaptureFixture[str]) -> None:
    server = f"http://127.0.0.1:{free_port()}"
    assert main(["findings", "--server", server]) == 1
    error = capsys.readouterr().err
    assert error.startswith(
        f"pullwhy findings: the collector at {server} cannot be reached: Connection refused; name it with --server"
    )
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"<html>login</html>", "the answer is no JSON object: is this a pullwhy collector?"),
        (200, b"[1]", "is this a pullwhy collector?"),
        (200, b"[" * 100_000, "is this a pullwhy collector?"),
        (404, b"<html>", "HTTP 404 without an explanation: is this a pullwhy collector?"),
        (500, b'{"error": "evil\\u001b[2J"}', "evil\\x1b[2J"),
        (503, b'{"error": "/var/c.db: the disk is full"}', "/var/c.db: the disk is full"),
    ],
)
def test_an_odd_answer_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], status: int, body: bytes, told: str
) -> None:
    with answering(status, body) as server:
        assert main(["findings", "--server", server]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
    assert "\x1b" not in error


def test_hostile_findings_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2J\u202eb\n"
    item = {
        "id": evil,
        "node": evil,
        "image": evil,
        "cause": evil,
        "pods": [{"namespace": evil}],
        "summary": evil,
        "kubelet": {},
    }
    with answering(200, json.dumps({"items": [item], "next": None}).encode()) as server:
        for output in ("table", "wide", "json", "yaml"):
            assert main(["findings", "--server", server, "-o", output]) == 0
            assert not set(capsys.readouterr().out) & {"\x1b", "\u202e"}
        assert main(["explain", "nginx", "--server", server]) == 0
        assert not set(capsys.readouterr().out) & {"\x1b", "\u202e"}
