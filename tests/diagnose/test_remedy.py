"""Remedies never harm: what they must not say, and how hostile values come out."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import product

import pytest
from diagnose.remedies import BASE, CONTAINERD

from pullwhy.diagnose.remedies.prescription import Values
from pullwhy.diagnose.remedies.rendering import BUILDERS, Remedy, render
from pullwhy.model import Factor, RemedyRef

NODES = {
    "containerd": CONTAINERD,
    "containerd with hosts.toml": CONTAINERD
    | {"hosts_toml": "/etc/containerd/certs.d/registry.example:5000/hosts.toml"},
    "containerd without certs.d": {"runtime": "containerd", "version": "1.7.24"},
    "k3s": {"runtime": "containerd", "manager": "k3s"},
    "rke2": {"runtime": "containerd", "manager": "rke2"},
    "cri-o": {"runtime": "cri-o"},
    "docker": {"runtime": "docker"},
    "unknown": {},
}
VARIANTS: tuple[dict[str, str], ...] = (
    {},
    {"scheme": "https"},
    {"via": "Mirror", "host": "mirror.example"},
    {"via": "SandboxImage"},
    {"provider": "aws"},
    {"factors": ",".join(Factor)},
    {"registry": "docker.io"},
    {"family": "6", "address": "2001:db8::1"},
    {"file": "/etc/containerd/config.toml"},
    {"mend": "set config_path to one directory, then restart containerd, drained"},
)  # fmt: skip


def rendered() -> Iterator[tuple[str, Remedy]]:
    for name, (kind, node), variant in product(BUILDERS, NODES.items(), VARIANTS):
        yield f"{name} on {kind}", render(RemedyRef(name, BASE | node | variant))


ALL = list(rendered())

NEVER = {
    "skipping verification": r"skip_verify|skip-verify|insecure|tls-verify|--no-check",
    "deleting stores": r"\brm\s+-|rm -rf|\bprune\b|unlink|truncate\s+-|mkfs|/var/lib/containerd/\*",
    "tests that are not the kubelet's pull": r"docker pull|docker login|ctr (\S+ )*pull|crictl pull|\bping\b|nslookup",
}


@pytest.mark.parametrize("pattern", NEVER.values(), ids=NEVER.keys())
def test_never_advised(pattern: str) -> None:
    for name, remedy in ALL:
        for text in (remedy.text, *(command.run for command in remedy.commands)):
            assert not re.search(pattern, text), name


def test_a_weaker_pull_policy_is_no_cure() -> None:
    for name, remedy in ALL:
        assert not any("IfNotPresent" in command.run for command in remedy.commands), name
        assert ("IfNotPresent" in remedy.text) == ("hides faults of the registry" in remedy.text), name


def test_certs_d_is_read_at_every_pull_so_nothing_restarts() -> None:
    for name, remedy in ALL:
        restarts = any("systemctl restart" in command.run for command in remedy.commands)
        writes_certs_d = any("certs.d" in command.run and "EDITOR" not in command.run for command in remedy.commands)
        sets_config_path = any("config_path = " in text for text in (remedy.text, *(c.run for c in remedy.commands)))
        assert not (restarts and writes_certs_d) or sets_config_path, name
        assert not ("nothing needs a restart" in remedy.text and (restarts or remedy.restart_required)), name


def test_a_restart_of_the_runtime_is_drained() -> None:
    for name, remedy in ALL:
        runs = [command.run for command in remedy.commands]
        for index, run in enumerate(runs):
            if run.startswith("systemctl restart") and "kubelet" not in run:
                assert remedy.restart_required, name
                assert any(before.startswith("kubectl drain") for before in runs[:index]), name


@pytest.mark.slow
def test_every_command_is_valid_shell() -> None:
    scripts = {command.run: name for name, remedy in ALL for command in remedy.commands}
    for run, name in scripts.items():
        checked = subprocess.run(["bash", "-n", "-c", run], capture_output=True, check=False)
        assert checked.returncode == 0, f"{name}: {run}"


PLACEHOLDER = re.compile(r"(?<![\w$/{-])(?:[a-z]+://)?([A-Z][A-Z_-]{2,}(?:/[A-Z]+)?(?:\.pem|\.tar)?)(?!\w)")
OWN_NAMES = {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "PULL_PASSWORD"}
"""Variables that the commands themselves set."""


@pytest.mark.parametrize("base", [BASE, {}], ids=["all known", "nothing known"])
def test_a_placeholder_is_explained(base: dict[str, str]) -> None:
    for name, node, variant in product(BUILDERS, NODES.values(), VARIANTS):
        for command in render(RemedyRef(name, base | node | variant)).commands:
            words = set(PLACEHOLDER.findall(command.run)) - OWN_NAMES
            needs = " ".join(command.needs)
            assert not [word for word in words if not set(word.split("/")) & set(re.split(r"[ :;/,]", needs))], (
                name,
                command,
            )


@pytest.mark.parametrize(
    ("known", "asked"),
    [("10.0.0.53", "@10.0.0.53"), ("::1", "@::1"), ("fe80::1%eth0", "@fe80::1%eth0"), ("a b", "@NAMESERVER")],
)
def test_the_nameserver_that_failed_is_the_one_to_ask(known: str, asked: str) -> None:
    for name in ("mend-name", "mend-nameserver"):
        dig = render(RemedyRef(name, BASE | {"nameserver": known})).commands[0]
        assert shlex.split(dig.run)[1] == asked
        assert ("NAMESERVER" in " ".join(dig.needs)) == (asked == "@NAMESERVER")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"nameserver": "10.0.0.53", "answer": "REFUSED"}, ("10.0.0.53 denies", "10.0.0.53, which answers REFUSED")),
        ({}, ("its nameservers deny", "the node's nameservers, which answer nothing usable")),
    ],
)
def test_one_nameserver_denies_and_unknown_ones_deny(known: dict[str, str], told: tuple[str, str]) -> None:
    for name, part in zip(("mend-name", "mend-nameserver"), told, strict=True):
        assert part in render(RemedyRef(name, BASE | known)).text


@pytest.mark.parametrize("name", ["find-the-silent-middlebox", "find-the-stall"])
def test_an_address_that_is_known_is_not_explained(name: str) -> None:
    for known in ({"address": "10.0.0.9"}, {"address": "10.0.0.9", "hello": "large"}, {}):
        remedy = render(RemedyRef(name, BASE | known))
        (command,) = [each for each in remedy.commands if each.run.startswith("ip route get ")]
        assert command.run == f"ip route get {known.get('address', 'ADDRESS')}"
        assert command.needs == (() if known else ("ADDRESS: an address of the host",))


HOSTILE = (
    "$(touch owned)",
    "`id`",
    "a; reboot",
    "a' ; reboot #",
    'a" && reboot "',
    "a\nreboot\n",
    "\x1b]0;title\x07",
    "\u202egpj.exe",
    "--upload-file=/etc/shadow",
    "-oProxyCommand=reboot",
    "../../etc/passwd",
    "/etc/../root/.ssh/authorized_keys",
    "a|b",
    "a>b",
    "x" * 10_000,
    "",
)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_never_reaches_a_command(value: str) -> None:
    keys = {
        *BASE,
        "certs_d",
        "hosts_toml",
        "runtime_unit",
        "config_file",
        "nameserver",
        "address",
        "blob",
        "port",
        "similar",
    }
    hostile = dict.fromkeys(keys, value)
    for name, node in product(BUILDERS, ({}, {"runtime": "containerd"}, {"runtime": "containerd", "manager": "k3s"})):
        remedy = render(RemedyRef(name, hostile | node))
        assert remedy.text.replace("\n", "").isprintable()
        for command in remedy.commands:
            assert command.run.isprintable(), name
            assert not value or value not in command.run, name


@pytest.mark.parametrize("value", ["a.b-c:5000", "docker.io", "[::1]:5000", "10.0.0.1:443"])
def test_honest_hosts_reach_commands_as_one_word(value: str) -> None:
    word = Values({"host": value}).shell("host", "host", "HOST")
    assert shlex.split(word) == [value]


def test_the_secret_is_for_the_pod_s_namespace_and_the_kubelet_s_key() -> None:
    create = render(RemedyRef("add-credentials", BASE)).commands[1].run
    assert "--namespace=shop" in create
    assert "--docker-server=registry.example:5000" in create
    hub = render(RemedyRef("add-credentials", BASE | {"registry": "docker.io"})).commands[1].run
    assert "--docker-server=https://index.docker.io/v1/" in hub


def test_similar_tags_and_an_assumed_latest_are_said() -> None:
    arguments = BASE | {"tag": "latest", "similar": "1.4, 1.5", "factors": "DefaultedLatestTag"}
    text = render(RemedyRef("correct-tag", arguments)).text
    assert "`latest` was assumed" in text
    assert "1.4, 1.5" in text


def test_waiting_names_the_registry_s_own_time() -> None:
    assert "2026-11-22T10:02:00Z" in render(RemedyRef("wait-for-rate-limit", {"until": "2026-11-22T10:02:00Z"})).text


def test_a_remedy_of_a_newer_release_becomes_advice_to_look_further() -> None:
    remedy = render(RemedyRef("teleport-image", {}))
    assert remedy.id == "teleport-image"
    assert "pullwhy doctor" in [command.run for command in remedy.commands]


def test_each_node_kind_gets_its_own_place_for_an_authority() -> None:
    places = {
        kind: " ".join(c.run for c in render(RemedyRef("trust-authority", BASE | node)).commands)
        for kind, node in NODES.items()
    }
    assert "/etc/containerd/certs.d/registry.example:5000/ca.crt" in places["containerd"]
    assert "/etc/containers/certs.d/registry.example:5000/ca.crt" in places["cri-o"]
    assert "/etc/docker/certs.d/registry.example:5000/ca.crt" in places["docker"]
    assert "/etc/rancher/k3s/registries.yaml" in places["k3s"]
    assert "/etc/rancher/rke2/registries.yaml" in places["rke2"]
    assert "update-ca-certificates" in places["containerd without certs.d"]


@pytest.mark.parametrize("remedy", ["find-the-stall", "look-further", "rebuild-layer"])
@pytest.mark.parametrize(
    ("arguments", "reads"),
    [
        ({"runtime": "containerd"}, "journalctl --unit containerd.service"),
        ({"runtime": "containerd", "manager": "k3s"}, "/var/lib/rancher/k3s/agent/containerd/containerd.log"),
        ({"runtime": "containerd", "manager": "rke2"}, "/var/lib/rancher/rke2/agent/containerd/containerd.log"),
        ({"runtime": "cri-o"}, "journalctl --unit crio.service"),
    ],
)
def test_the_runtimes_log_is_read_where_it_is(remedy: str, arguments: dict[str, str], reads: str) -> None:
    runs = [command.run for command in render(RemedyRef(remedy, arguments)).commands]
    assert any(reads in run for run in runs), runs


CRIO = {"runtime": "cri-o", "runtime_unit": "crio.service"}


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_no_remedy_for_crio_names_what_is_containerds(name: str, variant: dict[str, str]) -> None:
    told = BASE | {"file": "/etc/containers/registries.conf"} | CRIO | variant
    remedy = render(RemedyRef(name, {key: value for key, value in told.items() if "containerd" not in value}))
    commands = " ".join(command.run for command in remedy.commands)
    for word in ("hosts.toml", "HOSTS_TOML", "config.toml", "/etc/containerd", "ctr ", "containerd.service"):
        assert word not in commands


def test_crio_is_reloaded_for_registries_conf_and_left_alone_for_what_it_reads_at_every_pull() -> None:
    def mend(file: str, mend: str = "correct it") -> Remedy:
        return render(RemedyRef("mend-config", BASE | CRIO | {"file": file, "where": file, "mend": mend}))

    drop_in = mend("/etc/containers/registries.conf.d/50-mirror.conf")
    assert [command.run for command in drop_in.commands][1:] == ["systemctl reload crio.service"]
    assert not drop_in.restart_required
    for file in ("/etc/containers/policy.json", "/etc/docker/certs.d/registry.example/ca.crt"):
        assert len(mend(file).commands) == 1
    assert mend("/etc/crio/crio.conf").restart_required


def test_a_short_name_is_qualified_in_the_workload_and_no_file_is_edited() -> None:
    told = {"file": "/etc/containers/registries.conf", "mend": "name the registry in the workload's image"}
    remedy = render(RemedyRef("mend-config", BASE | CRIO | told))
    assert [command.where for command in remedy.commands] == ["workstation"]


@pytest.mark.parametrize("given", [{}, {"via": "Mirror", "host": "mirror.example"}])
def test_crio_takes_an_authority_for_the_host_that_is_asked(given: dict[str, str]) -> None:
    (command,) = render(RemedyRef("trust-authority", BASE | CRIO | given)).commands
    assert f"/etc/containers/certs.d/{given.get('host', 'registry.example:5000')}/ca.crt" in command.run
    (kept,) = render(RemedyRef("trust-authority", BASE | CRIO | given | {"certs_d": "/etc/docker/certs.d"})).commands
    assert "/etc/docker/certs.d/" in kept.run
