"""Completion is made from the parsers: every command and option is in it."""

import subprocess

import pytest

from pullwhy.cli.main import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shells_script_knows_commands_and_options(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("findings", "explain", "nodes", "collector", "namespace", "all-namespaces", "pullwhy"):
        assert word in script


def test_bash_takes_its_script_and_completes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    program = (
        script + '\nCOMP_WORDS=(pullwhy fin); COMP_CWORD=1; _shtab_pullwhy pullwhy fin pullwhy; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["findings"]


def test_an_unknown_shell_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "cmd.exe"])
    assert ended.value.code == 64
    assert "bash" in capsys.readouterr().err
