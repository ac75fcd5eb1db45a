"""The configuration that each generation of containerd gets."""

import tomllib

import pytest

from lab import toml
from lab.containerd import Settings, config


@pytest.mark.parametrize(("generation", "version"), [("1.6", 2), ("1.7", 2), ("2.1", 3), ("2.4", 3)])
def test_the_version_of_the_file_fits_the_generation(generation: str, version: int) -> None:
    value = tomllib.loads(toml.dumps(config(generation, Settings())))
    plugin = "io.containerd.grpc.v1.cri" if version == 2 else "io.containerd.cri.v1.images"
    assert value["version"] == version
    assert value["plugins"][plugin]["registry"] == {"config_path": "/etc/containerd/certs.d"}


def test_settings_reach_the_tables_of_2_x() -> None:
    settings = Settings(
        config_path=None,
        use_local_image_pull=True,
        registry={"configs": {"reg.lab.test:5000": {"auth": {"username": "u"}}}},
        extra={"debug": {"level": "debug"}},
    )
    value = tomllib.loads(toml.dumps(config("2.1", settings)))
    images = value["plugins"]["io.containerd.cri.v1.images"]
    assert images["use_local_image_pull"] is True
    assert images["registry"] == {"configs": {"reg.lab.test:5000": {"auth": {"username": "u"}}}}
    assert value["debug"] == {"level": "debug"}
    assert value["root"] == "/var/lib/containerd"
