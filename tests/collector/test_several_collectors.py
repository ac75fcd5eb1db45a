"""Two collectors on one PostgreSQL behind one address, agents with real outboxes: nothing is lost or doubled, whoever is killed."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from collector.samples import get
from collector.test_delivery import Process, ending, free_port, wait_for

from pullwhy.collector.store import open_store

from lab.postgres import Cluster, cluster

pytestmark = pytest.mark.lab

NODES = 6
FINDINGS = 20
"""Of each node; their states follow each other in `count`."""

# Appends state after state for each node, telling each when the outbox has it; at a line on standard input it delivers what is left.
AGENTS = """
import asyncio, sys
from pathlib import Path
from collector.samples import NOW, encoded, finding
from pullwhy.config import ReportSettings
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter

async def main(address, state):
    outboxes = [Outbox(Path(state, f"node-{number}")) for number in range(NODES)]
    pause = lambda _: asyncio.sleep(0.05)
    tasks = [
        asyncio.create_task(Reporter(outbox, ReportSettings(address=address), node=f"node-{number}", sleep=pause).run())
        for number, outbox in enumerate(outboxes)
    ]
    ending = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    count = 0
    while not ending.done():
        count += 1
        for number, outbox in enumerate(outboxes):
            which = count % FINDINGS
            outbox.append(finding(which).id, encoded(which, node=f"node-{number}", count=count), NOW)
            print(number, count, flush=True)
        await asyncio.sleep(0.01)
    while any(len(outbox) for outbox in outboxes):
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

asyncio.run(main(*sys.argv[1:]))
""".replace("NODES", str(NODES)).replace("FINDINGS", str(FINDINGS))


class Balancer:
    """One address before several collectors: each connection goes to one that takes it, chosen by chance."""

    def __init__(self, ports: list[int]) -> None:
        self.port, self._ports, self._chance = 0, ports, random.Random(5)
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            for port in self._chance.sample(self._ports, len(self._ports)):
                with contextlib.suppress(OSError):
                    behind = await asyncio.open_connection("127.0.0.1", port)
                    with contextlib.closing(behind[1]):
                        await asyncio.wait(
                            [
                                asyncio.create_task(_pump(reader, behind[1])),
                                asyncio.create_task(_pump(behind[0], writer)),
                            ],
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                    return


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


class CollectorProcess:
    """What is needed to start one of the collectors again at its ports."""

    def __init__(self, url: str) -> None:
        self.grpc, self.http = free_port(), free_port()
        self._settings = {
            "PULLWHY_GRPC_LISTEN": f"127.0.0.1:{self.grpc}",
            "PULLWHY_HTTP_LISTEN": f"127.0.0.1:{self.http}",
            "PULLWHY_DATABASE": url,
        }

    def __call__(self) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", "from pullwhy.cli.main import run; run()", "collector"]
        return subprocess.Popen(program, env=os.environ | self._settings, stderr=subprocess.DEVNULL, text=True)

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return get(f"127.0.0.1:{self.http}", "/readyz")[0] == 200
        return False

    def stored(self) -> list[dict[str, Any]]:
        status, answer, _ = get(f"127.0.0.1:{self.http}", "/api/v1/findings?limit=500")
        assert status == 200
        return list(answer["items"])


class Agents:
    """The agents of all nodes, in one process."""

    def __init__(self, port: int, state: Path) -> None:
        self.newest: dict[tuple[str, int], int] = {}
        """Node and finding → the last state that its outbox took."""
        self.told = 0
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        self._child = subprocess.Popen(
            [sys.executable, "-c", AGENTS, f"127.0.0.1:{port}", str(state)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def _follow(self) -> None:
        assert self._child.stdout
        for line in self._child.stdout:
            number, count = map(int, line.split())
            self.newest[f"node-{number}", count % FINDINGS] = self.told = count

    def finish(self) -> None:
        """Deliver what is left; TimeoutExpired where that does not come to an end."""
        assert self._child.stdin
        self._child.stdin.close()
        assert self._child.wait(60) == 0
        self._reader.join()

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe
            with contextlib.suppress(OSError):
                pipe.close()


@pytest.fixture
def server() -> Iterator[Cluster]:
    with cluster("fsync=off") as running:
        yield running


def test_whoever_is_killed_every_finding_arrives_once_in_its_newest_state(server: Cluster, tmp_path: Path) -> None:
    chance = random.Random(23)
    sides = [CollectorProcess(server.url()) for _ in range(2)]
    collectors = [Process(side) for side in sides]
    with ending(*collectors), Balancer([side.grpc for side in sides]) as balancer:
        wait_for(lambda: all(side.ready() for side in sides))
        agents = Agents(balancer.port, tmp_path)
        try:
            for turn in range(4):
                before = agents.told
                wait_for(lambda: agents.told > before + FINDINGS)  # noqa: B023 - waited for at once
                _kill_one(collectors[turn % 2], sides[turn % 2], chance)
                server.stop((signal.SIGQUIT, signal.SIGKILL)[turn % 2])
                time.sleep(chance.uniform(0.0, 0.5))
                server.start()
            agents.finish()
        finally:
            agents.kill()
        wait_for(lambda: all(side.ready() for side in sides))
        for side in sides:
            stored = [(item["node"], int(item["id"], 16), item["count"]) for item in side.stored()]
            assert len(stored) == len(agents.newest) == NODES * FINDINGS
            assert {(node, which): count for node, which, count in stored} == agents.newest
    assert asyncio.run(_active(server.url())) == NODES * FINDINGS
    assert server.query("SELECT count(*) FROM pullwhy.sessions") == str(NODES)


def _kill_one(collector: Process, side: CollectorProcess, chance: random.Random) -> None:
    time.sleep(chance.uniform(0.0, 0.3))
    collector.kill()
    time.sleep(chance.uniform(0.0, 0.3))
    collector.start()
    wait_for(side.ready)


async def _active(url: str) -> int:
    store = open_store(url)
    try:
        return sum((await store.active_by_cause()).values())
    finally:
        await store.close()
