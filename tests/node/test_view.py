"""What the judge is told of the node, above all what could not be seen of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from pullwhy.node.investigate.view import node_view
from pullwhy.node.walk.plan import NodeSight, Sources, make_plan
from pullwhy.plan import Proxies
from pullwhy.runtime.containerd.settings import ContainerdConfig
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.kubelet.settings import Kubelet
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.runtime.versions import Version
from pullwhy.secret import Secret

DIRECT = RuntimeProcess(7, "containerd", proxies=Proxies(Secret(""), Secret("")))
HIDDEN = replace(DIRECT, proxies=None)
FILE = "/etc/containerd/config.toml"
NO_RUNTIME = "the runtime's configuration, proxy and disk were not checked, because no runtime "


def unseen(
    root: Path,
    image: str,
    *,
    process: RuntimeProcess | None = None,
    file: str = "",
    socket: str = "",
    answers: bool | None = None,
) -> str:
    config = ContainerdConfig(Version(), file=file)
    view = RuntimeView(config=config, process=process, fs=HostFS(root), socket=socket)
    sight = NodeSight(view, Kubelet(), answers)
    return node_view(sight, make_plan(image, sight, Sources(host_root=root, service_host=""))).unseen


@pytest.mark.parametrize("image", ["reg.example/a/b:1", "127.0.0.1:5000/a/b:1"])
def test_without_a_runtime_nothing_of_it_was_checked(tmp_path: Path, image: str) -> None:
    assert unseen(tmp_path, image) == f"{NO_RUNTIME}was found"
    assert unseen(tmp_path, image, socket="/run/x.sock", answers=False) == f"{NO_RUNTIME}answers"
    assert unseen(tmp_path, image, process=DIRECT) == f"{NO_RUNTIME}was found"


@pytest.mark.parametrize(
    ("process", "file", "answers"), [(HIDDEN, FILE, None), (None, FILE, None), (None, "", True), (HIDDEN, "", True)]
)
def test_an_environment_that_is_hidden_may_hold_a_proxy(
    tmp_path: Path, process: RuntimeProcess | None, file: str, answers: bool | None
) -> None:
    told = unseen(tmp_path, "reg.example/a/b:1", process=process, file=file, answers=answers)
    assert told.startswith("whether the runtime uses a proxy was not checked")


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_loopback_is_never_asked_through_a_proxy(tmp_path: Path, host: str) -> None:
    assert unseen(tmp_path, f"{host}/a/b:1", process=HIDDEN, answers=True) == ""


def test_a_runtime_whose_environment_is_read_is_seen(tmp_path: Path) -> None:
    assert unseen(tmp_path, "reg.example/a/b:1", process=DIRECT, answers=True) == ""
