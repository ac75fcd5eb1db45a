"""Whom `kubectl pullwhy` shows to the collector: tokens, and where they come from."""

import contextlib
import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cli.kubectl.plugin import PLUGIN, run
from cli.kubectl.standin import Kubectl, kubeconfig
from cli.test_token import TOKEN, Collector, collector

pytestmark = pytest.mark.slow


@pytest.fixture
def asked(kubectl: Kubectl) -> Iterator[Collector]:
    """Demands a token."""
    with collector() as server:
        kubectl.set(collector=server.server_port)
        yield server


def test_the_kubeconfigs_token_is_shown_to_the_collector_and_to_nobody_else(kubectl: Kubectl, asked: Collector) -> None:
    kubectl.set(config=kubeconfig({"token": TOKEN}))
    done = run(kubectl, "findings", "-A", "-o", "json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert asked.seen == [f"Bearer {TOKEN}"]
    assert TOKEN not in json.dumps(kubectl.calls)


def test_a_user_with_a_certificate_is_told_how_to_get_a_token(kubectl: Kubectl, asked: Collector) -> None:
    kubectl.set(config=kubeconfig({"client-certificate-data": "QQ==", "client-key-data": "QQ=="}))
    done = run(kubectl, "nodes")
    assert done.returncode == 1
    assert (
        "; user 'jane' signs in with a client certificate, which ends at the API server, and has no token: "
        "--token-from serviceaccount/NAME" in done.stderr
    )
    kubectl.set(answers={"create token viewer": f"{TOKEN}\n"})
    assert run(kubectl, "nodes", "--token-from", "serviceaccount/viewer").returncode == 0
    assert asked.seen[-1] == f"Bearer {TOKEN}"
    assert kubectl.called("token") == [["create", "token", "--namespace=shop", "--duration=10m", "viewer"]]
    words = ["--token-from", "sa/ops/viewer", "--token-audience", "readers", "--as", "admin"]
    assert run(kubectl, "nodes", *words).returncode == 0
    assert kubectl.called("token")[1][:4] == ["--as=admin", "create", "token", "--namespace=ops"]
    assert kubectl.called("token")[1][-1] == "--audience=readers"


def on_terminal(kubectl: Kubectl, *words: str) -> tuple[int, str]:
    """Run it where somebody reads its standard error; return exit code and what is shown."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as shown:
        with subprocess.Popen(
            [*PLUGIN, *words], env=kubectl.environment, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
        ) as process:
            os.close(theirs)
            told = b""
            with contextlib.suppress(OSError):  # the end of a terminal
                while piece := shown.read(4096):
                    told += piece
        return process.returncode, told.decode().replace("\r\n", "\n")


PROMPT = "To sign in, open https://login and enter CODE-1: "


def test_what_asks_to_sign_in_is_seen_on_a_terminal_and_kubectls_own_reason_once(
    kubectl: Kubectl, asked: Collector
) -> None:
    library = "E1126 01:17:07.337060    1067 memcache.go:265] trouble\n"
    kubectl.set(
        answers={"create token viewer": f"{TOKEN}\n"}, prompts={"create": library + PROMPT, "port-forward": "Again\n"}
    )
    words = ["findings", "-o", "json", "--token-from", "serviceaccount/viewer"]
    assert on_terminal(kubectl, *words) == (0, PROMPT + "Again\n")
    done = run(kubectl, *words)
    assert (done.returncode, done.stderr) == (0, ""), "nobody is there to sign in"
    kubectl.set(answers={}, prompts={"create": "Sign in\n"}, errors={"create token viewer": "error: no such account"})
    told = "kubectl pullwhy findings: kubectl create: error: no such account\n"
    assert on_terminal(kubectl, *words) == (1, "Sign in\n" + told)
    assert asked.seen == [f"Bearer {TOKEN}"] * 2


def test_as_somebody_else_shows_no_token_of_ones_own(kubectl: Kubectl, asked: Collector) -> None:
    kubectl.set(config=kubeconfig({"token": TOKEN}))
    done = run(kubectl, "nodes", "--as", "joe")
    assert (done.returncode, asked.seen) == (1, [""])
    assert "with --as your own token is not shown" in done.stderr


def test_a_token_that_is_refused_is_told_from_where_it_is_and_not_what(kubectl: Kubectl, asked: Collector) -> None:
    kubectl.set(config=kubeconfig({"token": "an-0ld-token"}))
    done = run(kubectl, "nodes")
    assert (done.returncode, asked.seen) == (1, ["Bearer an-0ld-token"])
    assert "; the token of user 'jane' was shown" in done.stderr
    assert "0ld" not in done.stderr


def test_a_collector_that_speaks_tls_is_spoken_to_in_tls(kubectl: Kubectl, asked: Collector) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("pullwhy-collector.pullwhy.svc").configure_cert(context)
    asked.socket = context.wrap_socket(asked.socket, server_side=True)
    kubectl.set(config=kubeconfig({"token": TOKEN}))
    done = run(kubectl, "findings", "-o", "json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert asked.seen == [f"Bearer {TOKEN}"]
    assert len(kubectl.called("port-forward")) == 1


def test_a_token_that_ended_is_got_again(kubectl: Kubectl, asked: Collector, tmp_path: Path) -> None:
    first, then = answer("too-old"), answer(TOKEN)
    script = f"if [ -e {tmp_path}/used ]; then echo '{then}'; else touch {tmp_path}/used; echo '{first}'; fi"
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}
    kubectl.set(config=kubeconfig({"exec": plugin | {"interactiveMode": "Never"}}))
    assert run(kubectl, "nodes").returncode == 0
    assert asked.seen == ["Bearer too-old", f"Bearer {TOKEN}"]


def answer(token: str) -> str:
    made = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": token}}
    return json.dumps(made)


@pytest.mark.parametrize(
    "words", [["nodes", "--token", TOKEN], [f"--token={TOKEN}", "nodes"], ["nodes", f"--password={TOKEN}"]]
)
def test_a_token_is_no_argument(kubectl: Kubectl, words: list[str]) -> None:
    done = run(kubectl, *words)
    assert (done.returncode, kubectl.calls) == (64, [])
    assert "arguments are seen by everybody on a machine: use --token-file or PULLWHY_TOKEN" in done.stderr
    assert TOKEN not in done.stderr
