"""The facts by which nodes are told apart: readable, stable, and without secrets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from node.fakes import START

from pullwhy.node.report.configuration import MAX_FAILING, MAX_REGISTRIES, Configuration
from pullwhy.node.walk.plan import NodeSight, Sources
from pullwhy.plan import GoBuild, Proxies
from pullwhy.runtime.containerd.settings import ContainerdConfig
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.runtime.versions import Version
from pullwhy.secret import Secret

CERTS_D = "/etc/containerd/certs.d"
CONFIG = ContainerdConfig(Version((1, 7, 24), known=True), config_path=CERTS_D)
REGISTRY = "registry.example:5000"
AUTHORITY = trustme.CA().cert_pem.bytes().decode()
OTHER = trustme.CA().cert_pem.bytes().decode()
PROCESS = RuntimeProcess(7, "containerd", started=START, build=GoBuild(24))


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def facts(root: Path, *failing: str, held: tuple[str, ...] = (), **view: Any) -> dict[str, str]:
    sight = NodeSight(replace(RuntimeView(config=CONFIG, fs=HostFS(root)), **view), Kubelet())
    sources = Sources(host_root=root, proc=root, hostname="node-a")
    return dict(Configuration(sources).facts(sight, "f", failing, held))


def hosts_toml(text: str) -> dict[str, str]:
    return {f"{CERTS_D}/registry.example_5000_/hosts.toml": text}


def of(registry: str, told: dict[str, str]) -> dict[str, str]:
    return {key.partition(": ")[2]: value for key, value in told.items() if key.startswith(f"{registry}: ")}


def test_a_registry_without_settings_that_fails_here_has_the_facts_of_its_defaults(tmp_path: Path) -> None:
    assert of(REGISTRY, facts(tmp_path, REGISTRY)) == {
        "hosts": REGISTRY,
        "ca": "none",
        "client certificate": "no",
        "skip_verify": "no",
        "capabilities": "pull and resolve",
        "override_path": "no",
    }


def test_a_registry_that_the_configuration_names_tells_what_it_is_set_to(tmp_path: Path) -> None:
    text = (
        'server = "https://registry.example:5000"\nca = "/etc/ca.crt"\n'
        '[host."http://mirror.example:80/team"]\ncapabilities = ["pull"]\noverride_path = true\n'
    )
    write(tmp_path, {**hosts_toml(text), "/etc/ca.crt": AUTHORITY})
    told = of(REGISTRY, facts(tmp_path))
    assert told["hosts"] == f"http://mirror.example:80, {REGISTRY}"
    assert told["ca"].startswith(f"http://mirror.example:80 none, {REGISTRY} sha256:")
    assert told["capabilities"] == f"http://mirror.example:80 pull, {REGISTRY} pull and resolve"
    assert told["override_path"] == f"http://mirror.example:80 yes, {REGISTRY} no"


def test_a_certificates_digest_does_not_depend_on_layout_or_order(tmp_path: Path) -> None:
    def told(bundle: str) -> str:
        write(
            tmp_path,
            {**hosts_toml('ca = "/etc/ca.crt"\nserver = "https://registry.example:5000"'), "/etc/ca.crt": bundle},
        )
        return facts(tmp_path)[f"{REGISTRY}: ca"]

    both = told(AUTHORITY + OTHER)
    assert told(f"# comment\n{OTHER}\r\n\n{AUTHORITY}") == told(AUTHORITY + OTHER + AUTHORITY) == both
    assert len({both, told(AUTHORITY), told(OTHER)}) == 3
    assert both.startswith("sha256:")


def test_the_trust_store_is_told_by_its_digest(tmp_path: Path) -> None:
    assert facts(tmp_path)["trust store"] == "none"
    write(tmp_path, {"/etc/ssl/certs/ca-certificates.crt": AUTHORITY})
    first = facts(tmp_path)["trust store"]
    write(tmp_path, {"/etc/ssl/certs/ca-certificates.crt": AUTHORITY + OTHER})
    assert facts(tmp_path)["trust store"] != first


def test_no_secret_is_told(tmp_path: Path) -> None:
    text = (
        'server = "https://user:s3cret@registry.example:5000"\n[header]\nAuthorization = "Bearer s3cret"\n'
        '[host."https://user:s3cret@mirror.example"]\nca = "/root/s3cret/ca.crt"\n'
        '[host."https://user:s3cret@mirror.example".header]\nX-Key = "s3cret"\n'
    )
    proxies = Proxies(Secret("http://u:s3cret@p:1"), Secret(""), "10.0.0.0/8,s3cret.example")
    process = replace(PROCESS, proxies=proxies, ssl_cert_file="/root/s3cret.pem")
    write(tmp_path, {**hosts_toml(text), "/root/s3cret/ca.crt": AUTHORITY})
    told = facts(tmp_path, "registry.example", process=process)
    assert "s3cret" not in str(told)
    assert (told["proxy for http"], told["proxy for https"], told["NO_PROXY"]) == ("set", "not set", "set")
    assert "mirror.example" in told[f"{REGISTRY}: hosts"]


def test_what_is_not_seen_is_not_told(tmp_path: Path) -> None:
    assert not {"NO_PROXY", "proxy for http", "runtime built with"} & facts(tmp_path).keys()
    assert "NO_PROXY" not in facts(tmp_path, process=PROCESS)
    assert facts(tmp_path, process=PROCESS)["runtime built with"] == "Go 1.24"


def test_resolver_and_its_order_are_told(tmp_path: Path) -> None:
    conf = "nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch a.example b.example\noptions ndots:5 use-vc\n"
    write(
        tmp_path,
        {"/etc/resolv.conf": conf, "/etc/nsswitch.conf": "passwd: files\nhosts:  files [NOTFOUND=return]\tdns\n"},
    )
    told = facts(tmp_path)
    assert told["nameservers"] == "10.0.0.2, 10.0.0.3"
    assert told["search domains"] == "a.example, b.example"
    assert told["resolver options"] == "ndots:5 timeout:5 attempts:2 use-vc"
    assert told["nsswitch hosts"] == "files [NOTFOUND=return] dns"


def test_a_configuration_that_fails_every_pull_is_told_as_such(tmp_path: Path) -> None:
    write(tmp_path, hosts_toml('ca = "/etc/absent.crt"'))
    assert of(REGISTRY, facts(tmp_path)) == {"hosts": "none, its configuration fails every pull"}


def test_cri_o_is_told_by_its_own_files(tmp_path: Path) -> None:
    tables = '[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\nlocation = "m.example"\ninsecure = true\n'
    policy = '{"default": [{"type": "insecureAcceptAnything"}]}'
    write(tmp_path, {"/etc/containers/registries.conf": tables, "/etc/containers/policy.json": policy})
    told = facts(tmp_path, name="cri-o", config=None)
    assert told["r.example: hosts"] == "m.example, r.example"
    assert told["r.example: skip_verify"] == "m.example yes, r.example no"
    assert "config_path" not in told


@pytest.mark.parametrize("registry", ["", "no registry", "\x1b[2J.example", "*.example", "a" * 300])
def test_a_name_that_is_no_registry_is_passed_over(registry: str, tmp_path: Path) -> None:
    assert not any(": " in key for key in facts(tmp_path, registry))


def test_control_characters_of_a_file_are_made_visible_and_long_values_cut(tmp_path: Path) -> None:
    write(tmp_path, {"/etc/nsswitch.conf": f"hosts: files \x1b[2J {'x' * 5000}\n"})
    told = facts(tmp_path)["nsswitch hosts"]
    assert told.isprintable()
    assert len(told) <= 400


def test_registries_are_bounded_those_that_fail_first(tmp_path: Path) -> None:
    names = [f"r{number:03}.example" for number in range(100)]
    write(tmp_path, {f"{CERTS_D}/{name}/hosts.toml": "" for name in names})
    failing = [f"f{number}.example" for number in range(50)]
    told = facts(tmp_path, "failing.example", *failing, held=("held.example",))
    assert sum(key.startswith("r") and key.endswith(": ca") for key in told) == MAX_REGISTRIES - MAX_FAILING
    registries = {key.partition(": ")[0] for key in told if ": " in key}
    assert len(registries) == MAX_REGISTRIES
    assert "failing.example" in registries
    assert len(told) <= 256  # what a collector keeps


def test_facts_are_read_again_when_files_runtime_or_registries_changed_and_not_before(tmp_path: Path) -> None:
    configuration = Configuration(Sources(host_root=tmp_path, proc=tmp_path, hostname="node-a"))
    sight = NodeSight(RuntimeView(config=CONFIG, fs=HostFS(tmp_path)), Kubelet())
    first = configuration.facts(sight, "f", (), ())
    write(tmp_path, {**hosts_toml('ca = "/etc/ca.crt"'), "/etc/ca.crt": AUTHORITY})
    assert configuration.facts(sight, "f", (), ()) is first
    assert of("other.example", dict(configuration.facts(sight, "f", ("other.example",), ())))
    assert of(REGISTRY, dict(configuration.facts(sight, "g", (), ())))["ca"] != "none"
    restarted = replace(sight, view=replace(sight.view, process=PROCESS))
    assert configuration.facts(restarted, "g", (), ())["runtime built with"] == "Go 1.24"
