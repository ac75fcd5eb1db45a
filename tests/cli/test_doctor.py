import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cli.inprocess import pullwhy

from pullwhy.cli.doctor import answer, checklist, print_checks
from pullwhy.config import AgentSettings, WatchSettings
from pullwhy.node.check import Check
from pullwhy.node.doctor import is_no_node, no_node
from pullwhy.node.walk.plan import NodeSight
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.host.processes import Processes
from pullwhy.runtime.kubelet.settings import Kubelet

PULLWHY = Path(sys.executable).with_name("pullwhy")


def doctor(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PULLWHY, "doctor", *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_each_thing_that_is_not_seen_comes_with_its_mend(tmp_path: Path) -> None:
    endpoint = str(tmp_path / "none.sock")
    done = doctor("--host-root", str(tmp_path), "--runtime-endpoint", endpoint, "-o", "json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {"kubelet log", "CRI socket", "resolver", "clock", "walks", "trust store"} <= checks.keys()
    assert not checks["CRI socket"]["ok"]
    assert "PULLWHY_RUNTIME_ENDPOINT" in checks["CRI socket"]["mend"]
    assert endpoint in checks["CRI socket"]["found"]
    assert all(check["ok"] or check["mend"] for check in checks.values())


@pytest.mark.slow
def test_the_walks_child_is_tried(tmp_path: Path) -> None:
    checks = {each["name"]: each for each in json.loads(doctor("--host-root", str(tmp_path), "-o", "json").stdout)}
    assert checks["walks"]["ok"], checks["walks"]


def machine(root: Path, **processes: str) -> Processes:
    """Return the processes of a machine that is seen whole."""
    proc = root / "proc"
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").touch()
    for pid, name in {"1": "systemd", **processes}.items():
        (proc / pid.strip("_")).mkdir()
        (proc / pid.strip("_") / "comm").write_text(name + "\n")
    return Processes(proc, (proc / "self/ns/pid").stat().st_ino)


NOBODY = NodeSight(RuntimeView(), Kubelet())


def test_a_machine_that_is_no_node_is_told_once(tmp_path: Path) -> None:
    settings = AgentSettings(host_root=str(tmp_path))
    assert is_no_node(settings, NOBODY, machine(tmp_path))
    failed = [each for each in no_node() if not each.ok]
    assert [each.found for each in failed] == ["no container runtime or kubelet runs on this machine"]
    assert all(each.skipped for each in no_node() if each not in failed)


def test_what_may_be_a_node_is_looked_at_in_full(tmp_path: Path) -> None:
    plain = AgentSettings(host_root=str(tmp_path))
    whole = machine(tmp_path)
    assert not is_no_node(plain, NOBODY, Processes(whole.proc)), "a pod of its own"
    assert not is_no_node(plain, replace(NOBODY, runtime_answers=True), whole)
    assert not is_no_node(replace(plain, runtime_endpoint="/run/x.sock"), NOBODY, whole)
    assert not is_no_node(replace(plain, watch=WatchSettings(files=("/var/log/k3s.log",))), NOBODY, whole)
    (tmp_path / "node").mkdir()
    assert not is_no_node(plain, NOBODY, machine(tmp_path / "node", _7="kubelet"))


@pytest.mark.parametrize(
    ("checks", "asked", "code"),
    [
        ([Check("a", True, "")], True, 0),
        ([Check("a", True, ""), Check("b", False, "")], True, 1),
        ([Check("a", True, ""), Check("b", False, "")], False, 0),
        ([Check("a", False, "", skipped=True)], True, 0),
    ],
)
def test_a_failed_check_is_an_exit_code_where_that_is_asked_for(checks: list[Check], asked: bool, code: int) -> None:
    assert answer(checks, argparse.Namespace(output="table", exit_code=asked)) == code


@pytest.mark.slow
def test_an_installation_check_can_fail(tmp_path: Path) -> None:
    words = ("--host-root", str(tmp_path), "--runtime-endpoint", str(tmp_path / "none.sock"))
    assert (doctor(*words).returncode, doctor(*words, "--exit-code").returncode) == (0, 1)


CHECKS = (
    Check("rights", True, "root"),
    Check(
        "kubelet log", False, "no journal entry of the kubelet can be read here", "mount the host's /var/log, read-only"
    ),
    Check("collector", True, "none is set", skipped=True),
)


def test_each_check_is_a_paragraph_that_keeps_to_the_width() -> None:
    assert checklist(CHECKS, 40).splitlines() == [
        "ok    rights: root",
        "FAIL  kubelet log: no journal entry of",
        "      the kubelet can be read here",
        "      mend: mount the host's /var/log,",
        "      read-only",
        "skip  collector: none is set",
    ]


def test_marks_are_coloured_on_request_and_hostile_text_is_escaped() -> None:
    text = checklist([Check("clock", False, "evil\x1b[2J")], 80, colour=True)
    assert text.startswith("\x1b[31mFAIL\x1b[0m  clock: evil")
    assert "\x1b[2J" not in text


def test_the_checklist_says_what_the_records_say(capsys: pytest.CaptureFixture[str]) -> None:
    print_checks(CHECKS, "wide")
    text = capsys.readouterr().out
    print_checks(CHECKS, "json")
    for check in json.loads(capsys.readouterr().out):
        assert set(check) == {"name", "ok", "found", "mend", "skipped"}
        assert (
            f"{'skip' if check['skipped'] else 'ok' if check['ok'] else 'FAIL':<4}  {check['name']}: {check['found']}\n"
            in text
        )
        assert f"mend: {check['mend']}\n" in text or not check["mend"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--host-root", "/absent"), "--host-root /absent: no such directory"),
        (("--runtime-endpoint", "tcp://127.0.0.1:1"), "--runtime-endpoint tcp://127.0.0.1:1: "),
        (("--resolv-conf", "/etc"), "--resolv-conf /etc: is a directory"),
    ],
)
def test_a_place_that_cannot_be_meant_is_one_clear_line(words: tuple[str, ...], named: str) -> None:
    done = pullwhy("doctor", *words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (64, "", 1)
    assert named in done.stderr


@pytest.mark.parametrize("content", ["clutser = 'a'\n", "= \n"])
def test_a_broken_configuration_is_one_clear_line(tmp_path: Path, content: str) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(content)
    done = pullwhy("doctor", "--config", str(config))
    assert done.returncode == 64
    assert len(done.stderr.splitlines()) == 1
    assert str(config) in done.stderr
