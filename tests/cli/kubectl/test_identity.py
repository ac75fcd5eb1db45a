"""Who asks through kubectl is who the collector reviews: TokenReview and SubjectAccessReview of the token in the kubeconfig."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.kubectl.plugin import SAMPLES, images, run
from cli.kubectl.standin import Kubectl, kubeconfig
from collector.kubernetes.standin import StandIn
from collector.served import Served

from pullwhy.node.report.status import NodeStatus

pytestmark = pytest.mark.slow

JANE = "token-of-jane-0001"
VIEWER = "token-of-viewer-0002"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    running = StandIn(tmp_path_factory.mktemp("api"))
    running.token(JANE, "jane")
    running.token(VIEWER, "system:serviceaccount:shop:viewer")
    running.allowed |= {
        ("jane", "get", "findings", "shop"),
        ("system:serviceaccount:shop:viewer", "get", "findings", ""),
    }
    yield running
    running.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, api: StandIn) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("collector")
    running = Served(folder, SAMPLES, NodeStatus(), reader_auth="kubernetes", kubernetes=api.settings)
    yield running
    running.stop()


@pytest.fixture
def kubectl(tmp_path: Path, served: Served) -> Kubectl:
    made = Kubectl(tmp_path)
    port = int(served.address.rpartition(":")[2])
    made.set(collector=port, config=kubeconfig({"token": JANE}), answers={"create token viewer": f"{VIEWER}\n"})
    return made


def test_she_sees_the_namespace_that_she_may_see_and_is_told_of_others(kubectl: Kubectl, api: StandIn) -> None:
    assert images(run(kubectl, "findings", "-o", "json")) == ["web1:1.4"]
    assert images(run(kubectl, "explain", "pod/web-1", "-o", "json")) == ["web1:1.4"]
    for words in (["findings", "-A"], ["findings", "-n", "ops"], ["nodes"]):
        done = run(kubectl, *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
        assert "service/pullwhy-collector in namespace pullwhy: " in done.stderr
        assert JANE not in done.stderr
    reviewed = {json.dumps(each.body) for each in api.asked("tokenreviews")}
    assert len(reviewed) == 1


def test_a_service_account_that_may_see_more_sees_more(kubectl: Kubectl) -> None:
    found = images(run(kubectl, "findings", "-A", "-o", "json", "--token-from", "serviceaccount/viewer"))
    assert found == ["web1:1.4", "nginx"]


@pytest.mark.parametrize("user", [{"token": "of-nobody-at-all"}, {"client-certificate-data": "QQ=="}])
def test_who_is_not_known_is_told_what_was_shown(kubectl: Kubectl, user: dict[str, str]) -> None:
    kubectl.set(config=kubeconfig(user))
    done = run(kubectl, "findings")
    told = "the token of user 'jane' was shown" if "token" in user else "has no token: --token-from"
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr
    assert "of-nobody" not in done.stderr
