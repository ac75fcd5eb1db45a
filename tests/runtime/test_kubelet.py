import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.processes import Processes
from pullwhy.runtime.kubelet.settings import SOCKETS, Kubelet, detect_endpoint, find_kubelet

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]


def kubelet(tree: Tree, files: Mapping[str, str], *arguments: str) -> Kubelet:
    process = (
        {"/proc/5/comm": "kubelet\n", "/proc/5/cmdline": "\0".join(("kubelet", *arguments, ""))} if arguments else {}
    )
    fs = tree({**files, **process})
    return find_kubelet(fs, Processes(fs.root / "proc"))


YAML = "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: unix:///run/a.sock\nnested:\n  containerRuntimeEndpoint: no\n"


@pytest.mark.parametrize(
    ("files", "arguments", "endpoint"),
    [
        ({}, (), ""),
        ({"/var/lib/kubelet/config.yaml": YAML}, (), "unix:///run/a.sock"),
        ({"/var/lib/kubelet/config.yaml": YAML}, ("--container-runtime-endpoint=unix:///b.sock",), "unix:///b.sock"),
        ({"/k.yaml": 'containerRuntimeEndpoint: "/c.sock"\n'}, ("--config", "/k.yaml"), "/c.sock"),
        ({"/k.json": json.dumps({"containerRuntimeEndpoint": "/d.sock"})}, ("--config=/k.json",), "/d.sock"),
        ({"/k.json": "{"}, ("--config=/k.json",), ""),
        ({"/var/lib/kubelet/config.yaml": YAML}, ("--config=/none",), ""),
    ],
)
def test_the_runtimes_endpoint_is_the_kubelets(
    tree: Tree, files: dict[str, str], arguments: tuple[str, ...], endpoint: str
) -> None:
    found = kubelet(tree, files, *arguments)
    assert found.runtime_endpoint == endpoint
    assert found.seen is bool(arguments)


@pytest.mark.parametrize(
    ("config", "arguments", "serial"),
    [
        ("kind: KubeletConfiguration\n", (), None),
        ("serializeImagePulls: true\n", (), True),
        ("serializeImagePulls: false\nmaxParallelImagePulls: 5\n", (), False),
        ("maxParallelImagePulls: 5\n", (), False),
        ("maxParallelImagePulls: 1\n", (), True),
        ("serializeImagePulls: true\n", ("--serialize-image-pulls=false",), False),
        ('{"serializeImagePulls": false}', (), False),
        ('{"maxParallelImagePulls": 4}', (), False),
        ("", ("--v=2",), True),
        ("", (), None),
    ],
)
def test_pulls_are_serial_unless_the_kubelet_is_told_otherwise(
    tree: Tree, config: str, arguments: tuple[str, ...], serial: bool | None
) -> None:
    assert kubelet(tree, {"/var/lib/kubelet/config.yaml": config}, *arguments).serial_pulls is serial


def test_without_the_kubelets_word_the_first_usual_socket_counts(tree: Tree, tmp_path: Path) -> None:
    fs = tree({"/run/k3s/containerd": None, "/run/crio/crio.sock": "no socket"})
    assert detect_endpoint(fs, Kubelet()) == ""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / SOCKETS[1].lstrip("/")))
        assert detect_endpoint(fs, Kubelet()) == SOCKETS[1]
    assert detect_endpoint(fs, Kubelet(runtime_endpoint="unix:///x.sock")) == "/x.sock"


KUBECONFIG = """\
clusters:
- cluster:
    certificate-authority-data: server
    server: https://10.0.0.1:6443
- cluster: {}
users: []
"""


@pytest.mark.parametrize(
    ("files", "arguments", "servers"),
    [
        ({"/etc/kubernetes/kubelet.conf": KUBECONFIG}, (), ("https://10.0.0.1:6443",)),
        (
            {"/k.conf": KUBECONFIG.replace("10.0.0.1", "api.example")},
            ("--kubeconfig=/k.conf",),
            ("https://api.example:6443",),
        ),
        ({"/etc/kubernetes/kubelet.conf": '{"server": "https://[fd00::1]"}'}, (), ("https://[fd00::1]",)),
        ({}, (), ()),
    ],
)
def test_the_api_server_is_the_kubeconfigs(
    tree: Tree, files: dict[str, str], arguments: tuple[str, ...], servers: tuple[str, ...]
) -> None:
    assert kubelet(tree, files, *arguments).servers == servers


