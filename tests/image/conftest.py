import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from image.ociarchive import Archive
from image.world import World

from lab.lab import running
from lab.namespace import REPOSITORY


def build() -> Mapping[str, Path]:
    """Build the images as `make image` does; quick when nothing changed."""
    subprocess.run([REPOSITORY / "scripts/image"], check=True, timeout=600)
    return {name: REPOSITORY / f"dist/pullwhy-{name}.tar" for name in ("agent", "collector")}


@pytest.fixture(scope="session")
def images() -> Mapping[str, Path]:
    return build()


@pytest.fixture(scope="session")
def archives(images: Mapping[str, Path]) -> Mapping[str, Archive]:
    return {name: Archive(path) for name, path in images.items()}


@pytest.fixture(scope="session")
def world(images: Mapping[str, Path]) -> Iterator[World]:
    with running() as lab:
        yield World(lab, images)
