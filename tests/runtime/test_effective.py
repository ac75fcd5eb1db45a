import base64
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from pullwhy.image import parse
from pullwhy.runtime.containerd.settings import ContainerdConfig, read_config
from pullwhy.runtime.effective import Effective, RuntimeView, effective
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.runtime.versions import Version, parse_version
from pullwhy.trace import ConfigFacts, ConfigFault

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]

V17, V21, V22 = map(parse_version, ("1.7.24", "2.1.9", "2.2.1"))
FILE = "/etc/containerd/config.toml"
CERTS = "/etc/containerd/certs.d"
DOCKER = "/etc/docker/certs.d"
OLD = 'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n'
NEW = 'version = 3\n[plugins."io.containerd.cri.v1.images"]\n{}\n[plugins."io.containerd.cri.v1.images".registry]\n'
MIRROR = '[host."https://m.example"]\n'
HERE = f'config_path = "{CERTS}"\n'


def certificate(filling: str) -> str:
    body = base64.b64encode(b"\x30\x01" + filling.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def see(fs: HostFS, version: Version = V17, image: str = "reg.example/a/b:1") -> Effective:
    return effective(parse(image), RuntimeView(version=version, config=read_config("", version, fs), fs=fs))


def names(found: Effective) -> list[str]:
    return [endpoint.authority for endpoint in found.endpoints]


def ignored(found: Effective) -> list[ConfigFacts]:
    facts = [result.config for result in found.results if result.config is not None]
    assert all(fact.fault is ConfigFault.IGNORED and not fact.decides for fact in facts)
    return facts


BOTH = {f"{CERTS}/reg.example/hosts.toml": MIRROR, f"{DOCKER}/reg.example/ca.crt": certificate("a")}


@pytest.mark.parametrize(
    ("config", "version", "endpoints", "overlooked"),
    [
        (OLD, V17, ["reg.example"], [f"{CERTS}/reg.example/hosts.toml", f"{DOCKER}/reg.example/ca.crt"]),
        (OLD + HERE, V17, ["m.example", "reg.example"], [f"{DOCKER}/reg.example/ca.crt"]),
        (OLD + f'config_path = "{CERTS}:{DOCKER}"\n', V17, ["m.example", "reg.example"], []),
        (NEW.format("") + HERE, V21, ["m.example", "reg.example"], [f"{DOCKER}/reg.example/ca.crt"]),
        (
            NEW.format("") + f'config_path = "{CERTS}:{DOCKER}"\n',
            V21,
            ["reg.example"],
            [f"{CERTS}/reg.example/hosts.toml", f"{DOCKER}/reg.example/ca.crt"],
        ),
        (
            NEW.format("use_local_image_pull = true") + f'config_path = "{CERTS}:{DOCKER}"\n',
            V21,
            ["m.example", "reg.example"],
            [],
        ),
        ("version = 3\n", V22, ["reg.example"], [f"{CERTS}/reg.example/hosts.toml", f"{DOCKER}/reg.example/ca.crt"]),
        ("version = 3\n", V21, ["reg.example"], [f"{CERTS}/reg.example/hosts.toml", f"{DOCKER}/reg.example/ca.crt"]),
    ],
    ids=[
        "no config_path",
        "docker's directory is not read",
        "two roots, local pull",
        "one root, transfer service",
        "two roots, transfer service",
        "two roots, local pull of 2.1",
        "built-in roots of 2.2",
        "2.1 without config_path",
    ],
)
def test_directories_that_are_not_read_are_said(
    tree: Tree, config: str, version: Version, endpoints: list[str], overlooked: list[str]
) -> None:
    found = see(tree({FILE: config, **BOTH}), version)
    assert names(found) == endpoints
    assert [fact.file for fact in ignored(found)] == overlooked
    assert all(fact.mend for fact in ignored(found))


def test_the_reason_names_the_setting(tree: Tree) -> None:
    two = see(tree({FILE: NEW.format("") + f'config_path = "{CERTS}:{DOCKER}"\n', **BOTH}), V21)
    assert "name of one directory" in ignored(two)[0].why
    assert f"{FILE}:5" in ignored(two)[0].why
    none = see(tree({FILE: OLD, **BOTH}))
    assert "config_path is not set" in ignored(none)[0].why
    elsewhere = see(tree({FILE: OLD + 'config_path = "/certs"\n', **BOTH}))
    assert ignored(elsewhere)[0].mend == "move the files to /certs"


@pytest.mark.parametrize(
    ("image", "directory", "right"),
    [
        ("reg.example:5000/a:1", "reg.example", "reg.example_5000_"),
        ("reg.example:5000/a:1", "reg.example_5000", "reg.example_5000_"),
        ("reg.example:5000/a:1", "reg.example:5001", "reg.example_5000_"),
        ("reg.example/a:1", "reg.example:443", "reg.example"),
        ("reg.example/a:1", "reg.example_443_", "reg.example"),
        ("reg.example/a:1", "REG.example", "reg.example"),
        ("reg.example/a:1", "https___reg.example", "reg.example"),
        ("busybox", "registry-1.docker.io", "docker.io"),
        ("busybox", "index.docker.io", "docker.io"),
        ("reg.example/a:1", "other.example", ""),
        ("reg.example/a:1", "sub.reg.example", ""),
    ],
)
def test_a_directory_under_a_wrong_name_is_told_the_right_one(
    tree: Tree, image: str, directory: str, right: str
) -> None:
    fs = tree({FILE: OLD + HERE, f"{CERTS}/{directory}/hosts.toml": MIRROR, f"{CERTS}/_default/hosts.toml": ""})
    facts = ignored(see(fs, image=image))
    assert [(fact.file, fact.mend.rpartition(" ")[2]) for fact in facts] == (
        [(f"{CERTS}/{directory}/hosts.toml", f"{CERTS}/{right}")] if right else []
    )


@pytest.mark.parametrize(("port", "misnamed"), [("5001", False), ("443", True)])
def test_a_directory_that_is_for_another_port_by_its_own_word_is_not_misnamed(
    tree: Tree, port: str, misnamed: bool
) -> None:
    text = f'server = "http://reg.example:{port}"\n'
    fs = tree({FILE: OLD + HERE, f"{CERTS}/reg.example:{port}/hosts.toml": text})
    assert bool(ignored(see(fs, image="reg.example:5000/a:1"))) == misnamed


def test_a_wrong_name_beside_the_right_one_is_not_told(tree: Tree) -> None:
    files = {f"{CERTS}/{name}/hosts.toml": MIRROR for name in ("reg.example", "reg.example:443")}
    assert ignored(see(tree({FILE: OLD + HERE, **files}))) == []


@pytest.mark.parametrize(
    ("ca", "beside", "said"),
    [("", "a", True), ('ca = "ca.crt"\n', "a", False), ('ca = "/etc/ca.crt"\n', "a", False), ("", "", False)],
    ids=["hidden", "named", "its contents are trusted by another name", "no certificate in it"],
)
def test_certificates_that_a_hosts_toml_hides_are_said(tree: Tree, ca: str, beside: str, said: bool) -> None:
    folder = f"{CERTS}/reg.example"
    fs = tree(
        {
            FILE: OLD + HERE,
            f"{folder}/hosts.toml": MIRROR + ca,
            f"{folder}/ca.crt": certificate(beside) if beside else "",
            "/etc/ca.crt": certificate("a"),
        }
    )
    facts = ignored(see(fs))
    assert [fact.file for fact in facts] == ([f"{folder}/ca.crt"] if said else [])


def test_no_host_with_the_capabilities_is_a_fault_that_decides(tree: Tree) -> None:
    text = (
        'server = "https://reg.example"\ncapabilities = ["push"]\n[host."https://m.example"]\ncapabilities = ["pull"]\n'
    )
    fs = tree({FILE: OLD + HERE, f"{CERTS}/reg.example/hosts.toml": text})
    (result,) = see(fs).results
    assert result.config is not None
    assert (result.config.fault, result.config.decides) == (ConfigFault.INVALID, True)
    assert see(fs, image=f"reg.example/a@sha256:{'a' * 64}").results == ()


def test_registry_wide_headers_reach_every_endpoint(tree: Tree) -> None:
    fs = tree({FILE: OLD + HERE + 'headers = {X-A = ["canary"]}\n', f"{CERTS}/reg.example/hosts.toml": MIRROR})
    found = see(fs)
    assert [[value.reveal() for _, value in endpoint.headers] for endpoint in found.endpoints] == [
        ["canary"],
        ["canary"],
    ]
    assert "canary" not in repr(found)


def test_endpoints_for_which_the_runtime_holds_credentials_are_told(tree: Tree) -> None:
    auth = '[plugins."io.containerd.grpc.v1.cri".registry.configs."m.example".auth]\nusername = "u"\n'
    fs = tree({FILE: OLD + HERE + auth, f"{CERTS}/reg.example/hosts.toml": MIRROR})
    assert see(fs).credentials_held == ("m.example",)


K3S = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
RKE2 = "/var/lib/rancher/rke2/agent/etc/containerd/config.toml"


@pytest.mark.parametrize(
    ("socket", "file", "present", "expected"),
    [
        ("/run/k3s/containerd/containerd.sock", "", "", "k3s"),
        ("/run/k3s/containerd/containerd.sock", "", RKE2, "rke2"),
        ("/run/k3s/containerd/containerd.sock", K3S, "", "k3s"),
        ("/var/snap/microk8s/common/run/containerd.sock", "", "", "microk8s"),
        ("/run/k0s/containerd.sock", "", "", "k0s"),
        ("/run/containerd/containerd.sock", FILE, "", ""),
    ],
)
def test_distributions_that_write_the_configuration_are_known(
    tree: Tree, socket: str, file: str, present: str, expected: str
) -> None:
    fs = tree({present: "version = 2\n"} if present else {})
    assert RuntimeView(socket=socket, config=ContainerdConfig(V17, file=file), fs=fs).managed_by == expected


@pytest.mark.parametrize(
    ("text", "changed", "said"),
    [
        ("mirrors:\n  reg.example:\n", 200, True),
        ('mirrors:\n  "*":\n', 200, True),
        ("mirrors:\n  reg.example:\n", 50, False),
        ("mirrors:\n  other.example:\n", 200, False),
    ],
)
def test_a_registries_yaml_younger_than_the_service_is_said(tree: Tree, text: str, changed: int, said: bool) -> None:
    registries = "/etc/rancher/k3s/registries.yaml"
    fs = tree({K3S: OLD, registries: text})
    os.utime(fs.root / registries.lstrip("/"), (changed, changed))
    process = RuntimeProcess(7, "containerd", started=datetime.fromtimestamp(100, UTC))
    view = RuntimeView(version=V17, config=read_config(K3S, V17, fs), process=process, fs=fs)
    assert [fact.file for fact in ignored(effective(parse("reg.example/a"), view))] == ([registries] if said else [])


def test_hand_made_directories_are_sent_to_the_distributions_own_file(tree: Tree) -> None:
    fs = tree({K3S: OLD + 'config_path = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"\n', **BOTH})
    view = RuntimeView(version=V17, config=read_config(K3S, V17, fs), fs=fs)
    facts = ignored(effective(parse("reg.example/a"), view))
    assert [fact.mend.split(",")[0] for fact in facts] == ["put the settings into /etc/rancher/k3s/registries.yaml"] * 2


@pytest.mark.parametrize(
    ("config", "version", "certs_d"),
    [
        (OLD, V17, ""),
        (OLD + HERE, V17, CERTS),
        ("", V22, ""),
        (OLD + f'config_path = "{CERTS}:{DOCKER}"\n', V17, CERTS),
    ],
)
def test_the_directory_that_is_really_read_is_known(tree: Tree, config: str, version: Version, certs_d: str) -> None:
    fs = tree({FILE: config})
    assert RuntimeView(version=version, config=read_config("", version, fs)).certs_d == certs_d


@pytest.mark.parametrize(("runtime", "root"), [("cri-o", "/etc/containers/certs.d"), ("docker", DOCKER)])
def test_other_runtimes_have_endpoints_and_certificates_of_their_own_files(tree: Tree, runtime: str, root: str) -> None:
    policy = '{"default": [{"type": "insecureAcceptAnything"}]}'
    fs = tree({f"{root}/reg.example:5000/ca.crt": certificate("a"), "/etc/containers/policy.json": policy})
    found = effective(parse("reg.example:5000/a:1"), RuntimeView(name=runtime, fs=fs))
    assert names(found) == ["reg.example:5000"]
    assert found.endpoints[0].ca == (certificate("a"),)
    assert found.results == ()


@pytest.mark.parametrize(
    ("runtime", "files", "held"),
    [
        ("cri-o", {}, False),
        ("cri-o", {"/run/containers/0/auth.json": "{}"}, False),
        ("cri-o", {"/run/containers/0/auth.json": '{"auths": {"reg.example": {"auth": "dTpw"}}}'}, True),
        (
            "cri-o",
            {"/etc/crio/crio.conf.d/9.conf": '[crio.image]\n  global_auth_file = "/a.json"\n', "/a.json": None},
            True,
        ),
        ("cri-o", {"/etc/crio/crio.conf": '[crio.image]\n# global_auth_file = "/a"\nglobal_auth_file = ""\n'}, False),
        ("cri-o", {"/run/containers/0/auth.json": "-> auth.json"}, True),
        ("cri-o", {"/etc/crio/crio.conf": None}, True),
        ("docker", {"/root/.docker/config.json": "{}"}, False),
    ],
)
def test_cri_os_own_credentials_count_where_it_has_or_may_have_them(
    tree: Tree, runtime: str, files: dict[str, str | bytes | None], held: bool
) -> None:
    found = effective(parse("reg.example/a"), RuntimeView(name=runtime, fs=tree(files)))
    assert found.credentials_held == (("reg.example",) if held else ())
