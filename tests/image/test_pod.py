"""The very pod of the DaemonSet on a node's real mounts, and what each mount and right is for."""

import copy
import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import pytest

from image import manifests
from image.kubelet import PodRefused, RunningPod
from image.world import PYTHON, World, get

from lab.errors import wait_for
from lab.kubelet.cri import CriError

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]  # the images may have to be built first

CAPABILITIES: Final = {"KILL": 5, "SETGID": 6, "SETUID": 7, "SYS_PTRACE": 19}
"""Their bits (capabilities(7))."""


def doctor(pod: RunningPod) -> dict[str, dict[str, Any]]:
    """Return the checks of `pullwhy doctor` in the container, by name."""
    answer = pod.exec("pullwhy", "doctor", "-o", "json")
    assert answer.status == 0, answer.err
    return {check["name"]: check for check in json.loads(answer.out)}


def diagnosis(pod: RunningPod, image: str) -> dict[str, Any]:
    """Return the finding of a walk in the container."""
    answer = pod.exec("pullwhy", "diagnose", image, "--host-root", "/host", "--pull", "never", "-o", "json")
    assert answer.status == 1, answer.err
    (found,) = json.loads(answer.out)
    return dict(found)


def stage(found: Mapping[str, Any], name: str) -> str:
    """Return what the trace says of a stage, in one text."""
    return "\n".join(f"{step['outcome']}: {step['detail']}" for step in found["trace"] if step["stage"] == name)


def without(*, mount: str = "", capability: str = "", key: str = "") -> dict[str, Any]:
    """Return the agent's pod less one thing."""
    spec = copy.deepcopy(manifests.pod("base"))
    (container,) = spec["containers"]
    if mount:
        container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != mount]
        spec["volumes"] = [each for each in spec["volumes"] if each["name"] != mount]
    if capability:
        container["securityContext"]["capabilities"]["add"].remove(capability)
    if key:
        del spec[key]
    return spec


def test_the_pod_finds_a_real_fault_and_the_collector_has_it(world: World) -> None:
    image = f"{world.registry.host}/app/web:2.0"
    with world.agent() as agent:
        wait_for("the agent to be ready", lambda: get(world.node, "http://127.0.0.1:9464/readyz") == "200", seconds=60)
        assert get(world.node, "http://127.0.0.1:9464/healthz") == "200"
        assert get(world.other, "http://127.0.0.1:8080/healthz") == "200"
        assert get(world.other, "http://127.0.0.1:8080/readyz") == "200"
        pod = world.node.kubelet.add_pod("web-0", image)
        try:
            found = wait_for(
                "the finding at the collector",
                lambda: next((one for one in world.findings() if one["image"] == image and one["trace"]), None),
                seconds=60,
                log=agent.log,
            )
        finally:
            world.node.kubelet.remove_pod(pod)
    assert (found["node"], found["cause"], found["confidence"]) == ("node-a", "TagNotFound", "Proved")
    assert [(one["namespace"], one["name"]) for one in found["pods"]] == [("default", "web-0")]


def test_the_pod_sees_all_that_it_needs(world: World) -> None:
    with world.agent(idle=True) as pod:
        checks = doctor(pod)
    assert [name for name, check in checks.items() if not check["ok"] and name != "clock"] == []
    assert "10.90." in checks["collector"]["found"]


def test_the_container_has_four_capabilities_and_no_way_to_more(world: World) -> None:
    with world.agent(idle=True) as pod:
        answer = pod.exec(PYTHON, "-c", "print(open('/proc/self/status').read())")
    status = dict(line.partition(":\t")[::2] for line in answer.out.splitlines() if ":\t" in line)
    wanted = sum(1 << bit for bit in CAPABILITIES.values())
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {wanted}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_nothing_can_be_written_but_the_state(world: World) -> None:
    places = [mount["mountPath"] for mount in manifests.pod("base")["containers"][0]["volumeMounts"]]
    program = (
        "import sys\n"
        "for place in sys.argv[1:]:\n"
        "    try:\n"
        "        open(place + '/pullwhy-was-here', 'w').close()\n"
        "        print(place)\n"
        "    except OSError as error:\n"
        "        assert error.errno == 30, error\n"
    )
    with world.agent(idle=True) as pod:
        answer = pod.exec(PYTHON, "-c", program, "/opt/pullwhy", "/tmp", *places)
    assert answer.err == ""
    assert answer.out.split() == ["/var/lib/pullwhy"]


