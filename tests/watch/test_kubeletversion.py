"""The kubelet's version comes from the journal, from the start of the process that runs now."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from watch.journals import EPOCH, MACHINE, JournalWriter

from pullwhy.node.walk.kubeletversion import kubelet_version
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.watch.journal import Place
from pullwhy.watch.kubeletversion import version_at_start

UNITS = ("kubelet.service",)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(EPOCH / 1_000_000, UTC) + timedelta(seconds=seconds)


def text(version: str) -> str:
    return f'I1122 08:09:55.013764   20212 server.go:545] "Kubelet version" kubeletVersion="{version}"'


def root(tmp_path: Path, *entries: tuple[int, str, str]) -> Path:
    with JournalWriter(tmp_path / f"var/log/journal/{MACHINE}/system.journal") as writer:
        for number, message, unit in entries:
            writer.write(number, message, unit)
    return tmp_path


@pytest.mark.parametrize(
    ("message", "version"),
    [
        (text("v1.36.2"), "v1.36.2"),
        (text("v1.31.14-eks-1a2b3c"), "v1.31.14-eks-1a2b3c"),
        (
            '{"ts":1,"caller":"app/server.go:545","msg":"Kubelet version","v":0,"kubeletVersion":"v1.33.0+k3s1"}',
            "v1.33.0+k3s1",
        ),
        (text("newest"), ""),
    ],
)
def test_the_line_of_its_start_tells_the_version(tmp_path: Path, message: str, version: str) -> None:
    here = root(tmp_path, (9, 'I1122 flags.go:64] FLAG: --v="2"', UNITS[0]), (10, message, UNITS[0]))
    assert version_at_start(Place(here), UNITS, at(9)) == version


def test_an_earlier_kubelet_and_other_units_do_not_count(tmp_path: Path) -> None:
    entries = [(0, text("v1.30.1"), UNITS[0]), (60, text("v9.9.9"), "other.service"), (61, text("v1.31.2"), UNITS[0])]
    assert version_at_start(Place(root(tmp_path, *entries)), UNITS, at(60)) == "v1.31.2"


def test_without_a_process_or_a_journal_it_is_not_known(tmp_path: Path) -> None:
    assert kubelet_version(tmp_path, tmp_path, Kubelet()) == ""
    assert kubelet_version(tmp_path / "none", tmp_path, Kubelet(pid=5, started=at(0))) == ""


def test_a_version_is_looked_up_once_for_each_process_and_again_while_it_is_not_known(tmp_path: Path) -> None:
    started = Kubelet(pid=5, started=at(10))
    assert kubelet_version(tmp_path, tmp_path, started) == ""
    here = root(tmp_path, (11, text("v1.36.2"), UNITS[0]))
    assert kubelet_version(here, tmp_path, started) == "v1.36.2"
    assert kubelet_version(here, tmp_path, Kubelet(pid=6, started=at(99))) == ""
