import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from node.fakes import IMAGE, START, at

from pullwhy.diagnose.case import Adopted, Case
from pullwhy.diagnose.judge import judge
from pullwhy.image import parse
from pullwhy.model import CauseId, Confidence, Outcome, PullFailure, Reason, Stage
from pullwhy.node.investigate.investigate import (
    Investigation,
    Investigator,
    as_failure,
    topic,
    with_failure,
    with_retry,
    with_success,
)
from pullwhy.node.investigate.reproduce import Policy, Reproducer
from pullwhy.node.walk.plan import Sources
from pullwhy.node.walk.reach import Reach
from pullwhy.plan import Timeouts, WalkPlan
from pullwhy.trace import ConnectAttempt, ConnectResult, StageResult, Trace

REFUSED = f'failed to pull and unpack image "{IMAGE}": dial tcp 192.0.2.1:443: connect: connection refused'


class FakeWalks:
    """Answers every plan with the same trace."""

    def __init__(self, *results: StageResult) -> None:
        self.plans: list[WalkPlan] = []
        self._trace = Trace(results)

    async def walk(self, plan: WalkPlan) -> Trace:
        self.plans.append(plan)
        return self._trace


class FakePuller:
    """A runtime that has the image at once."""

    async def pull(self, image: str, deadline: float) -> str:
        del deadline
        return f"sha256:of {image}"


CONNECTION_REFUSED = StageResult(
    Stage.CONNECT,
    "registry.example:443",
    Outcome.FAILED,
    endpoint=0,
    connect=(ConnectAttempt("192.0.2.1", 443, ConnectResult.REFUSED, 0.001),),
)
OUR_FAULT = StageResult(Stage.CONNECT, "walk", Outcome.ERROR, detail="the walk's child ended")


def investigator(root: Path, walks: FakeWalks, policy: Policy = Policy.SAFE) -> Investigator:
    sources = Sources(host_root=root, proc=root, runtime_endpoint=str(root / "none.sock"), service_host="")
    return Investigator(
        sources, walks, lambda: START, reproducer=Reproducer(FakePuller(), lambda: START), policy=policy
    )


def failure(message: str = REFUSED) -> PullFailure:
    return PullFailure(at(-1), "kubelet.service", Reason.ERR_IMAGE_PULL, message, image=IMAGE)


def look(root: Path, walks: FakeWalks, told: PullFailure | None) -> Investigation:
    return asyncio.run(investigator(root, walks).look(IMAGE, told))


def answering(found: Investigation) -> Investigation:
    """Return the investigation of a node whose runtime answers."""
    node = replace(found.case.node, runtime_answers=True)
    return replace(found, case=replace(found.case, node=node))


def test_a_walk_on_behalf_of_others_has_their_time_and_no_reach_of_its_own(tmp_path: Path) -> None:
    walks = FakeWalks(CONNECTION_REFUSED)
    asyncio.run(investigator(tmp_path, walks).look(IMAGE, reach=Reach(private=True, trusted=("own.test",)), within=3.0))
    look(tmp_path, walks, failure())
    asked, own = walks.plans
    assert (asked.local_addresses_allowed, asked.private_addresses_allowed) == (False, True)
    assert (asked.trusted_hosts, asked.timeouts.overall) == (("own.test",), 3.0)
    assert (own.local_addresses_allowed, own.timeouts) == (True, Timeouts())


def test_what_another_node_proved_is_judged_with_this_nodes_own_facts_and_no_walk(tmp_path: Path) -> None:
    config = tmp_path / "etc/containerd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/own/certs.d"\n')
    walks = FakeWalks(CONNECTION_REFUSED)
    other = Adopted(
        node="node-b", image=parse(IMAGE), seen=START, cause=CauseId.CONNECTION_REFUSED, stage=Stage.CONNECT, via=None, summary="s"
    )  # fmt: skip
    found = asyncio.run(investigator(tmp_path, walks).adopt(failure(), other, "its turn comes later"))
    assert walks.plans == []
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (CauseId.CONNECTION_REFUSED, Confidence.LIKELY)
    assert [each.source for each in found.diagnosis.evidence if "node-b" in each.fact] == ["fleet"]
    assert found.case.node.certs_d == "/etc/own/certs.d"


def test_a_walk_that_fails_as_the_kubelets_text_tells_is_proof(tmp_path: Path) -> None:
    walks = FakeWalks(CONNECTION_REFUSED)
    found = look(tmp_path, walks, failure())
    assert [str(plan.image) for plan in walks.plans] == [IMAGE]
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (CauseId.CONNECTION_REFUSED, Confidence.PROVED)


