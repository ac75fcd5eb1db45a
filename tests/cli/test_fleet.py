"""`problems`, `registries`, `silence` and `probe` against a real collector whose nodes' answers the test gives."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli.answering import answering
from cli.test_query import PULLWHY, child, read_until
from collector.fleetasked import MISSING
from collector.samples import collector, encoded, fill, until
from collector.test_fleet_api import ELSEWHERE
from collector.test_probes_api import IMAGE, WALKS

from pullwhy.cli.main import main
from pullwhy.collector.fleet import Walk, WalkState
from pullwhy.collector.problem import problem_key
from pullwhy.collector.store import SQLStore
from pullwhy.model import CauseId, Finding, Outcome, Scope, ScopeVerdict, Stage, TraceLine

PROBLEM = problem_key(MISSING[0])


async def judged(store: SQLStore) -> bool:
    """Whether the collector has a verdict of its own for each problem, so that it makes no other soon."""
    return not await store.unscoped(datetime.now(UTC) - timedelta(minutes=1), 10)


class Fleet:
    """A collector in a thread of its own; `do` runs something with its store there."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self._folder = folder
        self._store: SQLStore | None = None
        self._loop, self._ready, self._end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def do(self, work: Callable[[SQLStore], Coroutine[Any, Any, Any]]) -> Any:
        assert self._store
        return asyncio.run_coroutine_threadsafe(work(self._store), self._loop).result(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # Nobody is asked by the collector itself: the orders are those of the tests.
        async with collector(self._folder, second_opinions=0) as running:
            store = self._store = running._store
            assert store
            await fill(store, [*MISSING, *ELSEWHERE], WALKS)
            await until(lambda: judged(store))
            scope = Scope(ScopeVerdict.IMAGE_WIDE, 3, 0, 1, ("zone: z1",))
            await store.set_scope(PROBLEM, scope, datetime.now(UTC), 1)
            self.url = f"http://{running.http_address}"
            self._ready.set()
            await self._end.wait()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    running = Fleet(tmp_path_factory.mktemp("fleet"))
    yield running
    running.stop()


def ask(fleet: Fleet, *arguments: str) -> int:
    return main([*arguments, "--server", fleet.url])


def test_problems_are_one_row_for_each_fault(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(fleet, "problems") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "ID"
    assert len(rows) == 3
    row = next(row for row in rows if "TagNotFound" in row)
    for text in (PROBLEM.id, "registry.example/shop/web:1.4", "ImageWide", "  3      3  ", "shop/ReplicaSet/web"):
        assert text in row
    assert ask(fleet, "problems", "-o", "wide", "--cause", "TagNotFound") == 0
    assert "zone: z1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "causes"),
    [
        ([], {"TagNotFound", "CertificateUntrusted", "DiskFull"}),
        (["--state", "resolved"], {"TagNotFound"}),
        (["--node", "node-4"], {"DiskFull"}),
        (["-n", "shop", "--image", "registry.example/shop/web"], {"TagNotFound"}),
        (["--registry", "other.example"], {"CertificateUntrusted"}),
        (["--cause", "diskfull"], {"DiskFull"}),
        (["--silenced", "yes"], set()),
        (["--since", "2100-01-01T00:00:00Z"], set()),
    ],
)
def test_problems_in_json_are_what_the_filters_leave(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], arguments: list[str], causes: set[str]
) -> None:
    assert ask(fleet, "problems", "-o", "json", *arguments) == 0
    assert {each["cause"] for each in json.loads(capsys.readouterr().out)} == causes


