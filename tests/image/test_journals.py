"""Journals of hosts with a newer systemd, in every form that it writes, read from the image."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image.kubelet import RunningPod
from image.world import World

from lab.namespace import TESTS
from lab.program import Program

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # the images may have to be built first

RECORDED = TESTS / "data" / "kubelet-1.31.14.export.gz"
COMPACT = 1 << 4
COMPRESSIONS = {"XZ": 1 << 0, "LZ4": 1 << 1, "ZSTD": 1 << 3}
"""Incompatible flags of a journal file (systemd: docs/JOURNAL_FILE_FORMAT.md)."""
SUITES = ("trixie", "sid")
LIBRARIES = ("libzstd1", "liblz4-1", "liblzma5")
"""That systemd opens at run time, so that no dependency names them."""


def write(suite: str, compression: str, path: Path) -> None:
    """Write the recorded journal as the systemd of a suite does."""
    remote = Program.ensure("systemd-journal-remote", "usr/lib/systemd/systemd-journal-remote", suite, more=LIBRARIES)
    command = remote.command("--split-mode=none", "--compress=yes", f"--output={path}", "-")
    environment = os.environ | {"SYSTEMD_JOURNAL_COMPRESS": compression, "SYSTEMD_JOURNAL_COMPACT": "1"}
    # The record was shortened by what readers do not need, and writers do.
    more = rb"\g<0>__MONOTONIC_TIMESTAMP=\1\n_BOOT_ID=d221618f532741da877d81c349543a08\n"
    content = re.sub(rb"__REALTIME_TIMESTAMP=(\d+)\n", more, gzip.decompress(RECORDED.read_bytes()))
    subprocess.run(command, input=content, env=environment, check=True, capture_output=True, timeout=60)


def flags(path: Path) -> int:
    """Return a journal file's incompatible flags."""
    number: int = struct.unpack("<I", path.read_bytes()[12:16])[0]
    return number


def causes(text: str) -> set[tuple[str, str]]:
    """Return the images and causes that a scan found."""
    found: list[dict[str, Any]] = json.loads(text)
    return {(one["image"], one["cause"]) for one in found}


@pytest.fixture(scope="module")
def pod(world: World) -> Iterator[tuple[RunningPod, Path]]:
    """Run the agent's container, and return it with the /var/log of its host."""
    with world.agent(idle=True) as running:
        yield running, world.node.path("/var/log")


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("suite", SUITES)
def test_it_is_read_from_the_image(pod: tuple[RunningPod, Path], tmp_path: Path, suite: str, compression: str) -> None:
    running_pod, logs = pod
    written = tmp_path / "stored.journal"
    write(suite, compression, written)
    assert flags(written) & (COMPACT | COMPRESSIONS[compression]) == COMPACT | COMPRESSIONS[compression]
    folder = logs / f"stored-{suite}-{compression}"
    folder.mkdir()
    (folder / "stored.journal").write_bytes(written.read_bytes())
    answer = running_pod.exec("pullwhy", "scan", "--journal", f"/host/var/log/{folder.name}", "-o", "json")
    assert answer.status == 0, answer.err
    command = [str(Path(sys.executable).with_name("pullwhy")), "scan", "--file", str(RECORDED), "-o", "json"]
    expected = causes(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(expected) > 3
    assert causes(answer.out) == expected
