"""Every finding arrives exactly once in its newest state, whichever side is killed with SIGKILL at whatever moment."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.samples import get

pytestmark = pytest.mark.slow

FINDINGS = 40
"""Different findings; their states follow each other in `count`."""
KILLS = 4

# Appends state after state, telling each number when the outbox has it, as the agent's cursor moves on then.
AGENT = """
import asyncio, itertools, sys
from pathlib import Path
from collector.samples import NOW, encoded, finding
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter

async def main(address, state, first, last):
    outbox = Outbox(Path(state))
    reporter = Reporter(outbox, ReportSettings(address=address), node="node-a", sleep=lambda _: asyncio.sleep(0.05))
    task = asyncio.create_task(reporter.run())
    for number in range(first, last):
        which = number % FINDINGS
        outbox.append(finding(which).id, encoded(which, count=number), NOW)
        print(number, flush=True)
        await asyncio.sleep(0.002)
    while len(outbox):
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
""".replace("FINDINGS", str(FINDINGS))


class Process:
    """A child that is killed and started again while a test goes on."""

    def __init__(self, start: Callable[[], subprocess.Popen[str]]) -> None:
        self._start, self.child = start, start()

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def start(self) -> None:
        self.child = self._start()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Fleet:
    """One collector and one agent, as processes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.grpc, self.http = folder, free_port(), free_port()
        self.told, self.last = 0, 10**9
        """The last state that the agent told of, and the number before which it ends by itself."""
        self._readers: list[threading.Thread] = []

    def collector(self) -> subprocess.Popen[str]:
        settings = {
            "PULLWHY_GRPC_LISTEN": f"127.0.0.1:{self.grpc}",
            "PULLWHY_HTTP_LISTEN": f"127.0.0.1:{self.http}",
            "PULLWHY_DATABASE": str(self.folder / "c.db"),
        }
        program = [sys.executable, "-c", "from pullwhy.cli.main import run; run()", "collector"]
        return subprocess.Popen(program, env=os.environ | settings, stderr=subprocess.DEVNULL, text=True)

    def agent(self) -> subprocess.Popen[str]:
        arguments = [f"127.0.0.1:{self.grpc}", str(self.folder / "state"), str(self.told + 1), str(self.last)]
        tests = str(Path(__file__).parent.parent)
        child = subprocess.Popen(
            [sys.executable, "-c", AGENT, *arguments],
            env=os.environ | {"PYTHONPATH": tests},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        reader = threading.Thread(target=self._follow, args=(child,))
        reader.start()
        self._readers.append(reader)
        return child

    def _follow(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout
        with child.stdout:
            for line in child.stdout:
                if line.endswith("\n"):
                    self.told = max(self.told, int(line))

    def join(self) -> None:
        for reader in self._readers:
            reader.join()

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.http), timeout=1):
            return True
        return False

    def stored(self) -> list[dict[str, Any]]:
        wait_for(self.answers)  # agents are served a moment before questions are
        status, answer, _ = get(f"127.0.0.1:{self.http}", "/api/v1/findings?limit=500")
        assert status == 200
        return list(answer["items"])


@contextlib.contextmanager
def ending(*processes: Process) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def test_every_finding_arrives_once_in_its_newest_state_whoever_is_killed(tmp_path: Path) -> None:
    chance, fleet = random.Random(11), Fleet(tmp_path)
    collector, agent = Process(fleet.collector), Process(fleet.agent)
    with ending(collector, agent):
        for _ in range(KILLS):
            before = fleet.told
            wait_for(lambda: fleet.told > before + FINDINGS)  # noqa: B023 - waited for at once
            time.sleep(chance.uniform(0.0, 0.3))
            agent.kill()
            fleet.join()
            agent.start()
            time.sleep(chance.uniform(0.0, 0.5))
            collector.kill()
            collector.start()
        agent.kill()
        fleet.join()
        last = fleet.told
        assert last > KILLS * FINDINGS
        fleet.last = last + 1
        agent.start()
        assert agent.child.wait(30) == 0
        fleet.join()
        newest = {number % FINDINGS: number for number in range(1, last + 1)}
        stored = [(int(item["id"], 16), item["count"]) for item in fleet.stored()]
        # The state that was under way when the agent was killed may have been kept before its number was told.
        allowed = [newest, newest | {(last + 1) % FINDINGS: last + 1}]
        assert len(stored) == len(newest)
        assert dict(stored) in allowed
        assert not list((tmp_path / "state" / "outbox").glob("*.report"))