NEEDS: Final = {
    "mount state": (without(mount="state"), "state directory"),
    "mount etc": (without(mount="etc"), "resolver"),
    "mount var-log": (without(mount="var-log"), "kubelet log"),
    "mount resolved": (without(mount="resolved"), "resolver"),
    "mount runtime-socket": (without(mount="runtime-socket"), "CRI socket"),
    "hostPID": (without(key="hostPID"), "processes"),
    "capability SYS_PTRACE": (without(capability="SYS_PTRACE"), "proxy environment"),
    "capability SETUID": (without(capability="SETUID"), "walks"),
    "capability SETGID": (without(capability="SETGID"), "walks"),
}
"""What is taken away, and the check of `doctor` that fails then."""


@pytest.mark.parametrize(("spec", "check"), NEEDS.values(), ids=NEEDS)
def test_without_it_a_check_fails(world: World, spec: dict[str, Any], check: str) -> None:
    with world.agent(spec, idle=True) as pod:
        assert not doctor(pod)[check]["ok"]


def test_without_the_state_the_agent_lives_and_is_not_ready(world: World) -> None:
    with world.agent(without(mount="state")) as agent:
        wait_for("the agent", lambda: get(world.node, "http://127.0.0.1:9464/healthz") == "200", seconds=60)
        program = (
            "import urllib.error, urllib.request as u\n"
            "try:\n    print(u.urlopen('http://127.0.0.1:9464/readyz', timeout=5).status)\n"
            "except urllib.error.HTTPError as error:\n    print(error.code, error.read().decode())\n"
        )
        readiness = re.compile("503 outbox: .*")
        told = wait_for(
            "its word on the state alone",
            lambda: readiness.search(agent.exec(PYTHON, "-c", program).out),
            seconds=60,
            log=agent.log,
        )
        assert "give the agent a state directory that it can write" in told[0]
        assert get(world.node, "http://127.0.0.1:9464/healthz") == "200"


def test_without_run_log_a_volatile_journal_is_not_seen(world: World) -> None:
    node = world.node
    node.run(["journalctl", "--rotate"])
    node.run(["cp", "-a", "/var/log/journal", "/run/log/"])
    node.run(["sh", "-c", "rm /run/log/journal/*/system.journal"])
    try:
        with world.agent(without(mount="var-log"), idle=True) as pod:
            assert doctor(pod)["kubelet log"]["ok"]
        spec = without(mount="var-log")
        spec["containers"][0]["volumeMounts"] = [
            mount for mount in spec["containers"][0]["volumeMounts"] if mount["name"] != "run-log"
        ]
        with world.agent(spec, idle=True) as pod:
            assert not doctor(pod)["kubelet log"]["ok"]
    finally:
        node.run(["rm", "-r", "/run/log/journal"])


def test_without_the_kubelets_folder_its_credentials_are_not_known(world: World) -> None:
    image = f"{world.registry.host}/app/web:2.0"
    world.node.kubelet.set_node_credentials({world.registry.host: ("robot", "s3cret-canary")})
    try:
        with world.agent(idle=True) as pod:
            assert "the kubelet has credentials of /var/lib/kubelet/config.json" in stage(diagnosis(pod, image), "Auth")
        with world.agent(without(mount="kubelet"), idle=True) as pod:
            told = stage(diagnosis(pod, image), "Config")
    finally:
        world.node.kubelet.set_node_credentials({})
    assert "the node's own credentials are not known here: not mounted here" in told


