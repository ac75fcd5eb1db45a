import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from node.fakes import WEB, at, pods

from pullwhy.model import PodRef
from pullwhy.node.runtimelink import RuntimeLink, as_sight
from pullwhy.node.walk.plan import Sources
from pullwhy.runtime.cri import Container, PodSandbox

EPOCH = datetime.fromtimestamp(0, UTC)


def sandbox(identity: str, created_at: datetime, pod: PodRef = WEB) -> PodSandbox:
    return PodSandbox(identity, pod.namespace, pod.name, pod.uid, 0, True, created_at, {}, {})


def container(name: str, pod_id: str, created_at: datetime, uid: str = "") -> Container:
    labels = {"io.kubernetes.pod.uid": uid} if uid else {}
    return Container(name, pod_id, name, 0, "i", "r", created_at, labels)


def test_the_newest_sandbox_and_container_count() -> None:
    sight = as_sight(
        (sandbox("new", at(9)), sandbox("old", at(1))),
        (container("app", "new", at(10), WEB.uid), container("app", "old", at(2), WEB.uid)),
    )
    assert sight.pods == {WEB.uid: (WEB, at(9))}
    assert sight.containers == {(WEB.uid, "app"): at(10)}


def test_a_container_without_labels_belongs_to_its_sandboxs_pod() -> None:
    sight = as_sight((sandbox("s", at(1)),), (container("app", "s", at(2)),))
    assert sight.containers == {(WEB.uid, "app"): at(2)}


def test_a_pod_whose_ready_sandbox_has_no_container_is_starting() -> None:
    starts, runs, ended = pods("starts", "runs", "ended")
    over = replace(sandbox("e", at(3), ended), ready=False)
    sight = as_sight((sandbox("s", at(1), starts), sandbox("r", at(2), runs), over), (container("app", "r", at(4)),))
    assert sight.starting == (starts,)


def test_no_socket_is_no_sight_and_it_is_looked_for_again_later(tmp_path: Path) -> None:
    now = [0.0]
    link = RuntimeLink(Sources(host_root=tmp_path, proc=tmp_path), lambda: now[0])

    async def run() -> None:
        assert await link.sight() is None
        assert link.answers is False

    asyncio.run(run())


def test_a_runtime_that_does_not_answer_is_no_sight(tmp_path: Path) -> None:
    async def run() -> None:
        link = RuntimeLink(Sources(runtime_endpoint=f"unix://{tmp_path}/none.sock", proc=tmp_path))
        assert await link.sight() is None
        assert link.answers is False
        await link.close()

    asyncio.run(run())
