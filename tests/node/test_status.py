"""What an agent tells of its node."""

from dataclasses import replace
from pathlib import Path

import pytest
from node.fakes import NODE

from pullwhy.config import AgentSettings
from pullwhy.node.agent import Agent, Outbox
from pullwhy.node.walk.plan import NodeSight
from pullwhy.runtime.process import RuntimeProcess

PROCESS = RuntimeProcess(7, "containerd")


@pytest.mark.parametrize(
    ("sight", "name"),
    [
        (NODE, ""),
        (replace(NODE, runtime_answers=False), ""),
        (replace(NODE, runtime_answers=True), "containerd"),
        (replace(NODE, view=replace(NODE.view, process=PROCESS)), "containerd"),
    ],
)
def test_a_runtime_is_named_only_where_it_was_seen(tmp_path: Path, sight: NodeSight, name: str) -> None:
    agent = Agent(AgentSettings(host_root=str(tmp_path), state_directory=str(tmp_path / "state")), Outbox(None))
    agent._observer._sight = sight
    assert agent._status().runtime_name == name