def test_without_the_store_its_free_space_is_not_known(world: World) -> None:
    image = f"{world.registry.host}/app/web:2.0"
    with world.agent(idle=True) as pod:
        assert "Passed: " in stage(diagnosis(pod, image), "Storage")
    with world.agent(without(mount="runtime-store"), idle=True) as pod:
        told = stage(diagnosis(pod, image), "Storage")
    assert "its free space is not known here: not mounted here" in told
    assert "Passed: " not in told


KILLING: Final = """
import asyncio, os, signal
from pullwhy.image import parse
from pullwhy.node.walk.walker import Walker
from pullwhy.plan import Resolver, WalkPlan

async def main():
    async with Walker() as walker:
        await walker.walk(WalkPlan(parse("pullwhy.invalid/a:1"), "linux/amd64", (), Resolver()))
        os.kill(walker.pid, signal.SIGKILL)

asyncio.run(main())
"""


def test_without_kill_a_walk_that_hangs_cannot_be_ended(world: World) -> None:
    with world.agent(idle=True) as pod:
        assert pod.exec(PYTHON, "-c", KILLING).status == 0
    with world.agent(without(capability="KILL"), idle=True) as pod:
        answer = pod.exec(PYTHON, "-c", KILLING)
    assert answer.status == 1
    assert "PermissionError" in answer.err


CNI: Final = """#!/bin/sh
[ "$CNI_COMMAND" != VERSION ] || echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}'
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "x"}],
    "ips": [{"address": "10.244.0.9/24", "interface": 0}]}'
[ "$CNI_COMMAND" != ADD ] || nsenter --net="$CNI_NETNS" ip link set lo up
"""
"""A pod network that gives an address and leads nowhere but to the pod's own loopback, which containerd 2.x makes by itself."""


def test_without_the_hosts_network_a_walk_is_not_the_runtimes(world: World) -> None:
    node = world.node
    for folder in ("/opt/cni/bin", "/usr/lib/cni"):  # where containerd looks, and where Debian's 1.7 does
        for name in ("lab", "loopback"):
            node.write(f"{folder}/{name}", CNI, 0o755)
    network = {"cniVersion": "1.0.0", "name": "lab", "plugins": [{"type": "lab"}]}
    node.write("/etc/cni/net.d/10-lab.conflist", json.dumps(network))
    mirror = node.popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "5001"])
    try:
        with world.agent(idle=True) as pod:
            assert diagnosis(pod, "127.0.0.1:5001/app/web:2.0")["cause"] != "ConnectionRefused"
        world.cluster = dataclasses.replace(world.cluster, pod_network=True)
        wait_for("the pod network", lambda: not network_fault(world), seconds=30, log=lambda: network_fault(world))
        with world.agent(without(key="hostNetwork"), idle=True) as pod:
            assert diagnosis(pod, "127.0.0.1:5001/app/web:2.0")["cause"] == "ConnectionRefused"
    finally:
        world.cluster = dataclasses.replace(world.cluster, pod_network=False)
        mirror.close()


def network_fault(world: World) -> str:
    """Return why the runtime gives a pod no network of its own; it takes note of a new one after a moment."""
    try:
        with world.agent(without(key="hostNetwork"), idle=True):
            return ""
    except CriError as error:
        return str(error)


def test_every_mount_and_capability_has_its_test() -> None:
    (container,) = manifests.pod("base")["containers"]
    elsewhere = {"run-log", "kubelet", "runtime-store", "KILL"}
    told = {name.split()[-1] for name in NEEDS} | elsewhere
    there = {mount["name"] for mount in container["volumeMounts"]}
    there |= set(container["securityContext"]["capabilities"]["add"])
    assert there == told - {"hostPID"}
    assert set(CAPABILITIES) <= there


def test_a_mount_of_a_folder_that_the_host_lacks_keeps_the_pod_from_starting(world: World) -> None:
    spec = manifests.pod("overlays/crio")
    spec["volumes"] = [volume for volume in spec["volumes"] if "hostPath" in volume]
    with pytest.raises(PodRefused, match="/run/crio is not a directory"):
        RunningPod(world.node, "agent", spec, world.cluster)
