"""Which components the lab takes."""

import os
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.packages import Components, cache_folder, ensure, version


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return path


def components(*generations: str, replaced: bool = False) -> Components:
    found = {name: Path(name) for name in generations}
    return Components(Path("c"), found, Path("runc"), Path("registry"), Path("pause"), replaced=replaced)


def test_the_newest_generation_is_the_default_and_an_unknown_one_an_error() -> None:
    both = components("1.6", "2.1")
    assert both.generation() == "2.1"
    assert both.generation("1.6") == "1.6"
    with pytest.raises(LabError, match=r"no containerd 1\.5 here; there are 1\.6, 2\.1"):
        both.generation("1.5")


def test_a_named_containerd_replaces_every_generation() -> None:
    assert components("2.3", replaced=True).generation("1.6") == "2.3"


def test_the_version_is_the_one_that_the_program_prints(tmp_path: Path) -> None:
    assert version(program(tmp_path / "a", "containerd example.test/containerd v2.3.4+x abc")) == "2.3.4"
    with pytest.raises(LabError, match="prints no version"):
        version(program(tmp_path / "b", "hello"))


def test_a_named_containerd_needs_its_shim_beside_it(tmp_path: Path) -> None:
    binary = program(tmp_path / "containerd", "containerd v2.3.4")
    environment = {**os.environ, "PULLWHY_LAB_CACHE": str(tmp_path / "cache"), "PULLWHY_LAB_CONTAINERD": str(binary)}
    with pytest.raises(LabError, match="no containerd-shim-runc-v2 beside"):
        ensure(environment)


def test_a_named_program_that_is_none_is_an_error(tmp_path: Path) -> None:
    environment = {
        "PULLWHY_LAB_CACHE": str(tmp_path),
        "PULLWHY_LAB_CONTAINERD": str(tmp_path / "none"),
        "PATH": "/usr/bin",
    }
    with pytest.raises(LabError, match=r"PULLWHY_LAB_CONTAINERD: .* is not an executable file"):
        ensure(environment)


def test_the_cache_is_the_users_own_unless_named() -> None:
    assert cache_folder({"PULLWHY_LAB_CACHE": "/srv/cache"}) == Path("/srv/cache")
    assert cache_folder({}).name == "pullwhy-lab"
