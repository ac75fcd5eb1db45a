"""A kubectl of the tests' own, with a real collector behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.kubectl.plugin import SAMPLES
from cli.kubectl.standin import Kubectl
from collector.served import Served

from pullwhy.node.report.status import NodeStatus


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = Served(tmp_path_factory.mktemp("collector"), SAMPLES, NodeStatus(impairments=("no journal: mount it",)))
    yield running
    running.stop()


@pytest.fixture
def kubectl(tmp_path: Path, served: Served) -> Kubectl:
    made = Kubectl(tmp_path)
    made.set(collector=int(served.address.rpartition(":")[2]))
    return made
