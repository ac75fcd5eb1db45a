"""A containerd for each generation and way to pull, with everything that its trees may name."""

import os
from collections.abc import Iterator

import pytest

from differential.machine import ROOTS, Certificates, Machine

from lab import packages
from lab.containerd import Settings
from lab.packages import Components

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


@pytest.fixture(scope="package")
def components() -> Components:
    return packages.ensure()


@pytest.fixture(scope="package")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture(scope="package", params=WAYS)
def machine(request: pytest.FixtureRequest, components: Components, certificates: Certificates) -> Iterator[Machine]:
    generation, config_path, local = WAYS[request.param]
    with Machine(
        components, generation, Settings(config_path=config_path, use_local_image_pull=local), certificates
    ) as made:
        yield made
