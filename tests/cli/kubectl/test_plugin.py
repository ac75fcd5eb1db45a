"""`kubectl pullwhy` from end to end: a kubectl of the tests' own, a real collector behind it, and every way in which it fails."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cli.kubectl.standin import ANY_SIGNAL, Kubectl, kubeconfig
from cli.test_token import TOKEN, Collector, collector
from collector.samples import finding
from collector.served import Served

from pullwhy.cli.kubectl.plugin import build_parser
from pullwhy.model import CauseId, FailingPod
from pullwhy.node.report.status import NodeStatus

pytestmark = pytest.mark.slow

PLUGIN = [str(Path(sys.executable).with_name("kubectl-pullwhy"))]
SAMPLES = (
    finding(1),
    finding(
        2, cause=CauseId.DISK_FULL, image="nginx", registry="docker.io", pods=(FailingPod("ops", "job", "u", "main"),)
    ),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("collector"), SAMPLES, NodeStatus(impairments=("no journal: mount it",)))
    yield running
    running.stop()


@pytest.fixture
def kubectl(tmp_path: Path, served: Served) -> Kubectl:
    made = Kubectl(tmp_path)
    made.set(collector=int(served.address.rpartition(":")[2]))
    return made


def run(kubectl: Kubectl, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*PLUGIN, *words],
        env=kubectl.environment | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    for pid in kubectl.pids if kubectl.calls else ():
        assert not alive(pid), f"{kubectl.calls} left a child"
    return done


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def images(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return [each["image"].rpartition("/")[2] for each in json.loads(done.stdout)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["findings"], ["web1:1.4"]),  # the context's namespace is shop
        (["findings", "-A"], ["web1:1.4", "nginx"]),
        (["-n", "shop", "findings", "-A"], ["web1:1.4", "nginx"]),
        (["findings", "-n", "ops"], ["nginx"]),
        (["--namespace", "ops", "findings"], ["nginx"]),
        (["--context", "bare", "findings"], []),  # no namespace: default
        (["findings", "--context=bare"], []),
        (["explain", "pod/web-1"], ["web1:1.4"]),
        (["explain", "pod/ops/job"], ["nginx"]),
        (["explain", "nginx"], ["nginx"]),  # an image is in no namespace
        (["explain", "0000000000000002"], ["nginx"]),
    ],
)
def test_the_queries_answer_and_mean_the_namespace_that_kubectl_would(
    kubectl: Kubectl, words: list[str], found: list[str]
) -> None:
    assert images(run(kubectl, *words, "-o", "json")) == found


def test_what_people_read_names_the_service_and_not_a_port_of_this_machine(kubectl: Kubectl) -> None:
    done = run(kubectl, "findings", "-n", "empty")
    assert done.stderr == (
        "No findings at service/pullwhy-collector in namespace pullwhy with namespace empty, state Active. "
        "Resolved ones: --state all.\n"
    )
    done = run(kubectl, "nodes", "-n", "ignored")
    assert (done.returncode, "no journal: mount it" in done.stdout) == (0, True)
    assert (
        "no finding about pod/job with namespace shop at service/pullwhy" in run(kubectl, "explain", "pod/job").stderr
    )


def test_kubectls_options_are_handed_on_from_before_and_after_the_command(kubectl: Kubectl) -> None:
    words = ["--context", "work", "nodes", "--kubeconfig=/k", "--request-timeout", "7s", "--as", "joe"]
    assert run(kubectl, *words, "--pullwhy-namespace", "tools").returncode == 0
    given = ["--kubeconfig=/k", "--context=work", "--as=joe", "--request-timeout=7s"]
    assert [call[:4] for call in kubectl.calls] == [given]
    assert "--namespace=tools" in kubectl.called("port-forward")[0]


def test_the_namespace_of_pullwhy_comes_from_the_environment_too(kubectl: Kubectl) -> None:
    assert run(kubectl, "nodes", PULLWHY_NAMESPACE="infra").returncode == 0
    assert "--namespace=infra" in kubectl.called("port-forward")[0]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("not-found", "not found; where pullwhy is installed is said with --pullwhy-namespace or PULLWHY_NAMESPACE"),
        ("forbidden", 'cannot get resource "services" in API group "" in the namespace "pullwhy"; who may what'),
        ("pending", "pod is not running. Current status=Pending; see why: kubectl get pods --namespace pullwhy"),
        ("unreachable", "kubectl port-forward: The connection to the server 10.0.0.1:6443 was refused"),
    ],
)
def test_why_kubectl_cannot_forward_is_one_line_with_the_mend(kubectl: Kubectl, kind: str, told: str) -> None:
    kubectl.set(forward=[kind])
    done = run(kubectl, "nodes")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert told in done.stderr
    assert done.stderr.startswith("kubectl pullwhy nodes: kubectl port-forward: ")


def test_without_kubectl_nothing_is_tried(kubectl: Kubectl) -> None:
    done = run(kubectl, "nodes", PATH="/nowhere")
    assert (done.returncode, done.stderr) == (
        1,
        "kubectl pullwhy nodes: kubectl is not in PATH: the collector is reached through it\n",
    )


def test_a_context_that_is_not_there_is_named(kubectl: Kubectl) -> None:
    done = run(kubectl, "findings", "--context", "prd")
    assert (done.returncode, "context 'prd' is not in the kubeconfig" in done.stderr) == (1, True)


def test_a_pod_that_goes_meanwhile_is_followed_to_the_next_one(kubectl: Kubectl) -> None:
    kubectl.set(forward=["one", "good"])
    # Asks twice: this may be a pod, and is an image.
    assert images(run(kubectl, "explain", "library/nginx", "-o", "json")) == ["nginx"]
    assert len(kubectl.called("port-forward")) == 2


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (["one", "pending"], "kubectl port-forward: error: unable to forward port because pod is not running"),
        (["one", "none"], "service/pullwhy-collector in namespace pullwhy cannot be reached: "),
    ],
)
def test_a_pod_that_does_not_come_back_is_told(kubectl: Kubectl, forward: list[str], told: str) -> None:
    kubectl.set(forward=forward)
    done = run(kubectl, "explain", "library/nginx")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert told in done.stderr


@contextlib.contextmanager
def watching(kubectl: Kubectl) -> "Iterator[subprocess.Popen[str]]":
    command = [*ANY_SIGNAL, *PLUGIN, "findings", "-A", "-o", "json", "--watch"]
    with subprocess.Popen(
        command, env=kubectl.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "[\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_port_forward_too(kubectl: Kubectl, number: signal.Signals, code: int) -> None:
    with watching(kubectl) as process:
        assert any(alive(pid) for pid in kubectl.pids)
        process.send_signal(number)
        assert process.wait(20) == code
        assert process.stderr
        assert process.stderr.read() == ""
    assert not any(alive(pid) for pid in kubectl.pids)


def test_a_signal_at_any_moment_of_the_start_leaves_no_child(kubectl: Kubectl) -> None:
    for delay in (0.05, 0.15, 0.25, 0.35, 0.5):
        with subprocess.Popen(
            [*ANY_SIGNAL, *PLUGIN, "nodes", "--watch"], env=kubectl.environment, stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(delay)
            process.terminate()
            assert process.wait(20) in (143, -signal.SIGTERM)
    assert not any(alive(pid) for pid in (kubectl.pids if kubectl.calls else ()))


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nodes", "--request-timeout", "soon"], "write a number with its unit"),
        (["nodes", "--token-from", "viewer"], "write serviceaccount/NAME"),
        (["nodes", "--token-from", "sa/a/b/c"], "write serviceaccount/NAME"),
        (["nodes", "--token-from", "sa/--as=admin"], "write serviceaccount/NAME"),
        (["pods"], "invalid choice"),
        ([], "required"),
        (["doctor", "--node", "a,metadata.name=b"], "no name of a node"),
    ],
)
def test_a_usage_error_is_one_line_and_exits_64(kubectl: Kubectl, words: list[str], told: str) -> None:
    done = run(kubectl, *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (64, 1)
    assert told in done.stderr


def test_a_workstation_needs_no_extra(kubectl: Kubectl) -> None:
    """The libraries of agent and collector are hidden from the plugin."""
    extras = ("grpc", "google", "systemd", "psutil", "prometheus_client", "starlette", "uvicorn")
    program = f"import sys; sys.modules |= dict.fromkeys({extras!r}); from pullwhy.cli.kubectl.plugin import run; run()"
    for words in (["findings", "-A"], ["explain", "nginx"], ["nodes"], ["doctor"]):
        command = [sys.executable, "-c", program, *words]
        done = subprocess.run(command, env=kubectl.environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_every_option_of_kubectl_that_is_taken_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/kubectl.md").read_text()
    options = build_parser()._option_string_actions
    undocumented = {"--help", "--version", "--token", "--password", "--namespace"}
    assert [
        name for name in options if name.startswith("--") and name not in undocumented and f"`{name}" not in text
    ] == []
