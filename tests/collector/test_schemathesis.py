"""A fuzzer that takes the OpenAPI document at its word finds nothing wrong with a real collector that has real data."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from collector.fleetasked import MISSING
from collector.process import CollectorProcess
from collector.samples import fill
from collector.test_fleet_api import ELSEWHERE
from collector.test_probes_api import WALKS

from pullwhy.collector.problem import problem_key
from pullwhy.collector.store import open_store

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
KNOWN = """
[[operations]]
include-operation-id = ["getProblem", "silenceProblem", "endSilence"]
parameters = {{ "path.id" = "{problem}" }}
[[operations]]
include-operation-id = "getFinding"
parameters = {{ "path.id" = "{finding}" }}
[[operations]]
include-operation-id = "listFailingNodes"
parameters = {{ "path.registry" = "registry.example" }}
"""


async def _fill(database: Path) -> None:
    store = open_store(database)
    await fill(store, [*MISSING, *ELSEWHERE], WALKS)
    await store.close()


@pytest.mark.lab  # takes minutes, no root
@pytest.mark.timeout(600)
@pytest.mark.parametrize("known", [False, True], ids=["any ids", "ids that are known"])
def test_nothing_contradicts_the_description(tmp_path: Path, known: bool) -> None:
    asyncio.run(_fill(tmp_path / "collector.db"))
    config = tmp_path / "schemathesis.toml"
    ids = {"problem": problem_key(MISSING[0]).id, "finding": MISSING[0].id}
    config.write_text(KNOWN.format(**ids) if known else "")
    with CollectorProcess(tmp_path) as collector:
        # The stream of events does not end, so that no answer to it can be looked at: test_events.py has it.
        command = [str(SCHEMATHESIS), "--config-file", str(config), "run", f"{collector.url}/openapi.json"]
        command += ["--exclude-path", "/api/v1/events", "--max-examples", "20", "--generation-database", "none"]
        # They are about how data are made, which a busy machine and chance decide; not about answers.
        command += ["--suppress-health-check", "too_slow,filter_too_much"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr
    assert "Selected: 16/17" in ended.stdout
