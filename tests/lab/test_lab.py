"""What runs in the lab is real: nodes, runtimes, journals, kubelets."""

import re
import sys
import time
from functools import partial

import pytest

from lab.containerd import SANDBOX_IMAGE, Settings
from lab.errors import LabError, wait_for
from lab.kubelet.pods import Container
from lab.kubelet.sync import Settings as KubeletSettings
from lab.lab import Lab
from lab.namespace import own_environment
from lab.node import Node
from lab.registry import Registry

pytestmark = pytest.mark.lab


def holds(node: Node, image: str) -> bool:
    return image in node.containerd.images()


def test_each_generation_pulls_from_the_registry(nodes: list[Node], registry: Registry) -> None:
    image = f"{registry.host}/app/web:1.0"
    for node in nodes:
        assert node.containerd.version.startswith(node.containerd.generation)
        node.kubelet.add_pod("pulls", image)
        wait_for(f"{image} on {node.name}", partial(holds, node, image), seconds=20)
    agents = {request.user_agent.partition("+")[0].partition("~")[0] for request in registry.requests()}
    assert agents >= {f"containerd/{node.containerd.version}" for node in nodes}


def test_a_missing_tag_is_told_by_the_unit_of_the_kubelet(nodes: list[Node], registry: Registry) -> None:
    for node in nodes:
        pod = node.kubelet.add_pod("lacks", f"{registry.host}/app/web:2.0", env={"TOKEN": "canary-value"})
        line = node.journal.wait_for("with ErrImagePull")
        assert re.match(r"E\d{4} [\d:.]{15} +\d+ pod_workers\.go:\d+\] \"Error syncing pod, skipping\" err=", line)
        assert f'pod="default/lacks" podUID="{pod.uid}"' in line
        entry = next(one for one in node.journal.entries("kubelet.service") if one["MESSAGE"] == line)
        assert (entry["_SYSTEMD_UNIT"], entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"]) == (
            "kubelet.service",
            "kubelet",
            "6",
        )
        assert entry["_HOSTNAME"] == node.name
        assert any("PullImage" in told for told in node.journal.lines("containerd.service"))
        dumps = node.kubelet.settings.version != "1.36"
        assert any("canary-value" in told for told in node.journal.lines()) is dumps
        node.journal.wait_for("with ImagePullBackOff")
        node.kubelet.remove_pod(pod)


def test_the_pod_has_a_real_sandbox_until_it_is_removed(nodes: list[Node]) -> None:
    node = nodes[0]
    pod = node.kubelet.add_pod("boxed", "reg.lab.test/none:1", pull_policy="Never")
    node.journal.wait_for("ErrImageNeverPull")
    running = node.containerd.ctr("containers", "list")
    assert SANDBOX_IMAGE in running
    before = len(running.splitlines())
    node.kubelet.remove_pod(pod)
    wait_for(
        "the sandbox to go", lambda: len(node.containerd.ctr("containers", "list").splitlines()) < before, seconds=10
    )


def test_init_containers_are_told_apart(nodes: list[Node], registry: Registry) -> None:
    members = [
        Container("first", f"{registry.host}/app/init:1", init=True),
        Container("app", f"{registry.host}/app/web:1.0"),
    ]
    nodes[0].kubelet.add_pod("initialised", containers=members)
    assert "init container" in nodes[0].journal.wait_for("start failed in pod initialised_default")


def test_a_missing_sandbox_image_fails_every_pod(lab: Lab) -> None:
    settings = Settings(sandbox_image="absent.lab.test/pause:3.9")
    node = lab.node("node-boxless", settings=settings, preload_sandbox=False)
    node.kubelet.add_pod("boxless", "reg.lab.test:5000/app/web:1.0")
    line = node.journal.wait_for("CreatePodSandboxError")
    assert "failed to get sandbox image" in line
    node.close()


def test_a_hanging_pull_blocks_the_others_of_a_serial_node_and_says_nothing(lab: Lab) -> None:
    node = lab.node("node-serial", kubelet=KubeletSettings(version="1.36", serial=True, scale=0.1))
    registry = lab.fault_registry("hanging.lab.test", tls=False)
    node.allow_http(registry.place)
    node.kubelet.add_pod("hangs", registry.set("hang", "manifest-hang"))
    wait_for("the hanging request", lambda: registry.requests("hang"), seconds=20)
    good = registry.set("good", "ok")
    node.kubelet.add_pod("waits", good)
    time.sleep(2)
    assert good not in node.containerd.images()
    assert not any("Error syncing" in line for line in node.journal.lines())
    node.close()


def test_a_flood_of_lines_is_suppressed_and_journald_says_so(lab: Lab) -> None:
    node = lab.node("node-flooded")
    node.journal.configure({"RateLimitIntervalSec": "1s", "RateLimitBurst": "10"})
    writer = [sys.executable, "-m", "lab.stream", "kubelet", "kubelet.service"]
    flood = "".join(f"line {number}\n" for number in range(1000))
    floods = 0

    def told() -> str | None:
        # journald tells what it dropped with the unit's next line after the interval, unless a unit that it meets for
        # the first time comes between: then it forgets the count (systemd 252, journald-rate-limit.c, vacuum). So: again.
        nonlocal floods
        floods += 1
        node.run(writer, env=own_environment(), stdin=flood)
        lines = node.journal.lines("systemd-journald.service")
        return next((line for line in lines if line.startswith("Suppressed")), None)

    assert wait_for("journald's word", told, seconds=30, every=1.2).endswith("messages from kubelet.service")
    assert len(node.journal.lines()) < floods * 1000
    node.close()


def test_a_rotated_journal_keeps_its_lines_and_a_vacuumed_one_does_not(lab: Lab) -> None:
    node = lab.node("node-rotated")
    node.journal.write("before")
    node.journal.rotate()
    node.journal.write("after")
    assert [line for line in node.journal.lines() if line in {"before", "after"}] == ["before", "after"]
    node.journal.rotate()
    node.journal.vacuum()
    assert "before" not in node.journal.lines()
    node.close()


def test_systemctl_knows_the_lab_units_only(nodes: list[Node]) -> None:
    shown = nodes[0].run(["systemctl", "show", "--property", "MainPID,ActiveState", "containerd"]).stdout
    assert "ActiveState=active" in shown
    assert nodes[0].run(["systemctl", "is-active", "kubelet.service"]).stdout == "active\n"
    assert nodes[0].run(["systemctl", "daemon-reload"]).returncode == 0
    unknown = nodes[0].run(["systemctl", "restart", "crio"], check=False)
    assert (unknown.returncode, unknown.stderr) == (5, "Unit crio not found.\n")


def test_a_component_that_does_not_start_is_an_error_with_its_last_lines(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"containerd\.service ended"):
        lab.node("node-broken", settings=Settings(extra={"grpc": {"address": 7}}))
