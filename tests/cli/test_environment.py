"""Mistyped variables are told, and what Kubernetes or another command calls alike is not."""

import logging
from pathlib import Path

import pytest

from pullwhy.cli.environment import strays
from pullwhy.cli.main import main
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings, keys, variable


@pytest.mark.parametrize(
    ("kind", "name", "meant"),
    [
        (CollectorSettings, "PULLWHY_AGENT_CLUSTRE", "did you mean PULLWHY_AGENT_CLUSTER?"),
        (AgentSettings, "PULLWHY_REPORT_ADRESS", "did you mean PULLWHY_REPORT_ADDRESS?"),
        (AgentSettings, "PULLWHY_SERVICE_HOSTS", "docs/configuration.md"),
        (CollectorSettings, "PULLWHY_HTTP_PORT", "did you mean"),
        (CollectorSettings, "PULLWHY_\x1b[2J", "docs/configuration.md"),
    ],
)
def test_a_variable_that_nothing_reads_is_told(
    kind: type[AgentSettings | CollectorSettings], name: str, meant: str
) -> None:
    [line] = strays({name: "hidden"}, kind)
    assert meant in line
    assert "hidden" not in line
    assert line.isprintable()


@pytest.mark.parametrize("service", ["PULLWHY", "PULLWHY_COLLECTOR", "PULLWHY_COLLECTOR_API"])
def test_kubernetes_own_variables_are_passed_over(service: str) -> None:
    tails = ("", "_TCP", "_TCP_PROTO", "_TCP_PORT", "_TCP_ADDR")
    made = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "9443",
        f"{service}_SERVICE_PORT_GRPC": "9443",
        f"{service}_PORT": "tcp://10.0.0.1:9443",
        **{f"{service}_PORT_9443{tail}": "x" for tail in tails if tail},
    }
    assert list(strays(made, AgentSettings)) == []
    del made[f"{service}_SERVICE_HOST"]
    assert len(list(strays(made, AgentSettings))) == len(made)


def test_what_this_or_another_command_reads_is_passed_over() -> None:
    read = [variable(key) for kind in (AgentSettings, CollectorSettings) for key in keys(kind)]
    names = [*read, "PULLWHY_SERVER", "PULLWHY_TOKEN", "PULLWHY_NAMESPACE", "PATH"]
    for kind in (AgentSettings, CollectorSettings):
        assert list(strays(dict.fromkeys(names, ""), kind)) == []


@pytest.mark.parametrize("command", ["agent", "collector"])
def test_both_servers_log_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PULLWHY_DATABSE", "x")
    monkeypatch.setenv("PULLWHY_DATABASE", "/proc/none/c.db")
    monkeypatch.setenv("PULLWHY_STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("PULLWHY_HTTP_LISTEN", "192.0.2.1:1")
    with caplog.at_level(logging.WARNING):
        assert main([command]) == 1
    assert any("PULLWHY_DATABSE is no setting" in each.message for each in caplog.records)
