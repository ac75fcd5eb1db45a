"""The one client of the Container Runtime Interface: the few calls that pullwhy may make, typed, bounded, with deadlines.

Source: cri-api v0.24 to v0.37, pkg/apis/runtime/v1/api.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import grpc
import grpc.aio

from pullwhy.frozen import frozen
from pullwhy.pb.cri.v1 import api_pb2 as api
from pullwhy.plan import Credential
from pullwhy.redact import redact
from pullwhy.runtime.scrub import scrubbed_config

MAX_RECEIVE_BYTES: Final = 16 << 20
"""As the kubelet's (kubelet 1.36: cri-client/pkg/remote_image.go); the default of 4 MiB breaks ListImages on big nodes."""
DEADLINE: Final = 10.0
"""Seconds for a call that only reads."""
MAX_MESSAGE: Final = 16_384
"""Characters of an error's text that are kept."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A restarted runtime must be seen within seconds, not after gRPC's usual two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3000),
)
_RUNTIME: Final = "/runtime.v1.RuntimeService/"
_IMAGE: Final = "/runtime.v1.ImageService/"
_NOT_CONNECTED: Final = "failed to connect to all addresses"
"""Of gRPC core 1.85, where no connection could be made for a call."""
_ANNOTATIONS: Final = frozenset(
    {"kubernetes.io/config.hash", "kubernetes.io/config.mirror", "kubernetes.io/config.source"}
)
"""Those of a pod that are kept: they tie a static pod to its mirror. Others may hold anything."""
_SPELLING: Final = {"OK": "OK", "CANCELLED": "Canceled"}

Answer = TypeVar("Answer")


class _Request(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name


class CRIError(Exception):
    """A call ended with an error; `code` is gRPC's own spelling (`NotFound`), `message` is redacted."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


class RuntimeDown(CRIError):
    """Nothing answers on the runtime's socket."""


@frozen
class RuntimeVersion:
    """Which runtime this is: `containerd`, `cri-o` or `docker`, and its version as it spells it."""

    name: str
    version: str
    api_version: str


@frozen
class Condition:
    """One condition of the runtime, such as RuntimeReady."""

    type: str
    status: bool
    reason: str
    message: str


