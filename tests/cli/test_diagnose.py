import argparse
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli.inprocess import pullwhy
from diagnose.builders import ALL, IMAGE, case, passing, trace

from pullwhy.cli.diagnose import exit_code, show
from pullwhy.diagnose.case import NodeView
from pullwhy.diagnose.judge import judge
from pullwhy.model import Reproduction
from pullwhy.node.investigate.investigate import Investigation

PULLWHY = Path(sys.executable).with_name("pullwhy")
CLOSED = "127.0.0.1:1/shop/web:1"


def diagnose(*words: str, root: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as a user does, on a host that has nothing."""
    return subprocess.run(
        [PULLWHY, "diagnose", *places(root), *words], capture_output=True, text=True, timeout=60, check=False
    )


def places(root: Path) -> list[str]:
    """Return the options for a host that has nothing."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (root / "config.toml").write_text("version = 3\n")
    with socket.socket(socket.AF_UNIX) as closed:
        (root / "none.sock").unlink(missing_ok=True)
        closed.bind(str(root / "none.sock"))
    return [
        *("--host-root", str(root), "--runtime-endpoint", str(root / "none.sock")),
        *("--runtime-config", str(root / "config.toml")),
    ]


@pytest.mark.parametrize("image", ["", " "])
def test_no_image_is_a_usage_error(image: str) -> None:
    done = pullwhy("diagnose", image)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "pullwhy diagnose: IMAGE is empty: write it as the pod names it\n"


@pytest.mark.slow
def test_a_cause_that_was_found_is_one_finding_and_exit_code_1(tmp_path: Path) -> None:
    done = diagnose(CLOSED, "--pull", "never", "-o", "json", root=tmp_path)
    (found,) = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")  # gRPC's own lines neither
    assert (found["cause"], found["stage"], found["confidence"]) == ("ConnectionRefused", "Connect", "Proved")
    assert found["reproduction"]["outcome"] == "Skipped"
    assert found["schema"] == "pullwhy/v1"


@pytest.mark.slow
@pytest.mark.parametrize("output", ["table", "wide"])
def test_people_get_the_explanation(tmp_path: Path, output: str) -> None:
    done = diagnose(CLOSED, "-o", output, root=tmp_path)
    assert done.returncode == 1
    for words in ("ConnectionRefused", "What to do", "127.0.0.1:1", "not asked over CRI: "):
        assert words in done.stdout
    for words in ("\n  state ", "\n  finding "):
        assert words not in done.stdout


PASSING = trace(passing(*ALL))
NO_RUNTIME = "the runtime's configuration was not checked, because no runtime was found"


@pytest.mark.parametrize(
    ("unseen", "reproduction", "code", "words"),
    [
        ("", None, 0, "the pull would work here"),
        (NO_RUNTIME, None, 2, f"the registry side works from here; {NO_RUNTIME} (mend: "),
        (NO_RUNTIME, Reproduction("Succeeded"), 0, "the pull would work here"),
    ],
)
def test_a_walk_that_passes_promises_no_more_than_was_seen(
    capsys: pytest.CaptureFixture[str], unseen: str, reproduction: Reproduction | None, code: int, words: str
) -> None:
    seen = case(PASSING, node=NodeView(unseen=unseen), reproduction=reproduction)
    found = Investigation(seen, judge(seen))
    show(found, argparse.Namespace(image=IMAGE, output="table"))
    assert exit_code(found) == code
    assert words in capsys.readouterr().out


@pytest.mark.slow
def test_a_message_is_weighed_too(tmp_path: Path) -> None:
    message = f'failed to pull and unpack image "{CLOSED}": dial tcp 127.0.0.1:1: connect: connection refused'
    (found,) = json.loads(diagnose(CLOSED, "--message", message, "-o", "json", root=tmp_path).stdout)
    assert found["cause"] == "ConnectionRefused"
    (told,) = [each for each in found["evidence"] if each["source"] == "message"]
    assert told["fact"] == message
    assert not any(each["source"] == "journal" for each in found["evidence"])


@pytest.mark.slow
def test_a_message_that_the_walk_contradicts_is_told_so(tmp_path: Path) -> None:
    done = diagnose(CLOSED, "--message", "x509: certificate signed by unknown authority", "-o", "json", root=tmp_path)
    (found,) = json.loads(done.stdout)
    assert (found["cause"], found["confidence"]) == ("CertificateUntrusted", "Likely")
    facts = [each["fact"] for each in found["evidence"]]
    assert (
        "the text tells of CertificateUntrusted, but the walk failed earlier on the way (ConnectionRefused at Connect)"
        in facts
    )


@pytest.mark.slow
def test_an_invalid_reference_is_a_cause(tmp_path: Path) -> None:
    for text in ("Shop/Web:1", "a b"):
        done = diagnose(text, "-o", "json", root=tmp_path)
        (found,) = json.loads(done.stdout)
        assert (done.returncode, found["cause"], found["stage"]) == (1, "InvalidImageReference", "Reference")
        assert found["confidence"] == "Proved"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--credentials", "/absent/config.json"), "--credentials /absent/config.json: no such file"),
        (("--resolv-conf", "/absent/resolv.conf"), "--resolv-conf /absent/resolv.conf: no such file"),
        (("--resolv-conf", "/etc"), "--resolv-conf /etc: is a directory"),
        (("--runtime-config", "/etc"), "--runtime-config /etc: is a directory"),
        (("--runtime-endpoint", "/absent/x.sock"), "--runtime-endpoint /absent/x.sock: no such file"),
        (("--runtime-endpoint", "unix:///absent/x.sock"), "--runtime-endpoint unix:///absent/x.sock: no such file"),
        (("--runtime-endpoint", "/etc"), "--runtime-endpoint /etc: no socket"),
        (("--runtime-endpoint", "tcp://127.0.0.1:1"), "--runtime-endpoint tcp://127.0.0.1:1: CRI is asked over a unix"),
        (("--host-root", "/absent"), "--host-root /absent: no such directory"),
        (("--platform", "foo"), "os/architecture[/variant]"),
        (("--platform", "linux/arm64/v8/x"), "os/architecture[/variant]"),
        (("--pull", "sometimes"), "sometimes"),
        (("-o", "xml"), "xml"),
    ],
)
def test_a_usage_error_is_one_clear_line_and_exit_code_64(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    done = pullwhy("diagnose", *places(tmp_path), CLOSED, *words)
    assert done.returncode == 64
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_credentials_that_are_none_are_a_usage_error_without_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"auths": {"127.0.0.1:1": {"auth": "canary"}}}')
    done = pullwhy("diagnose", *places(tmp_path), CLOSED, "--credentials", str(file))
    assert done.returncode == 64
    assert str(file) in done.stderr
    assert "canary" not in done.stderr + done.stdout


@pytest.mark.slow
def test_hostile_names_come_out_escaped(tmp_path: Path) -> None:
    done = diagnose("reg\x1b[31m.example/x:1", root=tmp_path)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
