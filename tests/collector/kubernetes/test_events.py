"""An Event appears once per finding and pod, from the second failure on, and is updated; it says what to do and gives nothing away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from collector.kubernetes.attending import failing
from collector.kubernetes.standin import Fault, StandIn
from collector.samples import recovered, until

from pullwhy.collector.denials import Denial, Denials
from pullwhy.collector.identities import events_turn
from pullwhy.collector.kubernetes.attendant import Attendant
from pullwhy.collector.kubernetes.directory import Directory, Pod
from pullwhy.collector.records import StoreError
from pullwhy.collector.store import open_store
from pullwhy.kubernetes.access import find
from pullwhy.kubernetes.client import Client
from pullwhy.model import FailingPod

FACTS = Pod("shop", "web-1", "uid-web-1", "node-a", policies={"main": "Always"})


@contextlib.asynccontextmanager
async def attending(api: StandIn, **options: Any) -> AsyncIterator[tuple[Attendant, list[Denial]]]:
    denied: list[Denial] = []
    client = Client(find(api.settings, {}), sleep=lambda _: asyncio.sleep(0))
    made = Attendant(
        client,
        Directory(client, time.monotonic),
        Denials(denied.append, time.monotonic),
        time.monotonic,
        **{"turn": AsyncMock(return_value=0.0), "cluster": "", "leave_out": AsyncMock(), **options},
    )
    task = asyncio.create_task(made.run())
    try:
        yield made, denied
    finally:
        task.cancel()
        await asyncio.wait([task])
        await client.close()


async def settled(attendant: Attendant) -> None:
    await until(lambda: attendant.idle)


def test_one_event_from_the_second_failure_on_which_is_updated(api: StandIn) -> None:
    api.pod("shop", "web-1", "node-a")

    async def scenario() -> None:
        async with attending(api) as (attendant, _):
            attendant.attend(failing(1))
            await settled(attendant)
            assert api.events() == []
            for attempts in (2, 3, 3, 4):
                attendant.attend(failing(attempts))
                await settled(attendant)
            attendant.attend(recovered(pods=failing(9).pods))
            await settled(attendant)

    asyncio.run(scenario())
    (written,) = api.events()
    assert (written["count"], written["reason"], written["type"]) == (4, "TagNotFound", "Warning")
    assert written["involvedObject"] == {
        "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "uid-web-1",
        "fieldPath": "spec.containers{main}",
    }  # fmt: skip
    assert written["source"] == {"component": "pullwhy", "host": "node-a"}
    assert (len(api.asked("/events", "POST")), len(api.asked("/events", "PATCH"))) == (1, 2)


def test_several_collectors_and_a_restarted_one_write_the_same_event(api: StandIn) -> None:
    api.pod("shop", "web-1", "node-a")

    async def scenario() -> None:
        for attempts in (2, 3):
            async with attending(api) as (one, _), attending(api) as (other, _):
                one.attend(failing(attempts))
                other.attend(failing(attempts))
                await settled(one)
                await settled(other)

    asyncio.run(scenario())
    (written,) = api.events()
    assert written["count"] == 3


def test_an_event_that_the_api_has_forgotten_is_written_anew(api: StandIn) -> None:
    api.pod("shop", "web-1", "node-a")

    async def scenario() -> None:
        async with attending(api) as (attendant, _):
            attendant.attend(failing(2))
            await settled(attendant)
            for path in [path for path in api.objects if "/events/" in path]:
                del api.objects[path]
            attendant.attend(failing(3))
            await settled(attendant)

    asyncio.run(scenario())
    assert [each["count"] for each in api.events()] == [3]


def test_a_pod_of_another_node_or_of_another_uid_gets_no_event(api: StandIn) -> None:
    api.pod("shop", "web-1", "node-b")
    api.pod("shop", "web-2", "node-a", metadata={"uid": "of the pod that took its place"})

    async def scenario() -> None:
        async with attending(api) as (attendant, denied):
            for number in (1, 2, 3):
                attendant.attend(failing(2, f"web-{number}", number))
            await settled(attendant)
            assert denied == [Denial.WRONG_POD]
            assert not attendant.attend(failing(2))[0].here, "and is taken out of the finding"
            assert attendant.attend(failing(2, cluster="another")) == {}

    asyncio.run(scenario())
    assert api.events() == []


def test_a_made_up_uid_or_id_hides_no_pod_from_the_look_up(api: StandIn) -> None:
    pods = tuple(FailingPod("shop", f"web-{number}", "uid-x", "main") for number in (1, 2))
    for pod in pods:
        api.pod(pod.namespace, pod.name, "node-c")
    leave_out = AsyncMock()

    async def scenario() -> None:
        async with attending(api, leave_out=leave_out) as (attendant, _):
            for node in ("node-a", "node-b"):
                attendant.attend(failing(node=node, pods=pods))
            await settled(attendant)

    asyncio.run(scenario())
    taken = {(call.args[0][1], call.args[1][1]) for call in leave_out.await_args_list}
    assert taken == {(node, pod.name) for node in ("node-a", "node-b") for pod in pods}


def test_a_pod_that_moved_here_under_a_new_uid_is_not_taken_for_its_forerunner(api: StandIn) -> None:
    api.pod("shop", "web-1", "node-b", metadata={"uid": "before"})
    before = failing(node="node-b", pods=(FailingPod("shop", "web-1", "before", "main"),))
    leave_out = AsyncMock()

    async def scenario() -> None:
        async with attending(api, leave_out=leave_out) as (attendant, denied):
            attendant.attend(before)
            await settled(attendant)
            api.pod("shop", "web-1", "node-a")
            assert attendant.attend(failing()) == {}
            await settled(attendant)
            assert attendant.attend(failing())[0].here
            assert denied == []

    asyncio.run(scenario())
    leave_out.assert_not_awaited()


def test_a_static_pod_is_known_by_the_uid_that_its_kubelet_gave_it(api: StandIn) -> None:
    annotations = {"kubernetes.io/config.mirror": "uid-etcd"}
    api.pod("shop", "etcd", "node-a", metadata={"uid": "of the mirror", "annotations": annotations})

    async def scenario() -> None:
        async with attending(api) as (attendant, _):
            attendant.attend(failing(2, "etcd"))
            await settled(attendant)

    asyncio.run(scenario())
    assert [each["involvedObject"]["uid"] for each in api.events()] == ["uid-etcd"]


def test_at_most_five_a_second_of_all_collectors_together(tmp_path: Path, api: StandIn) -> None:
    pods = [f"web-{number}" for number in range(8)]
    for pod in pods:
        api.pod("shop", pod, "node-a")

    async def scenario() -> float:
        store = open_store(tmp_path / "c.db", lambda: datetime.now(UTC))
        turn = events_turn(store, "")
        async with attending(api, turn=turn) as (one, _), attending(api, turn=turn) as (other, _):
            began = time.monotonic()
            for number, pod in enumerate(pods, 1):
                (one if number % 2 else other).attend(failing(2, pod, number))
            await until(lambda: len(api.events()) == 8)
            taken = time.monotonic() - began
        await store.close()
        return taken

    assert asyncio.run(scenario()) >= 0.55


@pytest.mark.parametrize("answer", [{"return_value": None}, {"side_effect": StoreError("away")}])
def test_without_a_turn_no_event_is_written_and_the_next_report_is_a_new_chance(
    api: StandIn, answer: dict[str, Any]
) -> None:
    api.pod("shop", "web-1", "node-a")
    turn = AsyncMock(**answer)

    async def scenario() -> None:
        async with attending(api, turn=turn) as (attendant, _):
            attendant.attend(failing(2))
            await settled(attendant)
            assert (turn.await_count, api.events()) == (1, [])
            turn.configure_mock(side_effect=None, return_value=0.0)
            attendant.attend(failing(3))
            await until(lambda: len(api.events()) == 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [0, 403, 429, 500])
def test_what_the_api_refuses_harms_nothing_and_later_reports_try_again(
    api: StandIn, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullwhy.collector.kubernetes.attendant.FORBIDDEN_SECONDS", 0.0)
    monkeypatch.setattr("pullwhy.collector.kubernetes.attendant.LONGEST_PAUSE", 0.0)
    api.pod("shop", "web-1", "node-a")
    api.misbehave("/events", *[Fault(status)] * (4 if status != 403 else 1))

    async def scenario() -> None:
        async with attending(api) as (attendant, _):
            attendant.attend(failing(2))
            await until(lambda: not api.faults or status == 0)
            await settled(attendant)
            api.faults.clear()
            attendant.attend(failing(3))
            await until(lambda: len(api.events()) == 1)

    asyncio.run(scenario())


def test_more_pods_than_can_wait_are_dropped_and_counted(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullwhy.collector.kubernetes.attendant.MOST_WAITING", 2)

    async def scenario() -> None:
        async with attending(api) as (attendant, _):
            for number in range(5):
                attendant.attend(failing(2, f"web-{number}", number + 1))
            assert attendant.dropped == 3

    asyncio.run(scenario())


def test_one_node_with_very_many_pods_holds_up_no_other(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullwhy.collector.kubernetes.attendant.MOST_OF_NODE", 8)
    monkeypatch.setattr("pullwhy.collector.kubernetes.attendant.MOST_WAITING", 10)
    api.pod("shop", "web-1", "node-c")
    leave_out = AsyncMock()

    async def scenario() -> None:
        async with attending(api, leave_out=leave_out) as (attendant, _):
            for node in ("node-x", "node-y"):
                invented = tuple(FailingPod("shop", f"{node}-{number}", "uid", "main") for number in range(60))
                attendant.attend(failing(node=node, pods=invented))
            attendant.attend(failing(node="node-b"))
            await until(lambda: leave_out.await_count == 1)
            # Its turn came after one of each of the others.
            assert len(api.asked("/pods/")) <= 4
            assert attendant.dropped == 60 * 2 + 1 - 10

    asyncio.run(scenario())


def test_a_pod_of_another_node_is_taken_out_while_events_wait(api: StandIn) -> None:
    for number in range(4):
        api.pod("shop", f"web-{number}", "node-a")
    api.pod("shop", "theirs", "node-b")
    leave_out = AsyncMock()

    async def never() -> float:
        await asyncio.Event().wait()
        return 0.0

    async def scenario() -> None:
        async with attending(api, leave_out=leave_out, turn=never) as (attendant, _):
            for number in range(4):
                attendant.attend(failing(2, f"web-{number}", number + 1))
            attendant.attend(failing(2, "theirs", 9))
            await until(lambda: leave_out.await_count == 1)
            assert not attendant.idle

    asyncio.run(scenario())


def test_an_event_that_waits_is_not_written_once_its_finding_is_over(api: StandIn) -> None:
    for number in range(2):
        api.pod("shop", f"web-{number}", "node-a")
    go = asyncio.Event()

    async def when_told() -> float:
        await go.wait()
        return 0.0

    async def scenario() -> None:
        async with attending(api, turn=when_told) as (attendant, _):
            attendant.attend(failing(2, "web-0", 1))
            await until(lambda: len(api.asked("/pods/web-0")) == 1)
            attendant.attend(failing(2, "web-1", 2))
            await until(lambda: attendant._looks.idle)
            attendant.attend(recovered(2, pods=failing(2, "web-1", 2).pods))
            go.set()
            await settled(attendant)

    asyncio.run(scenario())
    assert [each["involvedObject"]["name"] for each in api.events()] == ["web-0"]
