"""A real server on a real unix socket that speaks the wire protocol of the runtimes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from pullwhy.pb.cri.v1 import api_pb2 as api
from pullwhy.plan import Credential
from pullwhy.runtime.cri import CRIClient, CRIError, Image, ImageFilesystem, RuntimeDown, code_name
from pullwhy.secret import Secret

Answer = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Any]]

REQUESTS: dict[str, dict[str, Any]] = {
    "RuntimeService": {
        "Version": api.VersionRequest,
        "Status": api.StatusRequest,
        "ListPodSandbox": api.ListPodSandboxRequest,
        "ListContainers": api.ListContainersRequest,
    },
    "ImageService": {
        "ListImages": api.ListImagesRequest,
        "ImageStatus": api.ImageStatusRequest,
        "PullImage": api.PullImageRequest,
        "ImageFsInfo": api.ImageFsInfoRequest,
    },
}


def always(answer: Any) -> Answer:
    async def reply(request: Any, context: Any) -> Any:
        del request, context
        return answer

    return reply


@contextlib.asynccontextmanager
async def runtime(socket: Path, **answers: Answer) -> AsyncIterator[CRIClient]:
    """Serve these calls on `socket`, and connect a client to it."""
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    for service, requests in REQUESTS.items():
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(
                answers[name],
                request_deserializer=request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, request in requests.items()
            if name in answers
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"runtime.v1.{service}", handlers),))
    server.add_insecure_port(f"unix://{socket}")
    await server.start()
    try:
        async with CRIClient(str(socket)) as client:
            yield client
    finally:
        await server.stop(None)


def ask(tmp_path: Path, question: Callable[[CRIClient], Awaitable[Any]], **answers: Answer) -> Any:
    async def talk() -> Any:
        async with runtime(tmp_path / "c.sock", **answers) as client:
            return await question(client)

    return asyncio.run(talk())


def test_version_names_the_runtime(tmp_path: Path) -> None:
    answer = api.VersionResponse(
        version="0.1.0", runtime_name="containerd", runtime_version="v2.1.9", runtime_api_version="v1"
    )
    version = ask(tmp_path, CRIClient.version, Version=always(answer))
    assert (version.name, version.version, version.api_version) == ("containerd", "v2.1.9", "v1")


def test_status_keeps_no_secret(tmp_path: Path) -> None:
    registry = {"configPath": "/c", "configs": {"x.example": {"auth": {"password": "canary"}}}}
    condition = api.RuntimeCondition(type="RuntimeReady", status=True, message="https://u:canary@x.example is odd")
    answer = api.StatusResponse(
        status=api.RuntimeStatus(conditions=[condition]),
        info={"config": json.dumps({"registry": registry}), "golang": "x"},
    )
    status = ask(tmp_path, CRIClient.status, Status=always(answer))
    assert status.config == {"registry": {"configPath": "/c"}}
    assert status.credentials_for == ("x.example",)
    assert (status.conditions[0].type, status.conditions[0].status) == ("RuntimeReady", True)
    assert "canary" not in repr(status)


def test_an_absent_image_is_none(tmp_path: Path) -> None:
    status: Callable[[CRIClient], Awaitable[Any]] = lambda client: client.image_status("a:1")  # noqa: E731 - one call
    assert ask(tmp_path, status, ImageStatus=always(api.ImageStatusResponse())) is None
    present = api.ImageStatusResponse(image=api.Image(id="sha256:1", repo_tags=["a:1"], size=7, pinned=True))
    assert ask(tmp_path, status, ImageStatus=always(present)) == Image("sha256:1", ("a:1",), (), 7, pinned=True)


def test_more_images_than_grpcs_default_size_are_listed(tmp_path: Path) -> None:
    images = [api.Image(id="x" * 1000, repo_digests=[str(number)]) for number in range(6000)]
    answer = api.ListImagesResponse(images=images)
    assert answer.ByteSize() > 4 << 20
    assert len(ask(tmp_path, CRIClient.images, ListImages=always(answer))) == 6000


def test_image_filesystems_tell_what_is_used(tmp_path: Path) -> None:
    usage = api.FilesystemUsage(
        fs_id=api.FilesystemIdentifier(mountpoint="/var/lib/x"),
        used_bytes=api.UInt64Value(value=5),
        inodes_used=api.UInt64Value(value=6),
    )
    answer = api.ImageFsInfoResponse(image_filesystems=[usage])
    assert ask(tmp_path, CRIClient.image_fs, ImageFsInfo=always(answer)) == (ImageFilesystem("/var/lib/x", 5, 6),)


def test_pods_keep_only_the_annotations_that_tie_static_pods(tmp_path: Path) -> None:
    asked: list[api.ListPodSandboxRequest] = []
    pod = api.PodSandbox(
        id="p",
        metadata=api.PodSandboxMetadata(name="web", uid="u", namespace="shop", attempt=2),
        state=api.SANDBOX_NOTREADY,
        created_at=1_700_000_000_000_000_000,
        labels={"app": "web"},
        annotations={"kubernetes.io/config.hash": "h", "secret": "canary"},
    )

    async def answer(request: api.ListPodSandboxRequest, context: Any) -> api.ListPodSandboxResponse:
        del context
        asked.append(request)
        return api.ListPodSandboxResponse(items=[pod])

    (found,) = ask(tmp_path, lambda client: client.pod_sandboxes("u"), ListPodSandbox=answer)
    assert dict(asked[0].filter.label_selector) == {"io.kubernetes.pod.uid": "u"}
    assert (found.namespace, found.name, found.uid, found.attempt, found.ready) == ("shop", "web", "u", 2, False)
    assert found.created_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert found.annotations == {"kubernetes.io/config.hash": "h"}


def test_containers_name_their_image_and_pod(tmp_path: Path) -> None:
    container = api.Container(
        id="c",
        pod_sandbox_id="p",
        metadata=api.ContainerMetadata(name="app", attempt=1),
        image=api.ImageSpec(image="a:1"),
        image_ref="sha256:1",
        created_at=2**62,
    )
    (found,) = ask(
        tmp_path,
        lambda client: client.containers("p"),
        ListContainers=always(api.ListContainersResponse(containers=[container])),
    )
    assert (found.pod_id, found.name, found.image, found.image_ref) == ("p", "app", "a:1", "sha256:1")


def test_a_pull_sends_image_and_credential(tmp_path: Path) -> None:
    asked: list[api.PullImageRequest] = []

    async def answer(request: api.PullImageRequest, context: Any) -> api.PullImageResponse:
        del context
        asked.append(request)
        return api.PullImageResponse(image_ref="sha256:1")

    credential = Credential("user", Secret("canary"), "file")
    assert ask(tmp_path, lambda client: client.pull("a:1", 5), PullImage=answer) == "sha256:1"
    assert ask(tmp_path, lambda client: client.pull("a:1", 5, credential), PullImage=answer) == "sha256:1"
    assert [request.image.image for request in asked] == ["a:1", "a:1"]
    assert [request.HasField("auth") for request in asked] == [False, True]
    assert (asked[1].auth.username, asked[1].auth.password) == ("user", "canary")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (grpc.StatusCode.NOT_FOUND, "NotFound"),
        (grpc.StatusCode.UNKNOWN, "Unknown"),
        (grpc.StatusCode.UNAVAILABLE, "Unavailable"),
        (grpc.StatusCode.CANCELLED, "Canceled"),
        (grpc.StatusCode.FAILED_PRECONDITION, "FailedPrecondition"),
    ],
)
def test_errors_carry_gos_spelling_and_a_redacted_text(tmp_path: Path, code: grpc.StatusCode, name: str) -> None:
    async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        del request
        await context.abort(code, "failed to pull https://blobs.example/x?X-Amz-Signature=canary: no")

    with pytest.raises(CRIError) as raised:
        ask(tmp_path, lambda client: client.pull("a:1", 5), PullImage=answer)
    assert not isinstance(raised.value, RuntimeDown)
    assert raised.value.code == name
    assert raised.value.message.startswith("failed to pull https://blobs.example/x")
    assert "canary" not in str(raised.value)


def test_every_code_has_gos_spelling() -> None:
    assert {code_name(code) for code in grpc.StatusCode} >= {"OK", "DeadlineExceeded", "Unauthenticated", "DataLoss"}


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
def test_a_pull_that_ends_early_is_cancelled_in_the_runtime(tmp_path: Path, how: str) -> None:
    stopped = asyncio.Event()

    async def answer(request: Any, context: Any) -> Any:
        del request, context
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            stopped.set()
            raise

    async def talk() -> None:
        async with runtime(tmp_path / "c.sock", PullImage=answer) as client:
            if how == "deadline":
                with pytest.raises(CRIError, match="DeadlineExceeded"):
                    await client.pull("a:1", 0.2)
            else:
                task = asyncio.create_task(client.pull("a:1", 30))
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.wait_for(stopped.wait(), 5)

    asyncio.run(talk())


def test_nobody_on_the_socket_is_a_runtime_that_is_down(tmp_path: Path) -> None:
    async def talk() -> None:
        async with CRIClient(f"unix://{tmp_path}/none.sock") as client:
            with pytest.raises(RuntimeDown):
                await client.version()

    asyncio.run(talk())


def test_a_restarted_runtime_is_found_again(tmp_path: Path) -> None:
    version = always(api.VersionResponse(runtime_name="containerd"))

    async def talk() -> str:
        socket = tmp_path / "c.sock"
        async with runtime(socket, Version=version) as client:
            other = CRIClient(str(socket))
            await client.version()
            await other.version()
        socket.unlink(missing_ok=True)
        with pytest.raises(RuntimeDown):
            await other.version()
        async with runtime(socket, Version=version):
            for _ in range(50):
                with contextlib.suppress(RuntimeDown):
                    return (await other.version()).name
                await asyncio.sleep(0.1)
        return ""

    assert asyncio.run(talk()) == "containerd"


def test_an_answer_larger_than_the_kubelets_limit_is_an_error(tmp_path: Path) -> None:
    answer = api.ListImagesResponse(images=[api.Image(id="x" * (17 << 20))])
    with pytest.raises(CRIError, match="ResourceExhausted"):
        ask(tmp_path, CRIClient.images, ListImages=always(answer))
