import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pullwhy.runtime.hostfs import HostFS
from pullwhy.runtime.kubelet import SOCKETS, Kubelet, detect_endpoint, find_kubelet
from pullwhy.runtime.processes import Processes

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