def test_the_root_directory_is_the_flags(tree: Tree) -> None:
    assert kubelet(tree, {}, "--root-dir=/data/kubelet").root == "/data/kubelet"
    assert Kubelet().root == "/var/lib/kubelet"


def test_providers_and_the_verification_of_images_are_its_flags_and_settings(tree: Tree) -> None:
    text = (
        "imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages\n"
        "preloadedImagesVerificationAllowlist:\n- registry.example/shop/*\n"
        "featureGates:\n  KubeletEnsureSecretPulledImages: true\n"
    )
    arguments = (
        "--config=/k.yaml",
        "--image-credential-provider-config=/p.yaml",
        "--image-credential-provider-bin-dir",
        "/b",
    )
    found = kubelet(tree, {"/k.yaml": text}, *arguments)
    assert (found.provider_config, found.provider_directory) == ("/p.yaml", "/b")
    assert found.verification_policy == "NeverVerifyAllowlistedImages"
    assert found.verification_allowlist == ("registry.example/shop/*",)
    assert found.verifies is True


@pytest.mark.parametrize(
    ("text", "arguments", "verifies"),
    [
        ('{"featureGates": {"KubeletEnsureSecretPulledImages": false}}', (), False),
        ("featureGates: {}\n", ("--feature-gates=A=true,KubeletEnsureSecretPulledImages=true",), True),
        ("{}", (), None),
    ],
)
def test_the_feature_gate_may_be_a_setting_or_a_flag(
    tree: Tree, text: str, arguments: tuple[str, ...], verifies: bool | None
) -> None:
    assert kubelet(tree, {"/k.yaml": text}, "--config=/k.yaml", *arguments).verifies is verifies


def test_its_process_tells_where_it_looks_for_a_config_json(tree: Tree) -> None:
    files = {"/proc/5/environ": "A=canary\0HOME=/home/k\0", "/proc/5/cwd": "-> /run/k"}
    found = kubelet(tree, files, "--v=2")
    assert (found.home, found.working_directory) == ("/home/k", "/run/k")
    assert "canary" not in repr(found)


RANCHER = "/var/lib/rancher/credentialprovider/config.yaml"


@pytest.mark.parametrize(
    ("arguments", "files", "config"),
    [
        (("server", "--image-credential-provider-config=/own.yaml"), {}, "/own.yaml"),
        (("agent", "--kubelet-arg", "image-credential-provider-config=/handed.yaml"), {}, "/handed.yaml"),
        (("agent", "--kubelet-arg=image-credential-provider-config=/handed.yaml"), {}, "/handed.yaml"),
        (("agent",), {RANCHER: "{}"}, RANCHER),
        (("agent",), {}, ""),
    ],
)
def test_a_distribution_in_one_binary_hands_flags_on(
    tree: Tree, arguments: tuple[str, ...], files: dict[str, str], config: str
) -> None:
    process = {"/proc/5/comm": "k3s-agent\n", "/proc/5/cmdline": "\0".join(("k3s", *arguments, ""))}
    fs = tree({**files, **process})
    found = find_kubelet(fs, Processes(fs.root / "proc"))
    assert (found.provider_config, found.seen) == (config, False)


def test_drop_in_files_go_over_the_configuration_in_order(tree: Tree) -> None:
    files = {
        "/k.yaml": YAML + "imagePullCredentialsVerificationPolicy: NeverVerify\n",
        "/k.d/10.conf": "imagePullCredentialsVerificationPolicy: AlwaysVerify\n",
        "/k.d/20.conf": (
            "imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages\n"
            "preloadedImagesVerificationAllowlist: [registry.example/a]\n"
        ),
        "/k.d/30.yaml": "imagePullCredentialsVerificationPolicy: NeverVerify\n",
    }
    found = kubelet(tree, files, "--config=/k.yaml", "--config-dir=/k.d")
    assert found.verification_policy == "NeverVerifyAllowlistedImages"
    assert found.verification_allowlist == ("registry.example/a",)
    assert found.runtime_endpoint == "unix:///run/a.sock"
    assert kubelet(tree, {}, "--config=/k.yaml", "--config-dir=/none").verification_policy == "NeverVerify"
