"""The stand-in kubelet's CRI client. Its messages are made from descriptors, so that no other copy of them can collide."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from lab.debian import command
from lab.kubelet.lines import RpcError
from lab.kubelet.pods import Credential, Pod

PROTO = Path(__file__).resolve().parents[1] / "cri.proto"
SHORT_SECONDS = 120.0
"""The kubelet's runtimeRequestTimeout; it does not count for PullImage."""


class CriError(Exception):
    """The runtime answered with an error."""

    def __init__(self, error: RpcError) -> None:
        super().__init__(str(error))
        self.error = error


def compile_proto(cache: Path) -> Path:
    """Return the compiled descriptors of cri.proto, made anew when it changed; raises LabError."""
    name = hashlib.sha256(PROTO.read_bytes()).hexdigest()[:16]
    compiled = cache / f"cri-{name}.bin"
    if not compiled.exists():
        partial = cache / f"cri-{name}.partial"
        options = [f"--proto_path={PROTO.parent}", f"--descriptor_set_out={partial}"]
        command([sys.executable, "-m", "grpc_tools.protoc", *options, PROTO.name])
        partial.rename(compiled)
    return compiled


class Runtime:
    """The runtime behind a CRI socket."""

    def __init__(self, socket: str, compiled: Path) -> None:
        pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes()).file:
            pool.Add(file)
        self._pool = pool
        self._socket = socket
        options = [
            ("grpc.default_authority", "localhost"),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", 16 << 20),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        self._channel = grpc.insecure_channel(f"unix://{socket}", options=options)

    def run_sandbox(self, pod: Pod) -> str:
        """Make the pod's sandbox on the node's own network and return its id; raises CriError."""
        request = self._message("RunPodSandboxRequest", config=self._sandbox(pod))
        return str(self._call("RuntimeService", "RunPodSandbox", request).pod_sandbox_id)

    def sandboxes(self, uid: str) -> list[str]:
        """Return the ids of the sandboxes of a pod; raises CriError."""
        wanted = self._message("PodSandboxFilter", label_selector={"io.kubernetes.pod.uid": uid})
        request = self._message("ListPodSandboxRequest", filter=wanted)
        return [str(item.id) for item in self._call("RuntimeService", "ListPodSandbox", request).items]

    def remove_sandbox(self, sandbox: str) -> None:
        """Stop and remove a sandbox; raises CriError."""
        for verb in ("StopPodSandbox", "RemovePodSandbox"):
            self._call("RuntimeService", verb, self._message(f"{verb}Request", pod_sandbox_id=sandbox))

    def present(self, image: str) -> str:
        """Return the id of the image in the store, "" where it is not there; raises CriError."""
        request = self._message("ImageStatusRequest", image=self._message("ImageSpec", image=image))
        return str(self._call("ImageService", "ImageStatus", request).image.id)

    def pull(self, image: str, credential: Credential | None, pod: Pod) -> str:
        """Pull the image, however long it takes, and return its reference in the store; raises CriError."""
        request = self._message(
            "PullImageRequest",
            image=self._message("ImageSpec", image=image, user_specified_image=image),
            sandbox_config=self._sandbox(pod),
        )
        if credential is not None:
            request.auth.username, request.auth.password = credential.username, credential.password
        return str(self._call("ImageService", "PullImage", request, seconds=None).image_ref)

    def remove_image(self, image: str) -> None:
        """Remove the image with all its names from the store, as crictl rmi does; raises CriError."""
        spec = self._message("ImageSpec", image=image)
        self._call("ImageService", "RemoveImage", self._message("RemoveImageRequest", image=spec))

    def create_container(self, sandbox: str, pod: Pod, name: str, image: str) -> None:
        """Create a container of the pod, without starting it; raises CriError."""
        config = self._message(
            "ContainerConfig",
            metadata=self._message("ContainerMetadata", name=name),
            image=self._message("ImageSpec", image=image),
            labels={**_labels(pod), "io.kubernetes.container.name": name},
            log_path=f"{name}/0.log",
        )
        request = self._message(
            "CreateContainerRequest", pod_sandbox_id=sandbox, config=config, sandbox_config=self._sandbox(pod)
        )
        self._call("RuntimeService", "CreateContainer", request)

    def _sandbox(self, pod: Pod) -> Any:
        config = self._message(
            "PodSandboxConfig",
            metadata=self._message("PodSandboxMetadata", name=pod.name, uid=pod.uid, namespace=pod.namespace),
            log_directory=f"/var/log/pods/{pod.namespace}_{pod.name}_{pod.uid}",
            labels=_labels(pod),
        )
        config.linux.cgroup_parent = f"/kubepods/besteffort/pod{pod.uid}"
        config.linux.security_context.namespace_options.network = 2
        return config

    def _message(self, name: str, /, **fields: Any) -> Any:
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"runtime.v1.{name}"))(**fields)

    def _call(self, service: str, verb: str, request: Any, seconds: float | None = SHORT_SECONDS) -> Any:
        answer = message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"runtime.v1.{verb}Response"))
        call: Any = self._channel.unary_unary(
            f"/runtime.v1.{service}/{verb}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            return call(request, timeout=seconds)
        except grpc.RpcError as error:
            raise CriError(self._error(error)) from None

    def _error(self, error: Any) -> RpcError:
        # Go spells the codes NotFound, Canceled…; the library here NOT_FOUND, CANCELLED…
        words = error.code().name.split("_")
        code = "".join(word.capitalize() for word in words).replace("Cancelled", "Canceled").replace("Ok", "OK")
        message = str(error.details())
        if code == "Unavailable" and "connect" in message and self._socket in message:
            cause = "no such file or directory" if "No such file" in message else "connection refused"
            dialling = f"transport: Error while dialing: dial unix {self._socket}: connect: {cause}"
            message = f'connection error: desc = "{dialling}"'
        return RpcError(code, message)


def _labels(pod: Pod) -> dict[str, str]:
    return {
        "io.kubernetes.pod.name": pod.name,
        "io.kubernetes.pod.namespace": pod.namespace,
        "io.kubernetes.pod.uid": pod.uid,
    }
