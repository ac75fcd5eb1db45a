"""The port-forward's edges that a whole command would wait long for."""

import io
import os
import signal
import time
from pathlib import Path

import pytest
from cli.kubectl.standin import WHERE, Kubectl

from pullwhy.cli.client import TIMEOUT_SECONDS
from pullwhy.cli.kubectl.options import seconds
from pullwhy.cli.kubectl.program import Kubectl as Program
from pullwhy.cli.kubectl.said import Said, last_word
from pullwhy.cli.kubectl.tunnel import Tunnel, deferred
from pullwhy.cli.main import CommandError


@pytest.mark.slow
def test_a_kubectl_that_says_nothing_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin = Kubectl(tmp_path)
    standin.set(forward=["silent"])
    for name in ("PATH", WHERE):
        monkeypatch.setenv(name, standin.environment[name])
    tunnel = Tunnel(Program(()), "pullwhy", start_seconds=3)
    with pytest.raises(
        CommandError, match=r"kubectl port-forward: no port in 3 s; it said: To sign in, open https://login\Z"
    ):
        tunnel.open()
    began = time.monotonic()
    tunnel.close()
    assert time.monotonic() - began < 4
    tunnel.close()


def test_an_answer_is_not_waited_for_for_ever_and_what_waits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin = Kubectl(tmp_path)
    standin.set(forward=["silent"])
    for name in ("PATH", WHERE):
        monkeypatch.setenv(name, standin.environment[name])
    program = Program(())
    assert (program.seconds, Program((), terminal=io.BytesIO()).seconds) == (60, 300)
    program.seconds = 3
    with pytest.raises(CommandError, match=r"kubectl port-forward: no answer in 3 s; it said: To sign in, open"):
        program.ask("port-forward", "--address=127.0.0.1", "service/pullwhy-collector", ":http")


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([b"E", b"nter code: "], b"Enter code: "),
        ([b"err", b"or: no\n", b"errand\n"], b"errand\n"),
        ([b"error: no"], b""),
        ([b"I1126 01:17:07.3 a.go:1] x\nI11 you\n"], b"I11 you\n"),
        ([b"working\r", b"done   \n"], b"working\rdone   \n"),
    ],
)
def test_a_prompt_is_shown_before_its_line_ends_and_nothing_of_kubectls_own(pieces: list[bytes], shown: bytes) -> None:
    terminal = io.BytesIO()
    reading, writing = os.pipe()
    said = Said(os.fdopen(reading, "rb"), terminal)
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        for piece in pieces:
            pipe.write(piece)
            time.sleep(0.05)
        assert terminal.getvalue() == shown
    said.close()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (
            ["E1126 memcache.go:265] trouble", "error: no such context", "", "See 'kubectl -h'"],
            "error: no such context",
        ),
        (["one", "two\x1b[2J"], "two\\x1b[2J"),
        (["error: token=s3cret-4711 is refused"], "error: token=[redacted] is refused"),
        (["error: https://jane:s3cret@proxy:3128 refused"], "error: https://[redacted]@proxy:3128 refused"),
        ([], ""),
    ],
)
def test_kubectls_reason_is_picked_and_fit_to_be_shown(said: list[str], word: str) -> None:
    assert last_word(said) == word


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("500ms", 0.5), ("7s", 7), ("7", 7), ("2m", 120), ("1h", 3600), ("0", TIMEOUT_SECONDS), (None, TIMEOUT_SECONDS)],
)
def test_the_request_timeout_counts_for_the_collectors_answers_too(text: str | None, wanted: float) -> None:
    assert seconds(text) == wanted


def test_a_signal_waits_for_the_end_of_what_must_not_be_torn() -> None:
    steps: list[str] = []

    def interrupted() -> None:
        with deferred():
            signal.raise_signal(signal.SIGINT)
            steps.append("whole")
        steps.append("never")

    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert steps == ["whole"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, inherited)