def test_explain_tells_a_problem_with_its_nodes_and_a_remedy(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    for target in (PROBLEM.id, PROBLEM.id[:6]):
        assert ask(fleet, "explain", target) == 0
        text = capsys.readouterr().out
        for part in (
            f"Problem {PROBLEM.id}: TagNotFound, {IMAGE}",
            "ImageWide (3 nodes fail, 0 do not; in common: zone: z1)",
            "node-1, node-2, node-3",
            "What to do",
        ):
            assert part in text
    assert ask(fleet, "explain", PROBLEM.id, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["failing_nodes"] == ["node-1", "node-2", "node-3"]


def test_an_id_of_nothing_is_of_no_finding_and_no_problem(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(fleet, "explain", "0123456789abcdef") == 1
    assert "no finding or problem 0123456789abcdef at http://" in capsys.readouterr().err


def test_a_problem_is_silenced_with_reason_and_end_and_unsilenced(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(fleet, "silence", PROBLEM.id[:5], "--for", "4h", "--reason", "the registry moves") == 0
    assert f"problem {PROBLEM.id} is silenced until 20" in capsys.readouterr().out
    assert ask(fleet, "problems", "--silenced", "yes") == 0
    assert "ends in 4h" in capsys.readouterr().out
    assert ask(fleet, "explain", PROBLEM.id) == 0
    assert ": the registry moves" in capsys.readouterr().out
    assert ask(fleet, "unsilence", PROBLEM.id) == 0
    assert capsys.readouterr().out == f"problem {PROBLEM.id} is no longer silenced\n"
    assert ask(fleet, "unsilence", PROBLEM.id) == 0
    assert capsys.readouterr().out == f"problem {PROBLEM.id} was not silenced\n"
    assert ask(fleet, "silence", PROBLEM.id, "--until", "2020-01-01T00:00:00Z", "--reason", "late") == 1
    assert "it must lie after now" in capsys.readouterr().err
    assert ask(fleet, "silence", "beefbeef", "--for", "4h", "--reason", "none") == 1
    assert "no problem's id begins with beefbeef" in capsys.readouterr().err
    assert ask(fleet, "unsilence", "web") == 64
    assert "id=web must be 4 to 16 characters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["silence", "feed", "--for", "4h"], "--reason"),
        (["silence", "feed", "--reason", "x"], "--for --until"),
        (["silence", "feed", "--reason", "x", "--for", "tomorrow"], "write --for 4h"),
        (["silence", "feed", "--reason", "x", "--until", "4h"], "write --for 4h"),
        (["probe", "nginx"], "--node --all-nodes"),
        (["probe", "nginx", "--all-nodes", "--node", "a"], "not allowed with"),
        (["probe", "nginx", "--all-nodes", "--deadline", "11m"], "from 1s to 10m"),
        (["problems", "--state", "gone"], "known: Active, Resolved, all"),
    ],
)
def test_usage_errors_are_told(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 64
    assert told in capsys.readouterr().err


def test_registries_tell_for_how_many_nodes_they_fail(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(fleet, "registries") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["REGISTRY", "CAUSE", "NODES", "PROBLEMS"]
    assert [row.split()[:3] for row in rows] == [
        ["registry.example", "TagNotFound", "3"],
        ["other.example", "CertificateUntrusted", "1"],
    ]
    assert ask(fleet, "registries", "--cluster", "blue") == 0
    assert "No registry fails" in capsys.readouterr().err


def passes(fleet: Fleet, *nodes: str) -> None:
    """Answer for these nodes, as soon as they are asked."""

    async def work(store: SQLStore) -> None:
        for node in nodes:
            async with asyncio.timeout(15):
                while not (orders := await store.take_walks([("", node)], 1)):  # noqa: ASYNC110 - a process asks
                    await asyncio.sleep(0.02)
            trace = (
                TraceLine(Stage.DNS, "t", Outcome.PASSED, 0.1, "", ""),
                TraceLine(Stage.TLS, "t", Outcome.FAILED, 0.1, "", ""),
            )
            fails = node == "node-1"
            document = encoded(1, node=node, trace=trace if fails else trace[:1])
            state = WalkState.FAILS if fails else WalkState.PASSES
            await store.answer_walk(orders[0].probe, "", Walk(node, state, datetime.now(UTC), document=document))

    fleet.do(work)


def test_a_probe_prints_node_by_stage_in_the_order_of_the_pull_path(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = threading.Thread(target=passes, args=(fleet, "node-2", "node-1"))
    thread.start()
    assert ask(fleet, "probe", IMAGE, "--node", "node-1", "--node", "node-2", "--deadline", "20s") == 0
    thread.join()
    captured = capsys.readouterr()
    header, *rows = captured.out.splitlines()
    titles = header.split()
    assert titles[:2] + titles[-2:] == ["NODE", "STATE", "CAUSE", "WHY"]
    path = [stage.upper() for stage in Stage]
    assert titles[2:-2]
    assert titles[2:-2] == sorted(titles[2:-2], key=path.index)
    assert [row.split()[:2] for row in rows] == [["node-1", "Fails"], ["node-2", "Passes"]]
    assert [row[header.index("MANIFEST") :].split()[0] for row in rows] == ["FAIL", "-"]
    assert rows[0][header.index("CAUSE") :].startswith("TagNotFound ")
    assert "1 Fails, 1 Passes" in captured.err


def test_a_probe_in_json_is_one_document_with_what_is_late(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(fleet, "probe", IMAGE, "--node", "node-3", "--deadline", "1s", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    late = ("node-3", "Late", "no answer came by the deadline")
    assert [(walk["node"], walk["state"], walk["reason"]) for walk in document["walks"]] == [late]


def test_a_probe_that_cannot_be_is_one_clear_line(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(fleet, "probe", "Shop/Web:1", "--all-nodes") == 64
    assert "did you mean" in capsys.readouterr().err
    assert ask(fleet, "probe", IMAGE, "--node", "node-x") == 1
    assert "no agent has reported from 'node-x'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_probe_on_a_terminal_fills_and_ctrl_c_cancels_it(fleet: Fleet) -> None:
    mine, theirs = pty.openpty()
    environment = os.environ | {"PULLWHY_SERVER": fleet.url, "COLUMNS": "120", "TERM": "xterm"}
    command = [*PULLWHY, "probe", IMAGE, "--node", "node-1", "--node", "node-2", "--deadline", "60s"]
    with child(command, env=environment, stdin=theirs, stdout=theirs) as process:
        assert "NODE" in read_until(mine, "Waiting")
        passes(fleet, "node-1")
        text = read_until(mine, "TagNotFound")
        assert "\x1b[J" in text
        assert "FAIL" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr
        assert b"cancelled: no more answers are waited for" in process.stderr.read()
    assert "cancelled by who asked" in read_until(mine, "cancelled by")
    for handle in (mine, theirs):
        os.close(handle)


@pytest.mark.slow
def test_watching_shows_a_change_as_soon_as_it_is_told(fleet: Fleet) -> None:
    command = [*PULLWHY, "problems", "-w", "-o", "json", "--server", fleet.url, "--cause", "PullStalled"]
    with child(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert read_until(process.stdout.fileno(), "[]") == "[]\n"
        more = [each for each in ELSEWHERE if each.diagnosis.cause is CauseId.DISK_FULL]
        fleet.do(lambda store: fill(store, [stalled(more[0])]))
        assert "PullStalled" in read_until(process.stdout.fileno(), "PullStalled", 1.9)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def stalled(like: Finding) -> Finding:
    return replace(like, id="00000000000000aa", diagnosis=replace(like.diagnosis, cause=CauseId.PULL_STALLED))


def test_an_old_collector_without_problems_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(404, b'{"error": "nothing at /api/v1/problems"}') as server:
        assert main(["problems", "--server", server]) == 1
    assert "nothing at /api/v1/problems" in capsys.readouterr().err
