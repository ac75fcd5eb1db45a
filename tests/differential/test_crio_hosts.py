"""The endpoints that pullwhy finds in random trees of CRI-O's files are those that CRI-O's own library contacts, one by one.

The library is skopeo's: Debian 12's is that of CRI-O 1.26, Debian 13's that of CRI-O 1.32; PULLWHY_LAB_SKOPEO_SUITE=sid takes a newer one. Compared are who is contacted, in which order, over
which scheme, as whom and for which path, for: registries.conf in both forms with drop-ins, root's own files, prefixes, wildcards, locations,
mirrors and what they are for, blocked, insecure, certs.d, policy.json; and that nobody is contacted where a file fails the pull.

What cannot be compared: skopeo takes a short name for Docker Hub's, so that aliases and search registries are drawn for what a fault in them
does, and not for what they resolve to; crio.conf, which skopeo does not read; the caching of registries.conf; signatures.
"""

import dataclasses
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.crio_expected import Copy, contacts
from differential.crio_machine import Machine
from differential.crio_trees import Tree, trees
from differential.machine import Certificates
from differential.recorder import shown
from differential.trees import sampled
from pullwhy.trace import ConfigFault

from lab.skopeo import Skopeo, suites

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@dataclasses.dataclass(slots=True)
class Counts:
    trees: int = 0
    contacts: int = 0
    mirrored: int = 0
    """Copies for which more than one place is predicted."""
    nobody: int = 0
    """Copies that are predicted to fail before anybody is asked."""
    copied: int = 0
    differences: int = 0


@pytest.fixture(scope="module", params=suites())
def machine(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Machine]:
    with Machine(Skopeo.ensure(request.param), certificates) as made:
        yield made


def difference(machine: Machine, tree: Tree, by_digest: bool, counts: Counts) -> str:
    """Copy one image and return how skopeo's contacts differ from those predicted, empty where they do not."""
    image = machine.image()
    reference = f"{tree.name}@{image.digest}" if by_digest else f"{tree.name}:t"
    predicted = machine.predicted(reference)
    machine.recorder.behave(tree.manners, image)
    error = machine.copy(reference)
    rejected = any(each.config is not None and each.config.fault is ConfigFault.REJECTED for each in predicted.results)
    old = not machine.version.at_least(1, 27)
    copy = Copy(
        image,
        image.digest if by_digest else "t",
        tree.manners,
        machine.certificates.tokens,
        tree.trusted,
        rejected,
        old,
    )
    seen, expected = machine.recorder.contacts(), contacts(predicted.endpoints, copy)
    counts.trees += 1
    counts.contacts += len(seen)
    counts.mirrored += len(predicted.endpoints) > 1
    counts.nobody += not predicted.endpoints
    counts.copied += not error
    if seen == expected:
        return ""
    counts.differences += 1
    said = "\n".join(f"    {result.outcome} {result.target}: {result.detail}" for result in predicted.results)
    return f"{reference}\npredicted\n{shown(expected)}\n{said}\nskopeo {machine.skopeo.version}\n{shown(seen)}\n    {error}"


def test_the_library_contacts_the_places_that_pullwhy_predicts(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = Counts()

    @sampled(200)
    @given(tree=trees(), by_digest=st.sampled_from([False, False, True]))
    def agree(tree: Tree, by_digest: bool) -> None:
        machine.write_tree(tree.files, trusted=tree.trusted)
        found = difference(machine, tree, by_digest, counts)
        assert not found, f"{tree}\n{found}"

    try:
        agree()
    finally:
        with capsys.disabled():
            print(f"\n  skopeo {machine.skopeo.version}: {dataclasses.asdict(counts)}")
