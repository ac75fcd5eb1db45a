"""Starts a pod of a manifest on a node of the lab: what the kubelet does with it, over CRI.

Source: kubelet 1.30, pkg/kubelet: kubelet_pods.go, kuberuntime/{kuberuntime_container_linux,security_context,util}.go,
volume/hostpath/host_path.go, cm/helpers_linux.go.
"""

import copy
import dataclasses
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lab.containerd import SOCKET
from lab.errors import LabError
from lab.kubelet.cri import Runtime, compile_proto
from lab.node import Node
from lab.packages import cache_folder

NODE_WIDE, OWN = 2, 1
"""NamespaceMode of CRI: the node's, the container's own."""
PROFILES = {"RuntimeDefault": 0, "Unconfined": 1}
PROPAGATIONS = {"None": 0, "HostToContainer": 1}
MASKED = ("acpi", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
READ_ONLY = ("asound", "bus", "fs", "irq", "sys", "sysrq-trigger")
"""Below /proc, where a container's procMount is Default (pkg/securitycontext/util.go)."""
PERIOD = 100_000
UNITS = {"": 1, "m": 1e-3, "Mi": 1 << 20, "Gi": 1 << 30}


class PodRefused(LabError):
    """The kubelet would not start the pod."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a program in a container printed, and how it ended."""

    out: str
    err: str
    status: int


class Api(Protocol):
    """What the kubelet asks the API server for on behalf of a pod."""

    def authority(self) -> bytes:
        """Return its CA, as PEM."""

    def request_token(self, account: str, audience: str, pod: tuple[str, str], node: str) -> str:
        """Return a token of a service account, bound to a pod (name and UID); an empty audience is the API server's own."""


ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """What the API server would tell the kubelet beside the pod itself."""

    services: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Variables of Services."""
    secrets: Mapping[str, Mapping[str, bytes]] = dataclasses.field(default_factory=dict)
    api: Api | None = None
    pod_network: bool = False
    """Whether the lab has one; without, every pod gets the node's."""


class RunningPod:
    """A pod with one container, started as its spec says."""

    def __init__(self, node: Node, name: str, spec: Mapping[str, Any], cluster: Cluster | None = None) -> None:
        self._node, self._spec, self._cluster = node, admitted(spec), cluster or Cluster()
        self._runtime = Runtime(str(node.path(SOCKET)), compile_proto(cache_folder()))
        self.name, self._uid = name, str(uuid.uuid4())
        (self._container,) = self._spec["containers"]
        self._volumes = {volume["name"]: self._volume(volume) for volume in self._spec.get("volumes", ())}
        sandbox = self._sandbox_config()
        run = self._runtime._message("RunPodSandboxRequest", config=sandbox)
        self._sandbox = str(self._call("RunPodSandbox", run).pod_sandbox_id)
        try:
            create = self._runtime._message(
                "CreateContainerRequest",
                pod_sandbox_id=self._sandbox,
                config=self._container_config(),
                sandbox_config=sandbox,
            )
            self.container = str(self._call("CreateContainer", create).container_id)
            self._call("StartContainer", self._runtime._message("StartContainerRequest", container_id=self.container))
        except BaseException:
            self.close()
            raise

    def exec(self, *words: str, seconds: int = 60) -> Answer:
        """Run a program in the container, as `kubectl exec` does."""
        request = self._runtime._message(
            "ExecSyncRequest", container_id=self.container, cmd=list(words), timeout=seconds
        )
        answer = self._call("ExecSync", request)
        return Answer(answer.stdout.decode(), answer.stderr.decode(), answer.exit_code)

    def log(self) -> str:
        """Return what the container wrote, as the runtime stores it."""
        path = self._node.path(f"{self._logs}/{self._container['name']}/0.log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End the pod; its state on the host stays."""
        self._runtime.remove_sandbox(self._sandbox)

    @property
    def _logs(self) -> str:
        return f"/var/log/pods/pullwhy_{self.name}_{self._uid}"

    def _call(self, verb: str, request: Any) -> Any:
        return self._runtime._call("RuntimeService", verb, request)

    def _namespaces(self) -> Any:
        spec, message = self._spec, self._runtime._message
        network = NODE_WIDE if spec.get("hostNetwork") or not self._cluster.pod_network else 0
        return message("NamespaceOption", network=network, pid=NODE_WIDE if spec.get("hostPID") else OWN)

    def _sandbox_config(self) -> Any:
        message = self._runtime._message
        config = message(
            "PodSandboxConfig",
            metadata=message("PodSandboxMetadata", name=self.name, uid=self._uid, namespace="pullwhy"),
            log_directory=self._logs,
            labels={
                "io.kubernetes.pod.name": self.name,
                "io.kubernetes.pod.namespace": "pullwhy",
                "io.kubernetes.pod.uid": self._uid,
            },
        )
        config.linux.cgroup_parent = f"/kubepods/burstable/pod{self._uid}"
        config.linux.security_context.namespace_options.CopyFrom(self._namespaces())
        config.linux.security_context.seccomp.CopyFrom(message("SecurityProfile", profile_type=0))
        return config

    def _container_config(self) -> Any:
        container, message = self._container, self._runtime._message
        config = message(
            "ContainerConfig",
            metadata=message("ContainerMetadata", name=container["name"]),
            image=message("ImageSpec", image=container["image"]),
            command=container.get("command", []),
            args=container.get("args", []),
            envs=[message("KeyValue", key=key, value=value) for key, value in self._environment().items()],
            mounts=[self._mount(mount) for mount in container.get("volumeMounts", ())],
            labels={"io.kubernetes.container.name": container["name"], "io.kubernetes.pod.uid": self._uid},
            log_path=f"{container['name']}/0.log",
        )
        config.linux.resources.CopyFrom(self._resources(container.get("resources", {})))
        config.linux.security_context.CopyFrom(self._security())
        return config

    def _security(self) -> Any:
        message = self._runtime._message
        own = {**self._spec.get("securityContext", {}), **self._container.get("securityContext", {})}
        capabilities = own.get("capabilities", {})
        context = message(
            "LinuxContainerSecurityContext",
            privileged=own.get("privileged", False),
            readonly_rootfs=own.get("readOnlyRootFilesystem", False),
            no_new_privs=not own.get("allowPrivilegeEscalation", True),
            capabilities=message(
                "Capability",
                add_capabilities=capabilities.get("add", []),
                drop_capabilities=capabilities.get("drop", []),
            ),
            namespace_options=self._namespaces(),
            masked_paths=[*(f"/proc/{name}" for name in MASKED), "/sys/firmware"],
            readonly_paths=[f"/proc/{name}" for name in READ_ONLY],
            supplemental_groups=[own["fsGroup"]] if "fsGroup" in own else [],
        )
        for field, key in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup")):
            if key in own:
                getattr(context, field).value = own[key]
        context.seccomp.profile_type = PROFILES[own.get("seccompProfile", {"type": "Unconfined"})["type"]]
        if "appArmorProfile" in own:
            context.apparmor.profile_type = PROFILES[own["appArmorProfile"]["type"]]
        return context

    def _resources(self, resources: Mapping[str, Any]) -> Any:
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        return self._runtime._message(
            "LinuxContainerResources",
            cpu_shares=max(2, int(quantity(requests.get("cpu", "0")) * 1024)),
            cpu_period=PERIOD,
            cpu_quota=int(quantity(limits.get("cpu", "0")) * PERIOD),
            memory_limit_in_bytes=int(quantity(limits.get("memory", "0"))),
        )

    def _environment(self) -> dict[str, str]:
        found: dict[str, str] = dict(self._cluster.services)
        for entry in self._container.get("env", ()):
            path = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            value = {"spec.nodeName": self._node.name}[path] if path else entry["value"]
            found[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), value)
        return found

    def _volume(self, volume: Mapping[str, Any]) -> str:
        """Return the folder of the host that a volume is; raises PodRefused."""
        if "hostPath" in volume:
            return self._host_path(volume["hostPath"])
        folder = f"/var/lib/kubelet/pods/{self._uid}/volumes/{volume['name']}"
        if "persistentVolumeClaim" in volume:  # some folder of a disk
            folder = f"/var/lib/lab-claims/{volume['persistentVolumeClaim']['claimName']}"
        self._node.path(folder).mkdir(parents=True, exist_ok=True)
        if "secret" in volume:
            secret = volume["secret"]
            for name, content in self._cluster.secrets[secret["secretName"]].items():
                self._node.write(f"{folder}/{name}", content, secret["defaultMode"])
        for source in volume.get("projected", {}).get("sources", ()):
            self._project(folder, source)
        self._own(self._node.path(folder))
        return folder

    def _project(self, folder: str, source: Mapping[str, Any]) -> None:
        """Write a source of a projected volume (pkg/volume/projected/projected.go)."""
        api = self._cluster.api
        if api is None:
            raise LabError("a projected volume takes an API server")
        if "configMap" in source:
            self._node.write(f"{folder}/ca.crt", api.authority())
            return
        wanted = source["serviceAccountToken"]
        account = f"pullwhy/{self._spec['serviceAccountName']}"
        token = api.request_token(account, wanted.get("audience", ""), (self.name, self._uid), self._node.name)
        own = {**self._spec.get("securityContext", {}), **self._container.get("securityContext", {})}
        os.chown(self._node.write(f"{folder}/{wanted['path']}", token, 0o600), own.get("runAsUser", 0), -1)

    def _own(self, folder: Path) -> None:
        """Give a volume to the pod's group (pkg/volume/volume_linux.go)."""
        group = self._spec.get("securityContext", {}).get("fsGroup")
        if group is not None:
            for path in folder.iterdir():
                os.chown(path, -1, group)
                path.chmod(path.stat().st_mode | 0o440)
            os.chown(folder, -1, group)
            folder.chmod(0o2775)

    def _host_path(self, source: Mapping[str, str]) -> str:
        path, kind = source["path"], source.get("type", "")
        seen = self._node.path(path)
        if kind == "DirectoryOrCreate":
            seen.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif kind == "Directory" and not seen.is_dir():
            raise PodRefused(f"hostPath type check failed: {path} is not a directory")
        return path

    def _mount(self, mount: Mapping[str, Any]) -> Any:
        return self._runtime._message(
            "Mount",
            container_path=mount["mountPath"],
            host_path=self._volumes[mount["name"]],
            readonly=mount.get("readOnly", False),
            propagation=PROPAGATIONS[mount.get("mountPropagation", "None")],
        )


def admitted(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod's spec with the token of its account mounted, if it wants it (plugin/pkg/admission/serviceaccount)."""
    changed: dict[str, Any] = copy.deepcopy(dict(spec))
    if spec.get("automountServiceAccountToken"):
        mount = {"name": "kube-api-access", "mountPath": ACCOUNT_MOUNT, "readOnly": True}
        changed["containers"][0].setdefault("volumeMounts", []).append(mount)
        token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
        sources = [token, {"configMap": {"name": "kube-root-ca.crt"}}]
        changed.setdefault("volumes", []).append({"name": "kube-api-access", "projected": {"sources": sources}})
    return changed


def quantity(text: str) -> float:
    """Return a quantity of the API as a number (apimachinery: resource.Quantity)."""
    match = re.fullmatch(r"(\d+)(m|Mi|Gi)?", str(text))
    if match is None:
        raise LabError(f"{text!r} is no quantity that is known here")
    return int(match[1]) * UNITS[match[2] or ""]


def import_image(node: Node, archive: Path) -> None:
    """Put an image into the node's runtime, as docs/operations.md says for nodes without a registry."""
    node.containerd.ctr("images", "import", str(archive))
