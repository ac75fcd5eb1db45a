"""A walk goes to the hosts that the real containerd goes to, in the same order."""

import asyncio
import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.expected import Pull
from differential.machine import ROOTS, Machine
from differential.names import Place
from differential.recorder import Contact, shown
from differential.trees import Tree, sampled, trees
from pullwhy.node.walk.plan import NodeSight, Sources, make_plan
from pullwhy.node.walk.reach import HERE
from pullwhy.plan import Timeouts, WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import RealNetwork
from pullwhy.probe.walk import walk
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.trace import Trace

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
MAX_REQUESTS = 12
"""Of one walk to one host."""


def first_contacts(contacts: Sequence[Contact]) -> list[Place]:
    return list(dict.fromkeys(contact.place for contact in contacts))


def plan_of(machine: Machine, image: str) -> WalkPlan | None:
    sources = Sources(host_root=machine.fs.root)
    timeouts = Timeouts(overall=20.0, connect=2.0, handshake=3.0, answer=3.0, blob=3.0)
    plan = make_plan(image, NodeSight(machine.view(), Kubelet()), sources, timeouts=timeouts).plan
    return HERE.widen(plan) if plan is not None else None


def walked(machine: Machine, plan: WalkPlan) -> Trace:
    """Walk on the machine's own network."""
    return machine.recorder.on_network(lambda: asyncio.run(walk(plan, RealNetwork(), SystemClock())))


@dataclasses.dataclass(slots=True)
class Counts:
    trees: int = 0
    walks: int = 0
    hosts: int = 0
    requests: int = 0
    differences: int = 0


def test_a_walk_goes_where_containerd_goes(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    counts = Counts()

    @sampled(80)
    @given(tree=trees(ROOTS), by_digest=st.booleans())
    def agree(tree: Tree, by_digest: bool) -> None:
        machine.write_tree(tree.files)
        counts.trees += 1
        pull = Pull(tree.registry, machine.image(), by_digest, tree.manners, machine.certificates.tokens)
        plan = plan_of(machine, pull.reference)
        if plan is None:
            return
        machine.recorder.behave(tree.manners, pull.image)
        trace = walked(machine, plan)
        own = machine.recorder.contacts()
        machine.recorder.behave(tree.manners, pull.image)
        error = machine.pull(pull.reference)
        theirs = machine.recorder.contacts()
        counts.walks += 1
        counts.hosts += len(first_contacts(theirs))
        counts.requests += trace.requests
        alike = first_contacts(own) == first_contacts(theirs)
        counts.differences += not alike
        said = "\n".join(
            f"    {result.stage} {result.outcome} {result.target}: {result.detail}" for result in trace.results
        )
        assert alike, (
            f"{tree}\nthe walk\n{shown(own)}\n{said}\ncontainerd {machine.version}\n{shown(theirs)}\n    {error}"
        )
        assert trace.requests <= MAX_REQUESTS * max(1, len(plan.endpoints))

    try:
        agree()
    finally:
        with capsys.disabled():
            print(f"\n  walks beside containerd {machine.version}: {dataclasses.asdict(counts)}")
