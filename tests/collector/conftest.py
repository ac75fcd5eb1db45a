"""The databases that a collector may keep its data in: what a store promises is tested with each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for all tests; what survives a crash of the machine is not at stake, so that it may be quick."""
    with cluster("fsync=off", "max_connections=60") as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a file, or a URL."""
    if request.param == "sqlite":
        yield str(tmp_path / "c.db")
        return
    running: Cluster = request.getfixturevalue("postgres")
    yield running.url()
    running.query("DROP SCHEMA pullwhy CASCADE")