@frozen
class RuntimeStatus:
    """The runtime's conditions and its own configuration, without the secrets in it."""

    conditions: tuple[Condition, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    """What `info["config"]` holds: containerd 1.x shows its registry settings there, 2.x does not."""
    credentials_for: tuple[str, ...] = ()
    """Hosts for which that configuration has credentials, which are not kept."""


@frozen
class Image:
    """An image on the node."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    pinned: bool


@frozen
class PodSandbox:
    """A pod as the runtime knows it; a static pod's uid is the hash of its manifest."""

    id: str
    namespace: str
    name: str
    uid: str
    attempt: int
    ready: bool
    created_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@frozen
class Container:
    """A container with the image that it was made from."""

    id: str
    pod_id: str
    name: str
    attempt: int
    image: str
    image_ref: str
    created_at: datetime
    labels: Mapping[str, str]


@frozen
class ImageFilesystem:
    """A filesystem that holds images; only what is used is told, not how much there is."""

    mountpoint: str
    used_bytes: int
    used_inodes: int


def code_name(code: grpc.StatusCode) -> str:
    """Return a status code as Go and the kubelet's log spell it, such as `DeadlineExceeded`."""
    return _SPELLING.get(code.name) or "".join(part.capitalize() for part in code.name.split("_"))


class CRIClient:
    """A connection to one runtime's socket, kept open and made again by itself; use it as an asynchronous context manager."""

    def __init__(self, socket: str) -> None:
        """`socket` is the path of the unix socket, or its `unix://` address."""
        self.socket = socket.removeprefix("unix://")
        self._channel = grpc.aio.insecure_channel(f"unix://{self.socket}", options=_OPTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls under way end with Canceled."""
        await self._channel.close()

    async def version(self) -> RuntimeVersion:
        """Ask which runtime this is; raises CRIError."""
        answer = await self._call(f"{_RUNTIME}Version", api.VersionRequest(), api.VersionResponse)
        return RuntimeVersion(answer.runtime_name, answer.runtime_version, answer.runtime_api_version)

    async def status(self) -> RuntimeStatus:
        """Ask for conditions and configuration; raises CRIError."""
        answer = await self._call(f"{_RUNTIME}Status", api.StatusRequest(verbose=True), api.StatusResponse)
        conditions = tuple(
            Condition(condition.type, condition.status, condition.reason, redact(condition.message[:MAX_MESSAGE]))
            for condition in answer.status.conditions
        )
        config, credentials = scrubbed_config(answer.info.get("config", ""))
        return RuntimeStatus(conditions, config, credentials)

    async def image_status(self, image: str) -> Image | None:
        """Ask for one image by any of its names; None where it is absent. Raises CRIError."""
        request = api.ImageStatusRequest(image=api.ImageSpec(image=image))
        answer = await self._call(f"{_IMAGE}ImageStatus", request, api.ImageStatusResponse)
        return _image(answer.image) if answer.HasField("image") else None

    async def images(self) -> tuple[Image, ...]:
        """List the node's images; raises CRIError."""
        answer = await self._call(f"{_IMAGE}ListImages", api.ListImagesRequest(), api.ListImagesResponse)
        return tuple(map(_image, answer.images))

    async def image_fs(self) -> tuple[ImageFilesystem, ...]:
        """Ask where images are kept; raises CRIError."""
        answer = await self._call(f"{_IMAGE}ImageFsInfo", api.ImageFsInfoRequest(), api.ImageFsInfoResponse)
        return tuple(
            ImageFilesystem(usage.fs_id.mountpoint, usage.used_bytes.value, usage.inodes_used.value)
            for usage in answer.image_filesystems
        )

    async def pod_sandboxes(self, uid: str = "") -> tuple[PodSandbox, ...]:
        """List the node's pods, or those with this uid; raises CRIError."""
        labels = {"io.kubernetes.pod.uid": uid} if uid else {}
        request = api.ListPodSandboxRequest(filter=api.PodSandboxFilter(label_selector=labels))
        answer = await self._call(f"{_RUNTIME}ListPodSandbox", request, api.ListPodSandboxResponse)
        return tuple(map(_pod, answer.items))

    async def containers(self, pod_id: str = "") -> tuple[Container, ...]:
        """List the node's containers, or those of one pod sandbox; raises CRIError."""
        request = api.ListContainersRequest(filter=api.ContainerFilter(pod_sandbox_id=pod_id))
        answer = await self._call(f"{_RUNTIME}ListContainers", request, api.ListContainersResponse)
        return tuple(map(_container, answer.containers))

    async def pull(self, image: str, deadline: float, credential: Credential | None = None) -> str:
        """Pull an image and return its reference; raises CRIError.

        After `deadline` seconds, or when the awaiting task is cancelled, the runtime is told to stop. A pull that succeeds
        is not neutral: whoever calls this has weighed that.
        """
        request = api.PullImageRequest(image=api.ImageSpec(image=image))
        if credential is not None:
            request.auth.username = credential.username
            request.auth.password = credential.password.reveal()
        answer = await self._call(f"{_IMAGE}PullImage", request, api.PullImageResponse, deadline)
        return answer.image_ref

    async def _call(self, method: str, request: _Request, answer: type[Answer], deadline: float = DEADLINE) -> Answer:
        call = self._channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,  # type: ignore[attr-defined]  # every message class has it
        )
        try:
            return await call(request, timeout=deadline)  # type: ignore[no-any-return]  # the deserializer's type
        except grpc.aio.AioRpcError as error:
            code, message = code_name(error.code()), redact((error.details() or "")[:MAX_MESSAGE])
        # The same code comes from a live runtime too (a locked reference): what tells them apart is the connection, which may have
        # come up since; then only gRPC's own words are left.
        connected = self._channel.get_state() is grpc.ChannelConnectivity.READY and not message.startswith(
            _NOT_CONNECTED
        )
        if code == "Unavailable" and not connected:
            raise RuntimeDown(code, message)
        raise CRIError(code, message)


def _when(nanoseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _image(image: api.Image) -> Image:
    return Image(image.id, tuple(image.repo_tags), tuple(image.repo_digests), image.size, image.pinned)


def _pod(pod: api.PodSandbox) -> PodSandbox:
    about = pod.metadata
    kept = {key: value for key, value in pod.annotations.items() if key in _ANNOTATIONS}
    ready = pod.state == api.SANDBOX_READY
    return PodSandbox(
        pod.id,
        about.namespace,
        about.name,
        about.uid,
        about.attempt,
        ready,
        _when(pod.created_at),
        dict(pod.labels),
        kept,
    )


def _container(container: api.Container) -> Container:
    about = container.metadata
    return Container(
        container.id,
        container.pod_sandbox_id,
        about.name,
        about.attempt,
        container.image.image,
        container.image_ref,
        _when(container.created_at),
        dict(container.labels),
    )
