"""Commands that change files of the node, run on files of a test."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from pullwhy.diagnose.remedies.rendering import render
from pullwhy.model import RemedyRef

REGISTRY = {"registry": "registry.example", "host": "registry.example", "image": "registry.example/shop/web:1"}
NEW = {"runtime": "containerd", "version": "v2.1.9"}
OLD = {"runtime": "containerd", "version": "1.7.24"}
TABLES = {"1.7.24": "io.containerd.grpc.v1.cri", "v2.1.9": "io.containerd.cri.v1.images"}


def changed(tmp_path: Path, remedy: str, values: dict[str, str], **placeholders: str) -> None:
    """Run the remedy's commands that change a file; containerd is one that finds every file right."""
    tools = tmp_path / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "containerd").write_text('#!/bin/sh\nexec test -s "$2"\n')
    (tools / "containerd").chmod(0o755)
    rendered = render(RemedyRef(remedy, REGISTRY | values))
    verbs = ("sed ", "install ", "{ test", "grep --quiet", "if grep")
    commands = [
        command.run for command in rendered.commands if command.where == "node" and command.run.startswith(verbs)
    ]
    assert commands, rendered.commands
    for command in commands:
        text = command.replace("/etc/resolv.conf", str(tmp_path / "resolv.conf")).replace(
            "/etc/hosts", str(tmp_path / "hosts")
        )
        for name, value in placeholders.items():
            text = text.replace(name, value)
        environment = {"PATH": f"{tools}:/usr/bin:/bin"}
        subprocess.run(["bash", "-euc", text], cwd=tmp_path, check=True, timeout=10, env=environment)


@pytest.mark.parametrize("node", [NEW, OLD], ids=["2.x", "1.x"])
@pytest.mark.parametrize(
    "before",
    [
        "[plugins.'PLUGIN'.registry]\n  config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n",
        '[plugins."PLUGIN".registry]\n  config_path = ""\n',
        '  [plugins."PLUGIN".registry]\n    headers = {}\n',
        "root = '/var/lib/containerd'\n",
        "",
    ],
)
def test_one_root_is_set_whatever_stood_there(tmp_path: Path, node: dict[str, str], before: str) -> None:
    file, plugin = tmp_path / "config.toml", TABLES[node["version"]]
    file.write_text(before.replace("PLUGIN", plugin))
    values = {
        "file": "/etc/containerd/certs.d/registry.example/hosts.toml",
        "config_file": str(file),
        "mend": "set config_path to one directory, then restart containerd, drained",
    }
    changed(tmp_path, "make-config-effective", node | values)
    found = tomllib.loads(file.read_text())
    assert found["plugins"][plugin]["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert "root = " not in before or found["root"] == "/var/lib/containerd"


def test_settings_under_a_wrong_name_are_copied_to_the_right_one(tmp_path: Path) -> None:
    root = tmp_path / "certs.d"
    (root / "registry.example").mkdir(parents=True)
    (root / "registry.example" / "ca.crt").write_text("certificate\n")
    values = {
        "certs_d": str(root),
        "file": str(root / "registry.example" / "ca.crt"),
        "registry": "registry.example:5000",
    }
    changed(tmp_path, "make-config-effective", NEW | values)
    assert (root / "registry.example_5000_" / "ca.crt").read_text() == "certificate\n"
    assert (root / "registry.example" / "ca.crt").exists()


@pytest.mark.parametrize(("name", "mode"), [("ca.crt", 0o644), ("client.key", 0o600)])
def test_a_file_that_is_no_text_is_put_there_anew(tmp_path: Path, name: str, mode: int) -> None:
    good, target = tmp_path / "good", tmp_path / "certs.d" / "registry.example" / name
    good.write_text("good\n")
    changed(tmp_path, "mend-config", NEW | {"file": str(target)}, GOOD_FILE=str(good))
    assert target.read_text() == "good\n"
    assert target.stat().st_mode & 0o777 == mode


def test_plain_http_on_the_port_of_https_keeps_that_port(tmp_path: Path) -> None:
    changed(tmp_path, "declare-scheme", NEW | {"certs_d": str(tmp_path), "scheme": "http"})
    written = tomllib.loads((tmp_path / "registry.example" / "hosts.toml").read_text())
    assert written["server"] == "http://registry.example:443"
    assert list(written["host"]) == ["http://registry.example:443"]  # 1.6 goes on without a file that has no host


@pytest.mark.parametrize(
    ("nameserver", "before", "after"),
    [
        ("10.0.0.2", "nameserver 10.0.0.2\nnameserver 10.0.0.20\n", "nameserver 10.0.0.9\nnameserver 10.0.0.20\n"),
        ("127.0.0.1", "options ndots:1\n", "options ndots:1\nnameserver 10.0.0.9\n"),
        ("127.0.0.1", "nameserver 127.0.0.1\n", "nameserver 127.0.0.1\n"),
    ],
)
def test_another_nameserver_takes_the_place_of_one_that_fails(
    tmp_path: Path, nameserver: str, before: str, after: str
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(before)
    changed(tmp_path, "mend-nameserver", NEW | {"nameserver": nameserver}, WORKING_NAMESERVER="10.0.0.9")
    assert file.read_text() == after


def test_a_stub_resolver_of_the_node_is_not_edited_away() -> None:
    remedy = render(RemedyRef("mend-nameserver", REGISTRY | NEW | {"nameserver": "127.0.0.53"}))
    assert not [command for command in remedy.commands if "sed" in command.run or "echo" in command.run]


def test_an_entry_of_the_hosts_file_is_taken_out_where_the_address_came_from_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(
        "127.0.0.1 localhost\n10.0.0.7 registry.example\n10.0.0.8 registry.example.com my-registry.example\n"
    )
    changed(tmp_path, "restore-service", NEW | {"resolved_by": "hosts"})
    assert file.read_text().splitlines()[1].startswith("# ")
    assert [line.startswith("#") for line in file.read_text().splitlines()] == [False, True, False]
    by_dns = render(RemedyRef("restore-service", REGISTRY | NEW | {"resolved_by": "dns"}))
    assert not [command for command in by_dns.commands if "/etc/hosts" in command.run]


@pytest.mark.parametrize("remedy", ["restore-service", "allow-egress"])
@pytest.mark.parametrize(
    "told",
    [
        {"host": "localhost:5000"},
        {"host": "LOCALHOST:5000"},
        {"host": "localhost.localdomain"},
        {"host": "registry.localhost:5000"},
        {"host": "ip6-localhost"},
        {"host": "127.0.0.1:5000"},
        {"host": "[::1]:5000"},
        {"address": "127.0.1.1"},
        {"address": "::1"},
        {"address": "::ffff:127.0.0.1"},
    ],
)
def test_what_names_the_node_itself_stays_in_the_hosts_file(remedy: str, told: dict[str, str]) -> None:
    by_hosts = render(RemedyRef(remedy, REGISTRY | NEW | {"resolved_by": "hosts"} | told))
    assert not [command for command in by_hosts.commands if "/etc/hosts" in command.run]
    assert "hosts file" not in by_hosts.text
    elsewhere = render(RemedyRef(remedy, REGISTRY | NEW | {"resolved_by": "hosts", "address": "10.0.0.7"}))
    assert "hosts file" in elsewhere.text
