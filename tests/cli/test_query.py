"""`findings`, `explain` and `nodes` against a real collector: what people read and what programs read."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from cli.answering import answering
from collector.samples import NOW, finding, recovered
from collector.served import Served

from pullwhy.cli import answers
from pullwhy.cli.main import build_parser, main
from pullwhy.cli.watching import WATCH_SECONDS
from pullwhy.model import CauseId, FailingPod
from pullwhy.node.report.status import NodeStatus

FEED = 0xFEED0123456789AB
SAMPLES = (
    finding(1),
    finding(
        2, cause=CauseId.DISK_FULL, image="nginx", registry="docker.io", pods=(FailingPod("ops", "job", "u", "main"),)
    ),
    recovered(3),
    recovered(4, id=f"{FEED:x}"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    status = NodeStatus(
        zone="z1", runtime_name="containerd", runtime_version="2.1.4", impairments=("no journal: mount it",)
    )
    running = Served(tmp_path_factory.mktemp("collector"), SAMPLES, status)
    yield running
    running.stop()


def ask(served: Served, *arguments: str) -> int:
    return main([*arguments, "--server", served.url])


def test_findings_lists_what_fails_now(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(served, "findings") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NODE", "IMAGE", "CAUSE", "STAGE", "CONFIDENCE", "PODS", "RETRY", "LAST", "SEEN"]
    assert [line.split()[1] for line in lines[1:]] == ["registry.example/shop/web1:1.4", "nginx"]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], [1, 2]),
        (["-A"], [1, 2]),
        (["--state", "all"], [1, 2, 3, FEED]),
        (["--state", "recovered"], [3, FEED]),
        (["-n", "ops"], [2]),
        (["--namespace", "shop"], [1]),
        (["--node", "node-a"], [1, 2]),
        (["--node", "other"], []),
        (["--image", "nginx"], [2]),
        (["--registry", "docker.io"], [2]),
        (["--cause", "diskfull"], [2]),
        (["--since", "2020-01-01T00:00:00Z"], [1, 2]),
        (["--since", "2100-01-01T00:00:00Z"], []),
        (["--limit", "1"], [1]),
    ],
)
def test_json_is_an_array_of_what_the_filters_leave(
    served: Served, capsys: pytest.CaptureFixture[str], arguments: list[str], numbers: list[int]
) -> None:
    assert ask(served, "findings", "-o", "json", *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert [int(each["id"], 16) for each in found] == numbers


def test_yaml_and_wide_are_there_too(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(served, "findings", "-o", "yaml") == 0
    assert [each["cause"] for each in yaml.safe_load(capsys.readouterr().out)] == ["TagNotFound", "DiskFull"]
    assert ask(served, "findings", "-o", "wide") == 0
    assert "ops/job" in capsys.readouterr().out


def test_no_finding_says_what_was_looked_for_and_where_more_may_be(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(served, "findings", "-n", "empty", "--since", "2h") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    expected = (
        f"No findings at {served.url} with namespace empty, state Active, since 2h. Resolved ones: --state all.\n"
    )
    assert captured.err == expected


class Nobody:
    """Stands in for the client of a collector that nothing was reported to."""

    tag = ""

    def one(self, _path: str, _parameters: dict[str, str]) -> dict[str, Any]:
        return {"items": []}

    def items(self, _path: str, _parameters: dict[str, str], _tag: str = "") -> list[Any]:
        return []

    def all(self, _path: str, _parameters: dict[str, str], _limit: int, _tag: str = "") -> tuple[list[Any], bool]:
        return [], False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["findings"], "No findings at URL with state Active. Resolved ones: --state all."),
        (["problems"], "No problems at URL with state Active. Resolved ones: --state all."),
        (
            ["problems", "--state", "resolved", "--silenced", "yes"],
            "No problems at URL with state Resolved, silenced yes.",
        ),
        (["registries"], "No registry fails, says URL."),
    ],
)
def test_an_empty_answer_of_a_collector_without_agents_does_not_read_as_all_is_well(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    options = build_parser().parse_args([*words, "--server", "URL"])
    options.connect = lambda _: Nobody()
    assert options.run(options) == 0
    assert capsys.readouterr().err == f"{told} No agent has reported yet, see: pullwhy nodes.\n"


def test_a_limit_that_cuts_says_so(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(served, "findings", "--limit", "1") == 0
    assert "there are more than 1: narrow the question, or raise --limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "image"),
    [
        (["pod/web-1"], "web1:1.4"),
        (["pod/web-1", "-n", "shop"], "web1:1.4"),
        (["pod/shop/web-1"], "web1:1.4"),
        (["shop/web-1"], "web1:1.4"),
        (["ops/job"], "nginx"),
        (["library/nginx"], "nginx"),
        (["nginx"], "nginx"),
        (["feed"], "web4:1.4"),
        (["registry.example/shop/web1"], "web1:1.4"),
        (["0000000000000002"], "nginx"),
        (["pod/web-3"], "web3:1.4"),  # recovered: nothing else of that pod is known
    ],
)
def test_explain_takes_a_pod_an_image_or_an_id(
    served: Served, capsys: pytest.CaptureFixture[str], target: list[str], image: str
) -> None:
    assert ask(served, "explain", *target) == 0
    text = capsys.readouterr().out
    assert image in text
    assert ask(served, "explain", *target, "-o", "json") == 0
    assert [image in each["image"] for each in json.loads(capsys.readouterr().out)] == [True]


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        (["pod/absent", "-n", "shop"], 1, "no finding about pod/absent with namespace shop at http://"),
        (["pod/"], 64, "pod/: write ID (or 4 of its first characters), pod/NAME, pod/NAMESPACE/NAME, or IMAGE"),
        (["pod/shop/"], 64, "pod/NAMESPACE/NAME"),
        (["pod/shop/web/1"], 64, "pod/NAMESPACE/NAME"),
        ([""], 64, "pod/NAMESPACE/NAME"),
        (["web-9"], 1, "; write ID (or 4 of its first characters), pod/NAME, pod/NAMESPACE/NAME, or IMAGE; all"),
        (["0000"], 1, "several ids begin with 0000: 0000000000000001, 0000000000000002, 0000000000000003"),
        (["beef"], 1, "no finding about beef"),
        (["00000000000000ff"], 1, "no finding or problem 00000000000000ff at http://"),
        (["evil\x1b[2J"], 1, "no finding about evil\\x1b[2J"),
    ],
)
def test_explain_of_what_is_unknown_says_so(
    served: Served, capsys: pytest.CaptureFixture[str], target: list[str], code: int, told: str
) -> None:
    assert ask(served, "explain", *target) == code
    assert told in capsys.readouterr().err


def test_nodes_tell_what_an_agent_cannot_see(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(served, "nodes") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "NODE"
    for text in ("node-a", "yes", "containerd 2.1.4", "no journal: mount it"):
        assert text in row
    assert ask(served, "nodes", "-o", "json", "--node", "node-a") == 0
    assert json.loads(capsys.readouterr().out)[0]["zone"] == "z1"
    assert ask(served, "nodes", "--node", "absent") == 0
    assert "No agent has reported to http://" in capsys.readouterr().err


PULLWHY = [sys.executable, "-c", "from pullwhy.cli.main import run; run()"]


@contextlib.contextmanager
def child(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that ends only when it is told to, also where the test fails."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(handle: int, text: str, seconds: float = 15.0) -> str:
    seen, end = "", time.monotonic() + seconds
    while text not in seen:
        assert time.monotonic() < end, f"{text!r} did not come: {seen!r}"
        if select.select([handle], [], [], 0.1)[0]:
            seen += os.read(handle, 65_536).decode()
    return seen


@pytest.mark.slow
def test_watch_on_a_terminal_shows_again_what_changed_until_ctrl_c(served: Served) -> None:
    mine, theirs = pty.openpty()
    environment = os.environ | {"PULLWHY_SERVER": served.url, "COLUMNS": "120", "TERM": "xterm"}
    command = [*PULLWHY, "findings", "--watch", "--node", "node-a"]
    with child(command, env=environment, stdin=theirs, stdout=theirs) as process:
        read_until(mine, "nginx")
        served.report(finding(77))
        again = read_until(mine, "web77:1.4")
        assert "\x1b[H\x1b[J" in again
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr
        assert process.stderr.read() == b""
    served.report(finding(77, state=recovered().state, resolved_at=NOW))
    for handle in (mine, theirs):
        os.close(handle)


def test_watch_in_a_pipe_prints_a_new_list_only_when_something_changed(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[str] = []

    def sleep(seconds: float) -> None:
        assert seconds == WATCH_SECONDS
        printed.append(capsys.readouterr().out)
        if len(printed) == 2:
            served.report(finding(88, cause=CauseId.PULL_STALLED))
        if len(printed) == 3:
            raise KeyboardInterrupt

    options = build_parser().parse_args(
        ["findings", "-w", "-o", "json", "--server", served.url, "--cause", "PullStalled"]
    )
    with pytest.raises(KeyboardInterrupt):
        answers.findings(options, sleep)
    assert printed[:2] == ["[]\n", ""]
    assert json.loads(printed[2])[0]["cause"] == "PullStalled"


def test_watch_outlives_a_collector_that_is_away_for_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    stack = contextlib.ExitStack()
    server = stack.enter_context(answering(200, b'{"items": [], "next": null}'))

    def sleep(seconds: float) -> None:
        del seconds
        stack.close()
        told.append(capsys.readouterr().err)
        if len(told) == 3:
            raise KeyboardInterrupt

    options = build_parser().parse_args(["nodes", "-w", "-o", "json", "--server", server])
    with pytest.raises(KeyboardInterrupt):
        answers.nodes(options, sleep)
    assert ["cannot be reached" in text for text in told] == [False, True, False]
