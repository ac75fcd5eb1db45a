"""The endpoints that pullwhy finds in random certs.d trees are those that the real containerd contacts, one by one."""

import dataclasses
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.compare import Counts, difference
from differential.machine import ROOTS, Machine
from differential.trees import Tree, sampled, trees
from pullwhy.image import parse
from pullwhy.runtime.containerd.hosts import HOSTS_FILE, directory_names
from pullwhy.runtime.effective import effective
from pullwhy.trace import ConfigFault

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def overlooks(machine: Machine, tree: Tree) -> bool:
    """Tell whether there are settings for the registry that several roots keep the transfer service from reading."""
    config = machine.view().config
    places = [PurePosixPath(root, name) for root in ROOTS for name in directory_names(tree.registry)]
    settings = [
        path for path in map(PurePosixPath, tree.files) if path.name == HOSTS_FILE or path.suffix in {".crt", ".cert"}
    ]
    several = config is not None and config.transfer_service and ":" in config.config_path
    return several and any(path.parent in places for path in settings)


def test_containerd_contacts_the_hosts_that_pullwhy_predicts(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = Counts()

    @sampled(200)
    @given(tree=trees(ROOTS), by_digest=st.booleans())
    def agree(tree: Tree, by_digest: bool) -> None:
        machine.write_tree(tree.files)
        counts.trees += 1
        for one in (by_digest, not by_digest):
            found = difference(machine, tree, one, counts)
            assert not found, f"{tree}\n{found}"
        if overlooks(machine, tree):
            results = effective(parse(f"{tree.registry}/a/b:t"), machine.view()).results
            assert any(one.config and one.config.fault is ConfigFault.IGNORED for one in results), f"{tree}\n{results}"

    try:
        agree()
    finally:
        with capsys.disabled():
            print(
                f"\n  containerd {machine.version} {machine.containerd.settings.config_path}: {dataclasses.asdict(counts)}"
            )