def test_the_trace_holds_what_was_seen_before_the_walk_too(tmp_path: Path) -> None:
    trace = look(tmp_path, FakeWalks(CONNECTION_REFUSED), None).case.trace
    assert trace
    assert trace.results[0].stage is Stage.REFERENCE
    assert trace.results[-1] == CONNECTION_REFUSED


def test_an_invalid_reference_is_not_walked(tmp_path: Path) -> None:
    walks = FakeWalks()
    found = asyncio.run(investigator(tmp_path, walks).look("Shop/Web:1"))
    assert not walks.plans
    assert found.diagnosis.cause is CauseId.INVALID_IMAGE_REFERENCE


def test_a_text_alone_is_likely_at_most(tmp_path: Path) -> None:
    found = investigator(tmp_path, FakeWalks()).by_text(failure())
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (CauseId.CONNECTION_REFUSED, Confidence.LIKELY)


def test_a_fault_of_pullwhy_is_told_from_one_of_the_path(tmp_path: Path) -> None:
    assert look(tmp_path, FakeWalks(OUR_FAULT), failure()).our_fault
    assert not look(tmp_path, FakeWalks(CONNECTION_REFUSED), failure()).our_fault


def test_a_proof_needs_no_pull_and_says_so(tmp_path: Path) -> None:
    walks = FakeWalks(CONNECTION_REFUSED)
    found = answering(look(tmp_path, walks, failure()))
    again = asyncio.run(investigator(tmp_path, walks).reproduce(found, timedelta(0))).case.reproduction
    assert again
    assert (again.outcome, "not needed" in again.reason) == ("Skipped", True)


def test_an_image_that_came_turns_the_failure_into_a_passing_one(tmp_path: Path) -> None:
    walks = FakeWalks(CONNECTION_REFUSED)
    found = answering(look(tmp_path, walks, failure()))
    after = asyncio.run(investigator(tmp_path, walks, Policy.ALWAYS).reproduce(found, timedelta(0)))
    assert after.case.reproduction
    assert after.case.reproduction.outcome == "Succeeded"
    assert after.diagnosis.cause is CauseId.TRANSIENT


def test_the_kubelets_retry_proves_what_only_the_text_told(tmp_path: Path) -> None:
    found = investigator(tmp_path, FakeWalks()).by_text(failure())
    assert with_retry(found, failure()).diagnosis.confidence is Confidence.PROVED


def test_a_later_success_makes_it_transient(tmp_path: Path) -> None:
    found = investigator(tmp_path, FakeWalks()).by_text(failure())
    assert with_success(found).diagnosis.cause is CauseId.TRANSIENT


def test_a_walk_serves_another_failure_of_the_same_image(tmp_path: Path) -> None:
    found = look(tmp_path, FakeWalks(CONNECTION_REFUSED), failure())
    other = with_failure(found, failure("no such thing"))
    assert other.case.trace == found.case.trace
    assert other.case.failure == failure("no such thing")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (REFUSED, REFUSED.replace("192.0.2.1:443", "192.0.2.9:443"), True),
        (REFUSED, REFUSED.replace("connection refused", "i/o timeout"), False),
        ("something that nobody knows", "something else", True),
    ],
)
def test_a_topic_is_what_does_not_vary_from_try_to_try(one: str, other: str, same: bool) -> None:
    assert (topic(one) == topic(other)) is same


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('Container image "a:1" is not present with pull policy of Never', Reason.ERR_IMAGE_NEVER_PULL),
        (REFUSED, Reason.ERR_IMAGE_PULL),
    ],
)
def test_a_text_that_somebody_brings_gets_the_kubelets_reason(message: str, reason: Reason) -> None:
    assert as_failure(message, IMAGE, START).reason is reason


@pytest.mark.parametrize(
    ("held", "sent", "expected"),
    [
        ((), False, False),
        ((), True, True),
        (("https://registry.example",), True, True),
        (("https://registry.example",), False, None),
    ],
)
def test_a_runtime_with_credentials_of_its_own_may_have_sent_them(
    held: tuple[str, ...], sent: bool, expected: bool | None
) -> None:
    found = Investigation(Case(now=START), judge(Case(now=START)), credentials_held=held)
    told = with_failure(found, replace(failure("401 Unauthorized"), credentials_sent=sent)).case.failure
    assert told is not None
    assert told.credentials_sent is expected
