"""Compares whom containerd contacts for one image with whom pullwhy says that it will."""

import dataclasses

from differential.expected import Pull, contacts
from differential.machine import Machine
from differential.recorder import shown
from differential.trees import Tree
from pullwhy.image import parse
from pullwhy.runtime.effective import effective


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
