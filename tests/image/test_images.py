"""What is in the images, and what is not."""

import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from image.ociarchive import Archive

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # the images may have to be built first

MOST = 80_000_000
SITE = "opt/pullwhy/lib/python3.13/site-packages"
NAMES = ("agent", "collector")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_less_than_80_mb(images: Mapping[str, Path], name: str) -> None:
    assert images[name].stat().st_size < MOST


@pytest.mark.parametrize("name", NAMES)
def test_no_shell_compiler_installer_or_test_is_left(archives: Mapping[str, Archive], name: str) -> None:
    paths = [PurePosixPath(path) for path in archives[name].files]
    programs = {path.name for path in paths if path.parent.name in {"bin", "sbin"}}
    assert programs == {"python3.13", "python3", "python", "pullwhy"}
    assert not [path for path in paths if {"pip", "setuptools", "test", "tests"} & set(path.parts)]


@pytest.mark.parametrize("name", NAMES)
def test_no_file_runs_with_another_users_rights_or_is_open_to_all(archives: Mapping[str, Archive], name: str) -> None:
    files = archives[name].files
    assert not [path for path, file in files.items() if file.isreg() and file.mode & (stat.S_ISUID | stat.S_ISGID)]
    open_to_all = {path for path, file in files.items() if not file.issym() and file.mode & stat.S_IWOTH}
    assert open_to_all <= {"tmp", "var/tmp"}


@pytest.mark.parametrize("name", NAMES)
def test_every_module_is_compiled(archives: Mapping[str, Archive], name: str) -> None:
    files = archives[name].files
    sources = [PurePosixPath(path) for path in files if path.endswith(".py")]
    assert len(sources) > 500
    settings = dict(each.split("=", 1) for each in archives[name].config["config"]["Env"])
    level = f".opt-{settings['PYTHONOPTIMIZE']}" if "PYTHONOPTIMIZE" in settings else ""
    assert not [
        path for path in sources if f"{path.parent}/__pycache__/{path.stem}.cpython-313{level}.pyc" not in files
    ]


def test_each_image_carries_only_its_own_libraries(archives: Mapping[str, Archive]) -> None:
    agent, collector = archives["agent"].files, archives["collector"].files
    assert f"{SITE}/systemd" in agent
    assert f"{SITE}/systemd" not in collector
    assert f"{SITE}/uvicorn" in collector
    assert f"{SITE}/uvicorn" not in agent


def test_the_collector_is_not_root_and_the_agent_says_that_it_is(archives: Mapping[str, Archive]) -> None:
    assert archives["collector"].config["config"]["User"] == "65532:65532"
    assert archives["agent"].config["config"]["User"] == "0:0"


@pytest.mark.parametrize("name", NAMES)
def test_labels_say_what_it_is(archives: Mapping[str, Archive], name: str) -> None:
    labels = archives[name].config["config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"pullwhy {name}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"]
    assert labels["org.opencontainers.image.revision"]


@pytest.mark.parametrize("name", NAMES)
def test_scanners_find_the_packages(archives: Mapping[str, Archive], name: str) -> None:
    listed = {PurePosixPath(path).name for path in archives[name].files if path.startswith("var/lib/dpkg/status.d/")}
    assert {"libc6", "libssl3t64", "libpython3.13-stdlib"} <= listed
