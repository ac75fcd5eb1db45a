"""The endpoints that pullwhy finds in random certs.d trees are those that the real containerd contacts, one by one."""

import dataclasses
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from differential.expected import Pull, contacts
from differential.machine import ROOTS, Certificates, Machine
from differential.recorder import shown
from differential.trees import Tree, trees
from pullwhy.image import parse
from pullwhy.runtime.effective import effective

from lab import packages
from lab.containerd import Settings
from lab.packages import Components

TREES = int(os.environ.get("PULLWHY_DIFFERENTIAL_TREES", "0"))
"""How many fresh random trees, whose seed `--hypothesis-seed` sets; 0 for the same 200 every time."""
SETTINGS = settings(
    max_examples=TREES or 200,
    derandomize=not TREES,
    deadline=None,
    database=None,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
ONE, BOTH = ROOTS[0], ":".join(ROOTS)
NAMED = os.environ.get("PULLWHY_LAB_CONTAINERD")
"""Where it is set, the one containerd that stands in for all."""
OLD = {} if NAMED else {"1.6": ("1.6", BOTH, True), "1.7": ("1.7", BOTH, True)}
NEW = "named" if NAMED else "2.1"
WAYS = {
    **OLD,
    f"{NEW} local pull": ("2.1", BOTH, True),
    f"{NEW} transfer service": ("2.1", ONE, False),
    f"{NEW} transfer service, several roots": ("2.1", BOTH, False),
}

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@dataclasses.dataclass(slots=True)
class Counts:
    trees: int = 0
    pulls: int = 0
    contacts: int = 0
    mirrored: int = 0
    """Pulls for which more than one host is predicted."""
    blocked: int = 0
    """Pulls that are predicted to fail before anybody is asked."""
    differences: int = 0


@pytest.fixture(scope="module")
def components() -> Components:
    return packages.ensure()


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture(scope="module", params=WAYS)
def machine(request: pytest.FixtureRequest, components: Components, certificates: Certificates) -> Iterator[Machine]:
    generation, config_path, local = WAYS[request.param]
    with Machine(
        components, generation, Settings(config_path=config_path, use_local_image_pull=local), certificates
    ) as made:
        yield made


def difference(machine: Machine, tree: Tree, by_digest: bool, counts: Counts) -> str:
    """Pull one image and return how containerd's contacts differ from those predicted, empty where they do not."""
    pull = Pull(tree.registry, machine.image(), by_digest, tree.manners, machine.certificates.tokens)
    predicted = effective(parse(pull.reference), machine.view())
    machine.recorder.behave(tree.manners, pull.image)
    error = machine.pull(pull.reference)
    seen, expected = machine.recorder.contacts(), contacts(predicted.endpoints, pull)
    counts.pulls += 1
    counts.contacts += len(seen)
    counts.mirrored += len(predicted.endpoints) > 1
    counts.blocked += not predicted.endpoints
    if seen == expected:
        return ""
    counts.differences += 1
    said = "\n".join(f"    {result.outcome} {result.target}: {result.detail}" for result in predicted.results)
    return f"predicted\n{shown(expected)}\n{said}\ncontainerd {machine.version}\n{shown(seen)}\n    {error}"


def test_containerd_contacts_the_hosts_that_pullwhy_predicts(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = Counts()

    @SETTINGS
    @given(tree=trees(ROOTS), by_digest=st.booleans())
    def agree(tree: Tree, by_digest: bool) -> None:
        machine.write_tree(tree.files)
        counts.trees += 1
        for one in (by_digest, not by_digest):
            found = difference(machine, tree, one, counts)
            assert not found, f"{tree}\n{found}"

    try:
        agree()
    finally:
        with capsys.disabled():
            print(
                f"\n  containerd {machine.version} {machine.containerd.settings.config_path}: {dataclasses.asdict(counts)}"
            )
