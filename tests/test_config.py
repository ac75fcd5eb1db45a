from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest

from pullwhy import config
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import (
    AgentSettings,
    ConfigError,
    ReportSettings,
    StandaloneSettings,
    WatchSettings,
    keys,
    load,
)


def written(path: Path, text: str) -> Path:
    target = path / "agent.toml"
    target.write_text(text)
    return target


def test_nothing_given_is_the_defaults() -> None:
    assert load(AgentSettings, None, {}) == AgentSettings()


def test_the_file_overrides_the_defaults_and_the_environment_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'cluster = "a"\nnode = "n"\n[watch]\nlookback_seconds = 5\nunits = ["kubelet.service"]\n')
    settings = load(AgentSettings, path, {"PULLWHY_CLUSTER": "b", "PULLWHY_WATCH_FILES": "/a.log, /b.log"})
    assert (settings.cluster, settings.node) == ("b", "n")
    assert settings.watch.lookback_seconds == 5.0
    assert settings.watch.units == ("kubelet.service",)
    assert settings.watch.files == ("/a.log", "/b.log")
    assert settings.reproduce == "safe"


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("PULLWHY_WALKS", "3", "walks", 3),
        ("PULLWHY_REPRODUCE", "never", "reproduce", "never"),
        ("PULLWHY_HTTP_LISTEN", "", "http_listen", ""),
    ],
)
def test_environment_values_become_the_keys_type(variable: str, text: str, key: str, value: object) -> None:
    assert getattr(load(AgentSettings, None, {variable: text}), key) == value


