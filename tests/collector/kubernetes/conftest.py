"""One stand-in for the API server for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from collector.kubernetes.standin import StandIn


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "api"
    folder.mkdir()
    running = StandIn(folder)
    running.pod("shop", "web", "node-a")
    yield running
    running.stop()
