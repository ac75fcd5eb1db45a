"""A real kubelet in place of the stand-in, where PULLWHY_LAB_KUBELET names one: standalone, with static pods."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.containerd import SOCKET
from lab.errors import LabError
from lab.kubelet.pods import Container, Pod

MANIFESTS = "/etc/kubernetes/manifests"


def configuration(version: tuple[int, int], *, serial: bool, qps: float, burst: int, log_format: str) -> dict[str, Any]:
    """Return a KubeletConfiguration for a kubelet without API server, from 1.27 on.

    *qps* 0 lets all pulls through. Images are never collected, so that what was pulled stays.
    """
    value: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "staticPodPath": MANIFESTS,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "address": "127.0.0.1",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "16Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": False,
        "fileCheckFrequency": "1s",
        "serializeImagePulls": serial,
        "registryPullQPS": int(qps),
        "registryBurst": burst,
        "logging": {"format": log_format, "verbosity": 2},
    }
    if version >= (1, 30):
        value["podLogsDir"] = "/var/log/pods"
    if version >= (1, 31):
        value["failCgroupV1"] = False
    return value


def arguments(binary: Path, config: str, hostname: str) -> list[str]:
    """Return the command line of a standalone kubelet."""
    return [str(binary), "--config", config, "--root-dir", "/var/lib/kubelet", "--hostname-override", hostname, "--v=2"]


def manifest(pod: Pod) -> str:
    """Return a static pod; raises LabError for what only an API server can give: pull secrets."""
    if pod.credentials or pod.missing_secrets:
        raise LabError(f"pod {pod.name}: a static pod has no pull secrets; give them to the node")
    spec = {
        "hostNetwork": True,
        "containers": _containers([one for one in pod.containers if not one.init]),
        "initContainers": _containers([one for one in pod.containers if one.init]),
    }
    metadata: Mapping[str, str] = {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def _containers(members: Sequence[Container]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "image": one.image,
            "imagePullPolicy": one.effective_policy,
            "env": [{"name": key, "value": value} for key, value in one.environment.items()],
        }
        for one in members
    ]
