"""Runs the plugin as kubectl does."""

import json
import os
import subprocess
import sys
from pathlib import Path

from cli.kubectl.standin import Kubectl
from collector.samples import finding

from pullwhy.model import CauseId, FailingPod

PLUGIN = [str(Path(sys.executable).with_name("kubectl-pullwhy"))]
SAMPLES = (
    finding(1),
    finding(
        2, cause=CauseId.DISK_FULL, image="nginx", registry="docker.io", pods=(FailingPod("ops", "job", "u", "main"),)
    ),
)


def run(kubectl: Kubectl, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*PLUGIN, *words],
        env=kubectl.environment | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    for pid in kubectl.pids if kubectl.calls else ():
        assert not alive(pid), f"{kubectl.calls} left a child"
    return done


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def images(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return [each["image"].rpartition("/")[2] for each in json.loads(done.stdout)]
