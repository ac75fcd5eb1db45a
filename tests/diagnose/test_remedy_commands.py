"""Node-local commands do what they say."""

import tomllib
from pathlib import Path

import pytest
from diagnose.remedies import BASE, CONTAINERD, run

from pullwhy.diagnose.remedies.rendering import Remedy, render
from pullwhy.model import RemedyRef


def local(tmp_path: Path, name: str, hosts_toml: str | None = None, **arguments: str) -> tuple[Remedy, Path]:
    directory = tmp_path / "certs.d" / "registry.example:5000"
    values = BASE | CONTAINERD | {"certs_d": str(tmp_path / "certs.d")} | arguments
    if hosts_toml is not None:
        directory.mkdir(parents=True)
        (directory / "hosts.toml").write_text(hosts_toml)
        values["hosts_toml"] = str(directory / "hosts.toml")
    (tmp_path / "CA.pem").write_text("certificate\n")
    return render(RemedyRef(name, values)), directory


def test_trusting_an_authority_installs_it(tmp_path: Path) -> None:
    remedy, directory = local(tmp_path, "trust-authority")
    run(remedy, tmp_path)
    assert (directory / "ca.crt").read_text() == "certificate\n"


def test_trusting_an_authority_names_it_in_a_hosts_toml(tmp_path: Path) -> None:
    remedy, directory = local(tmp_path, "trust-authority", 'server = "https://registry.example:5000"\n')
    run(remedy, tmp_path)
    assert tomllib.loads((directory / "hosts.toml").read_text())["ca"] == str(directory / "ca.crt")


def test_a_mirror_s_authority_is_named_in_its_own_table(tmp_path: Path) -> None:
    text = 'server = "https://registry.example:5000"\n\n[host."https://mirror.example"]\n  capabilities = ["pull"]\n'
    remedy, directory = local(tmp_path, "trust-authority", text, via="Mirror", host="mirror.example")
    run(remedy, tmp_path)
    found = tomllib.loads((directory / "hosts.toml").read_text())
    assert found["host"]["https://mirror.example"] == {"capabilities": ["pull"], "ca": str(directory / "ca.crt")}
    assert "ca" not in found


def test_an_authority_that_is_named_already_is_left_to_a_person(tmp_path: Path) -> None:
    text = 'server = "https://registry.example:5000"\nca = "/old.crt"\n'
    remedy, directory = local(tmp_path, "trust-authority", text)
    run(remedy, tmp_path)
    assert (directory / "hosts.toml").read_text() == text


@pytest.mark.parametrize(
    "before", [None, "", 'server = "https://registry.example:5000"\n', '[host."https://mirror.example"]\n']
)
def test_plain_http_is_declared_for_this_host_alone(tmp_path: Path, before: str | None) -> None:
    remedy, directory = local(tmp_path, "declare-scheme", before, scheme="http")
    if before == "":
        (directory / "hosts.toml").write_text("# made by us\n")
    run(remedy, tmp_path)
    found = tomllib.loads((directory / "hosts.toml").read_text())
    assert found["server"] == "http://registry.example:5000"
    assert not remedy.restart_required


def test_https_is_declared_where_http_was(tmp_path: Path) -> None:
    remedy, directory = local(tmp_path, "declare-scheme", 'server = "http://registry.example:5000"\n', scheme="https")
    run(remedy, tmp_path)
    assert tomllib.loads((directory / "hosts.toml").read_text())["server"] == "https://registry.example:5000"


def test_https_is_declared_for_this_host_alone(tmp_path: Path) -> None:
    others = ["http://registry.example:50001", "http://registry.example:5000.other", "http://registryXexample:5000"]
    before = 'server = "http://registry.example:5000"\n' + "".join(f'[host."{url}"]\n' for url in others)
    remedy, directory = local(tmp_path, "declare-scheme", before, scheme="https")
    run(remedy, tmp_path)
    found = tomllib.loads((directory / "hosts.toml").read_text())
    assert found["server"] == "https://registry.example:5000"
    assert list(found["host"]) == others