def test_labels_come_as_a_table_or_as_one_variable(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('labels = { rack = "r1", "topology.example/row" = "7" }')
    assert load(AgentSettings, file, {}).labels == {"rack": "r1", "topology.example/row": "7"}
    assert load(AgentSettings, file, {"PULLWHY_LABELS": "rack=r2, note=a=b"}).labels == {"rack": "r2", "note": "a=b"}


@pytest.mark.parametrize(
    "text",
    [
        'labels = ["a"]',
        "labels = { a = 1 }",
        "[labels]\n" + "\n".join(f"a{number} = 'x'" for number in range(65)),
        'labels = { "" = "x" }',
    ],
)
def test_labels_that_are_none_are_refused_with_their_form(text: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"labels: expected at most 64 texts by name, such as"):
        load(AgentSettings, file, {})


@pytest.mark.parametrize("registry", ["registry.example", "registry.example:5000", "[fd12::1]:5000", "localhost:5000"])
def test_a_registry_for_walk_requests(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'[walk_requests]\nregistries = ["{registry}"]')
    assert load(AgentSettings, file, {}).walk_requests.registries == (registry,)


@pytest.mark.parametrize("registry", ["*.example", "https://registry.example", "registry.example/team", "", "a b"])
def test_a_pattern_or_an_address_is_no_registry(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'[walk_requests]\nregistries = ["{registry}"]')
    with pytest.raises(ConfigError, match="a list of texts, each HOST or HOST:PORT"):
        load(AgentSettings, file, {})


def test_pull_secrets_come_as_a_list_or_as_one_variable(tmp_path: Path) -> None:
    file = written(tmp_path, 'pull_secrets = ["shop/regcred"]')
    assert load(AgentSettings, file, {}).pull_secrets == ("shop/regcred",)
    given = {"PULLWHY_PULL_SECRETS": "shop/regcred, other/my.pull-secret"}
    assert load(AgentSettings, file, given).pull_secrets == ("shop/regcred", "other/my.pull-secret")


@pytest.mark.parametrize(
    "text",
    [
        '["regcred"]',
        '["shop/"]',
        '["shop/a/b"]',
        '["shop/.."]',
        '["Shop/regcred"]',
        '["shop/regcred\\n"]',
        '["*/regcred"]',
        '"shop/regcred"',
        str([f"shop/s{number}" for number in range(17)]),
    ],
)
def test_what_names_no_pull_secret_is_refused_with_its_form(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pull_secrets: expected at most 16 names of Secrets, .*NAMESPACE/NAME, not"):
        load(AgentSettings, written(tmp_path, f"pull_secrets = {text}"), {})


def test_a_truth_value_in_the_environment() -> None:
    assert load(AgentSettings, None, {"PULLWHY_REPORT_TLS": "true"}).report.tls


def test_variables_that_kubernetes_makes_for_services_are_left_alone() -> None:
    service = {"PULLWHY_COLLECTOR_PORT": "tcp://10.0.0.1:9443", "PULLWHY_COLLECTOR_SERVICE_HOST": "10.0.0.1"}
    assert load(AgentSettings, None, service) == AgentSettings()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("clutser = 'a'", ("clutser", "cluster")),
        ("[watch]\nunitz = []", ("watch.unitz", "units")),
        ("nonsense_of_mine = 1", ("nonsense_of_mine", "known here", "cluster")),
        ("walks = 'a'", ("walks: expected a whole number from 1 to 16, not 'a'",)),
        ("walks = 0", ("walks: expected a whole number from 1 to 16, not 0",)),
        ("cluster = 1", ("cluster: expected a text, not 1",)),
        (
            "[standalone]\nretention_days = 0",
            ("standalone.retention_days: expected a number above 0 and at most 3650, not 0",),
        ),
        ("[report]\ntls = 'yes'", ("report.tls: expected true or false, not 'yes'",)),
        ("[report]\naddress = 'https://c.example:9443'", ("report.address: expected HOST:PORT, without a scheme",)),
        ("[report]\naddress = 'c.example'", ("report.address: expected HOST:PORT", "'c.example'")),
        ("[report]\naddress = '::1:9443'", ("report.address: expected HOST:PORT",)),
        ("reproduce = 'sometimes'", ("reproduce", "safe, always, never", "'sometimes'")),
        ("watch = 1", ("watch", "[watch]")),
        ("[watch]\nunits = 'kubelet'", ("watch.units: expected a list of texts", "not 'kubelet'")),
        ("[watch]\nlookback_seconds = -1", ("watch.lookback_seconds: expected a number from 0 to 604800, not -1",)),
        ("http_listen = 'everywhere'", ("http_listen", "ADDRESS:PORT", "everywhere")),
        ("cluster = \n", ("not TOML", "line 1")),
    ],
)
def test_an_error_names_file_key_and_mend(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(AgentSettings, written(tmp_path, text), {})
    for part in ("agent.toml", *parts):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["", "collector.example:9443", "192.0.2.1:1", "[2001:db8::1]:9443"])
def test_a_collectors_address(address: str) -> None:
    assert load(AgentSettings, None, {"PULLWHY_REPORT_ADDRESS": address}).report.address == address


@pytest.mark.parametrize("kind", [AgentSettings, WatchSettings, ReportSettings, StandaloneSettings, CollectorSettings])
def test_what_a_setting_takes_can_be_told_in_words(kind: type[Any]) -> None:
    told = [config._expected(hint) for hint in config._hints(kind).values() if not is_dataclass(hint)]
    assert told
    assert not [words for words in told if "None" in words or "`" in words]


def test_an_error_in_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigError, match=r"PULLWHY_WALKS.*'x'"):
        load(AgentSettings, None, {"PULLWHY_WALKS": "x"})


def test_a_missing_file_is_named_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: No such file.*--config"):
        load(AgentSettings, tmp_path / "absent.toml", {})


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 5000, b"#" * (1024 * 1024 + 1)])
def test_hostile_files_are_one_line_too(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"agent\.toml"):
        load(AgentSettings, path, {})


def test_every_key_can_be_listed() -> None:
    listed = set(keys(AgentSettings))
    assert {"node", "watch.units", "report.address", "standalone.http_listen"} <= listed
