"""Named pull secrets: read for a walk on behalf of a pod of their namespace, and sent where the kubelet's key matches."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.secrets import (
    PASSWORD,
    SECRET,
    USER,
    VALUES,
    Bench,
    dockerconfig,
    evidence,
    keyed,
    private,
    shown,
)
from collector.kubernetes.standin import StandIn
from node.fakes import START, WEB

from pullwhy.model import CauseId, Outcome, PodRef, Reason, Stage
from pullwhy.node.incidents.findings import Identity as Who
from pullwhy.node.investigate.investigate import Investigation
from pullwhy.node.report.opinion import opinion
from pullwhy.node.walk.reach import Reach
from pullwhy.trace import Identity

OTHER = PodRef("other", "web", "2222")


def details(found: Investigation) -> list[str]:
    assert found.case.trace is not None
    return [each.detail for each in found.case.trace.results if each.target == "pull secrets"]


@pytest.mark.parametrize("legacy", [False, True])
def test_what_the_key_matches_is_tried_after_nobodys_try(api: StandIn, tmp_path: Path, legacy: bool) -> None:
    bench = Bench(api, tmp_path)
    found, requests = bench.look(private().respond, prepare=keyed(api, legacy=legacy))
    assert "authorization" not in requests[0].headers
    assert set(shown(requests)) == {f"Basic {VALUES[2]}"}
    assert found.case.trace is not None
    passed = [each for each in found.case.trace.results if each.stage is Stage.MANIFEST]
    assert next((each.identity, each.outcome) for each in passed) == (Identity.POD, Outcome.PASSED)
    granted = [each.auth.credentials_source for each in found.case.trace.results if each.auth is not None]
    assert granted[-1] == "Secret shop/regcred"
    assert ["has credentials for" in each for each in details(found)] == [True]
    assert bench.said == {"pull secret shop/regcred": ""}
    assert len(api.asked("/secrets/")) == 1


@pytest.mark.parametrize(
    ("text", "cause", "confidence"),
    [
        (
            "failed to authorize: failed to fetch anonymous token: 401 Unauthorized",
            CauseId.CREDENTIALS_MISSING,
            "Proved",
        ),
        ("401 Unauthorized", CauseId.CREDENTIALS_MISSING, "Likely"),
        ("failed to fetch oauth token: unexpected status: 401 Unauthorized", CauseId.CREDENTIALS_REJECTED, "Likely"),
    ],
)
def test_that_it_opens_the_image_does_not_make_the_kubelets_refusal_good(
    api: StandIn, tmp_path: Path, text: str, cause: CauseId, confidence: str
) -> None:
    found, _ = Bench(api, tmp_path).look(private().respond, prepare=keyed(api), text=text)
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (cause, confidence)
    assert "Secret shop/regcred opens this image to the walk" in evidence(found)
    assert not found.passes


def test_what_only_it_can_see_is_proof(api: StandIn, tmp_path: Path) -> None:
    text = 'failed to resolve reference "x": x: not found'
    found, _ = Bench(api, tmp_path).look(private().respond, image="team/app:2", prepare=keyed(api), text=text)
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (CauseId.TAG_NOT_FOUND, "Proved")


def test_the_nodes_own_credentials_come_first(api: StandIn, tmp_path: Path) -> None:
    def prepare(port: int) -> None:
        keyed(api)(port)
        folder = tmp_path / "var/lib/kubelet"
        folder.mkdir(parents=True)
        own = base64.b64encode(b"node:own").decode()
        (folder / "config.json").write_text(json.dumps({"auths": {f"127.0.0.1:{port}": {"auth": own}}}))

    found, requests = Bench(api, tmp_path).look(private().respond, prepare=prepare)
    given = list(dict.fromkeys(shown(requests)))
    assert [base64.b64decode(each.split()[1]).decode() for each in given] == ["node:own", f"{USER}:{PASSWORD}"]
    assert found.case.trace is not None
    facts = next(each.access for each in found.case.trace.results if each.access is not None)
    assert "regcred" not in str(facts.sources)


@pytest.mark.parametrize(
    ("pod", "options"),
    [
        (OTHER, {}),
        (None, {}),
        (WEB, {"reason": Reason.CREATE_POD_SANDBOX_ERROR}),
        (WEB, {"failure": False, "how": {"reach": Reach(local=True), "within": 5.0}}),
        (WEB, {"failure": False}),
    ],
    ids=["another namespace", "no pod", "sandbox image", "a walk request", "nobody's"],
)
def test_nobody_else_is_walked_for_with_it(
    api: StandIn, tmp_path: Path, pod: PodRef | None, options: dict[str, Any]
) -> None:
    bench = Bench(api, tmp_path)
    found, requests = bench.look(private().respond, pod, prepare=keyed(api), **options)
    assert requests
    assert shown(requests) == []
    assert api.asked("/secrets/") == []
    assert bench.walks.plans[0].credentials == ()
    answer = opinion(found, Who("node-a"), START)
    assert not [value for value in VALUES if value in str(answer)]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("127.0.0.1", "its port is absent"),
        ("127.0.0.1:{}/elsewhere", "no prefix of team/app"),
        ("registry.example", "has no key that matches"),
    ],
)
def test_it_is_not_sent_where_the_kubelet_would_not(api: StandIn, tmp_path: Path, form: str, told: str) -> None:
    found, requests = Bench(api, tmp_path).look(private().respond, prepare=keyed(api, form=form))
    assert shown(requests) == []
    assert told in details(found)[0]
    assert told in evidence(found)


def test_it_is_not_sent_in_plain_http_where_the_runtime_speaks_tls(api: StandIn, tmp_path: Path) -> None:
    """An answer in plain HTTP on the port of TLS: only on loopback the runtime goes on without."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("127.0.0.1 registry.test\n")

    def prepare(port: int) -> None:
        api.objects[SECRET] = dockerconfig(f"registry.test:{port}")

    bench = Bench(api, tmp_path)
    found, requests = bench.look(private().respond, host="registry.test", prepare=prepare)
    assert [len(plan.credentials) for plan in bench.walks.plans] == [1]
    assert shown(requests) == []
    assert found.diagnosis.cause is not CauseId.CREDENTIALS_REJECTED
