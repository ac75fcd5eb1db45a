"""`kubectl pullwhy doctor`: each thing between here and the agents is looked at, and what is not well comes with the mend."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.answering import answering
from cli.kubectl.plugin import run
from cli.kubectl.standin import ERRORS, Kubectl, kubeconfig
from collector.samples import finding
from collector.served import Served

from pullwhy.node.report.status import NodeStatus

pytestmark = pytest.mark.slow

VERSION = json.dumps({"clientVersion": {"major": "1", "gitVersion": "v1.32.3"}, "kustomizeVersion": "v5.5.0"})
SEES = [
    {"name": "rights", "ok": True, "found": "root", "mend": "", "skipped": False},
    {"name": "CRI socket", "ok": False, "found": "does not \x1b[2Janswer", "mend": "mount its directory"},
]
LISTED = "get pods"
AGENTS = "get daemonset"
EXEC = "exec pullwhy-agent-x1 pullwhy doctor --output=json"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("collector"), (finding(1),), NodeStatus(impairments=("no journal",)))
    yield running
    running.stop()


@pytest.fixture
def kubectl(tmp_path: Path, served: Served) -> Kubectl:
    made = Kubectl(tmp_path)
    kinds = [{"status": {"desiredNumberScheduled": wanted, "numberReady": ready}} for wanted, ready in ((1, 1), (2, 1))]
    made.set(
        collector=int(served.address.rpartition(":")[2]),
        config=kubeconfig({"token": "t0ken"}),
        answers={
            "version": VERSION,
            AGENTS: json.dumps({"kind": "List", "items": kinds}),
            LISTED: pods(("pullwhy-agent-x0", "Running", True), ("pullwhy-agent-x1", "Running", False)),
            EXEC: json.dumps(SEES),
        },
    )
    return made


def pods(*listed: tuple[str, str, bool]) -> str:
    """Return what kubectl prints of pods: name, phase, whether it is being deleted."""
    items = [
        {
            "metadata": {"name": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if ends else {}),
            "status": {"phase": phase},
        }
        for name, phase, ends in listed
    ]
    return json.dumps({"kind": "List", "items": items})


def checks(kubectl: Kubectl, *words: str, **environment: str) -> dict[str, Any]:
    done = run(kubectl, "doctor", "-o", "json", *words, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_everything_from_here_to_the_agents_is_looked_at(kubectl: Kubectl) -> None:
    found = checks(kubectl)
    assert {name: (each["ok"], each["found"]) for name, each in found.items()} == {
        "kubectl": (True, "v1.32.3"),
        "kubeconfig": (True, "context work, user jane, namespace shop"),
        "identity": (True, "the collector is shown the token of user 'jane'"),
        "port-forward": (True, "reaches service/pullwhy-collector in namespace pullwhy"),
        "collector": (True, "answers; nodes known: 1"),
        "connected agents": (True, "1 of 1"),
        "what agents see": (False, "1 of 1 cannot see everything: node-a (no journal)"),
        "agent pods": (False, "2 of 3 are ready"),
    }
    assert all(each["ok"] or each["mend"] for each in found.values())


def test_what_needs_a_thing_that_failed_is_not_looked_at(kubectl: Kubectl) -> None:
    kubectl.set(forward=["forbidden"])
    found = checks(kubectl)
    assert not found["port-forward"]["ok"]
    assert "is forbidden" in found["port-forward"]["found"]
    assert found["port-forward"]["mend"].startswith(
        "who may what is set by roles of the cluster; docs/kubectl.md lists"
    )
    assert found["collector"]["skipped"]
    assert found["collector"]["found"] == "not looked at: port-forward comes first"
    assert list(checks(kubectl, PATH="/nowhere")) == ["kubectl"]


def test_the_mend_of_what_failed_is_told_as_its_mend(kubectl: Kubectl) -> None:
    with answering(503, b'{"error": "/var/c.db: the disk is full; give it space"}') as url:
        kubectl.set(collector=int(url.rpartition(":")[2]))
        found = checks(kubectl)["collector"]
    assert found["found"].endswith("/var/c.db: the disk is full")
    assert found["mend"] == "give it space"


def test_a_kubeconfig_that_is_not_there_is_a_fault_with_its_mend(kubectl: Kubectl) -> None:
    # What `kubectl config view` shows where no file is.
    kubectl.set(config={"kind": "Config", "clusters": None, "contexts": None, "current-context": "", "users": None})
    found = checks(kubectl)["kubeconfig"]
    assert (found["ok"], found["found"]) == (False, "it has no current context")
    assert found["mend"] == "set KUBECONFIG or --context"
    assert checks(kubectl, "--server", "https://10.0.0.1:6443")["kubeconfig"]["ok"]


def test_having_no_token_and_no_right_to_list_is_no_fault(kubectl: Kubectl) -> None:
    answers = {"version": VERSION}
    kubectl.set(config=kubeconfig(), answers=answers, errors={AGENTS: ERRORS["forbidden"]})
    found = checks(kubectl)
    assert (found["identity"]["ok"], found["identity"]["skipped"]) == (True, True)
    assert found["collector"]["ok"]
    assert (found["agent pods"]["skipped"], "is forbidden" in found["agent pods"]["found"]) == (True, True)


def test_the_token_of_a_file_is_the_one_that_is_shown(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    found = checks(kubectl, "--token-file", str(tmp_path / "token"))
    assert found["identity"]["found"] == f"the collector is shown the token in {tmp_path}/token"


def test_who_may_not_see_nodes_has_a_collector_that_answers(kubectl: Kubectl) -> None:
    with answering(403, b'{"error": "jane may see some namespaces only"}') as url:
        kubectl.set(collector=int(url.rpartition(":")[2]))
        found = checks(kubectl)
    assert found["collector"]["ok"]
    assert found["collector"]["found"].endswith("in namespace pullwhy: jane may see some namespaces only")
    assert [name for name, each in found.items() if each["skipped"]] == ["connected agents", "what agents see"]


def test_a_failed_check_is_an_exit_code_where_that_is_asked_for(kubectl: Kubectl) -> None:
    on_node = ("doctor", "--node", "node-a")
    assert [run(kubectl, *on_node, *more).returncode for more in ((), ("--exit-code",))] == [0, 1]
    kubectl.set(forward=["forbidden"])
    assert [run(kubectl, "doctor", *more).returncode for more in ((), ("--exit-code",))] == [0, 1]


def test_with_a_node_its_agent_says_what_it_sees(kubectl: Kubectl) -> None:
    found = checks(kubectl, "--node", "node-a")
    assert found == {each["name"]: {"skipped": False, **each} for each in SEES}
    (listed,) = kubectl.called("get")
    assert {"--namespace=pullwhy", "--field-selector=spec.nodeName=node-a"} <= set(listed)
    (ran,) = kubectl.called("exec")
    assert "--container=agent" in ran
    done = run(kubectl, "doctor", "--node", "node-a")
    assert "FAIL  CRI socket: does not \\x1b[2Janswer\n      mend: mount its directory\n" in done.stdout


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (
            {LISTED: pods()},
            "no agent is on node node-a; see where there are some: kubectl get pods --namespace=pullwhy",
        ),
        ({LISTED: pods(("pullwhy-agent-x0", "Running", True))}, "no agent is on node node-a"),
        ({LISTED: pods(("pullwhy-agent-x0", "Pending", False))}, "the agent on node node-a is Pending; see why: "),
        ({LISTED: "what"}, "kubectl get pods: the answer cannot be read"),
        ({LISTED: pods(("pullwhy-agent-x1", "Running", False))}, "kubectl exec: error: unknown command"),
        ({LISTED: pods(("pullwhy-agent-x1", "Running", False)), EXEC: "[{}]"}, "kubectl exec: the answer cannot be"),
    ],
)
def test_an_agent_that_cannot_be_asked_is_one_line(kubectl: Kubectl, answers: dict[str, str], told: str) -> None:
    kubectl.set(answers=answers)
    done = run(kubectl, "doctor", "--node", "node-a")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert told in done.stderr
