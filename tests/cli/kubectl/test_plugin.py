"""`kubectl pullwhy` from end to end: a kubectl of the tests' own, a real collector behind it, and every way in which it fails."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.kubectl.plugin import PLUGIN, alive, images, run
from cli.kubectl.standin import ANY_SIGNAL, Kubectl

from pullwhy.cli.kubectl.plugin import build_parser

pytestmark = pytest.mark.slow


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
