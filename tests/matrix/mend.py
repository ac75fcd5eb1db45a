"""Doing what a finding's remedy says: its own commands for the node, in a shell there, and then a look whether the pull works."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matrix.fault import PodSpec

from lab.errors import LabError, wait_for
from lab.node import Node

SECONDS = 60.0
EDITOR = "EDITOR"
"""The value for it is the program that plays the administrator's hand; without one, a command that opens an editor fails."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What came of a remedy: nothing in *fault* where the kubelet's next pull succeeded."""

    commands: int
    restarted: bool
    fault: str = ""

    def __str__(self) -> str:
        return self.fault or ("works, after a restart" if self.restarted else "works")


def apply(node: Node, spec: PodSpec, remedy: Mapping[str, Any], values: Mapping[str, str]) -> Mended:
    """Run the remedy's commands on *node* and wait for the kubelet's next pull."""
    before = node.containerd.service.pid
    commands = [command["run"] for command in remedy["commands"] if command["where"] == "node"]
    said = [_run(node, filled(command, values), values.get(EDITOR, "false")) for command in commands]
    restarted = before not in {0, node.containerd.service.pid}
    fault = ""
    if restarted and not remedy["restart_required"]:
        fault = "the runtime was restarted, which the remedy did not announce"
    elif not _pulled(node, spec):
        fault = (
            f"the pull still fails after {remedy['id']}: {'; '.join(text for text in said if text) or 'nothing said'}"
        )
    return Mended(len(commands), restarted, fault)


def filled(command: str, values: Mapping[str, str]) -> str:
    """Return the command with the values in place of the placeholders that the remedy says must be filled in."""
    for name, value in values.items():
        if name == EDITOR:
            continue
        command = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", lambda _: value, command)  # noqa: B023 - called at once
    return command


def _run(node: Node, command: str, editor: str) -> str:
    """Run one command as an administrator would; return what it said where it failed."""
    done = node.run(["bash", "-c", command], env={EDITOR: editor, "SYSTEMD_PAGER": "cat"}, check=False, seconds=60)
    return (
        "" if done.returncode == 0 else f"`{command[:120]}` ended with {done.returncode}: {done.stderr.strip()[-200:]}"
    )


def _pulled(node: Node, spec: PodSpec) -> bool:
    try:
        wait_for("the pull", lambda: spec.image in node.containerd.images(), seconds=SECONDS, every=0.5)
    except LabError:
        return False
    return True
