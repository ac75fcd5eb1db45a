"""What the cluster says of pods and their owners is filled into findings, and corrects what was stored."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.attending import failing
from collector.kubernetes.standin import OWN_TOKEN, StandIn
from collector.samples import NOW, collector, get, until

from pullwhy.access import API_SOURCE
from pullwhy.config import ReportSettings
from pullwhy.diagnose.document.finding import encode
from pullwhy.node.report.outbox import Outbox
from pullwhy.node.report.reporter import Reporter


@pytest.mark.parametrize("uid", ["uid-web-1", "another"])
def test_a_pod_of_another_node_is_taken_out_of_what_was_stored_before_that_was_known(
    tmp_path: Path, api: StandIn, uid: str
) -> None:
    api.pod("shop", "web-1", "node-b", metadata={"uid": uid})
    api.pod("shop", "web-2", "node-a")
    mine = (*failing(name="web-2").pods, *failing().pods)
    settings = replace(api.settings, pods=True, events=True)

    async def scenario() -> None:
        async with collector(tmp_path, kubernetes=settings) as running:
            outbox = Outbox(None)
            reporter = Reporter(outbox, ReportSettings(address=running.grpc_address), node="node-a")
            task = asyncio.create_task(reporter.run())

            async def named() -> list[str]:
                _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings")
                return [pod["name"] for each in answer["items"] for pod in each["pods"]]

            outbox.append(failing().id, encode(failing(pods=mine)), NOW)
            await until(lambda: not len(outbox))

            async def corrected() -> bool:
                return await named() == ["web-2"]

            await until(corrected)
            _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings?pod=web-1")
            assert answer["items"] == []

            async def counted_anew() -> bool:
                _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/problems")
                return bool(answer["items"][0]["pods"] == 1)

            await until(counted_anew)
            outbox.append(failing().id, encode(failing(3, pods=mine)), NOW)
            await until(lambda: not len(outbox))
            await until(corrected)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(scenario())


def test_owners_are_resolved_to_the_workload_and_filled_in(tmp_path: Path, api: StandIn) -> None:
    def owned(kind: str, name: str) -> dict[str, Any]:
        return {"ownerReferences": [{"kind": kind, "name": name, "controller": True}]}

    api.pod(
        "shop", "web-1", "node-a", metadata=owned("ReplicaSet", "web-7d9c"), serviceAccountName="shopper",
        containers=[{"name": "main", "imagePullPolicy": "Always"}],
        imagePullSecrets=[{"name": "regcred"}, {"name": "other"}],
    )  # fmt: skip
    api.pod("shop", "web-2", "node-a", metadata=owned("Job", "sweep-1"))
    api.pod("shop", "web-3", "node-a", metadata=owned("DaemonSet", "log"))
    api.objects["/apis/apps/v1/namespaces/shop/replicasets/web-7d9c"] = {"metadata": owned("Deployment", "web")}
    settings = replace(api.settings, pods=True, events=True)

    async def scenario() -> None:
        async with collector(tmp_path, kubernetes=settings) as running:
            outbox = Outbox(None)
            reporter = Reporter(outbox, ReportSettings(address=running.grpc_address), node="node-a")
            task = asyncio.create_task(reporter.run())

            def report(attempts: int) -> None:
                for number in (1, 2, 3, 4):
                    told = failing(attempts, f"web-{number}", number)
                    outbox.append(told.id, encode(told), NOW)

            report(2)
            await until(lambda: len(api.events()) == 3)
            report(3)
            await until(lambda: not len(outbox))
            _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings")
            owners = {pod["name"]: pod["owner"] for each in answer["items"] for pod in each["pods"]}
            assert owners == {"web-1": "Deployment/web", "web-2": "Job/sweep-1", "web-3": "DaemonSet/log", "web-4": ""}
            facts = {
                fact["fact"] for each in answer["items"] for fact in each["evidence"] if fact["source"] == API_SOURCE
            }
            assert facts == {
                "pod shop/web-1: imagePullPolicy Always, imagePullSecrets regcred, other, service account shopper",
                "pod shop/web-2: imagePullPolicy its default, imagePullSecrets none, service account default",
                "pod shop/web-3: imagePullPolicy its default, imagePullSecrets none, service account default",
            }
            assert OWN_TOKEN not in str(answer)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(scenario())
    assert len(api.asked("/pods/web-1")) == 1, "what was looked up is kept"


def test_without_the_api_findings_are_stored_and_told_as_ever(tmp_path: Path, api: StandIn) -> None:
    settings = replace(api.settings, pods=True, events=True)
    api.stop()

    async def scenario() -> None:
        async with collector(tmp_path, kubernetes=settings) as running:
            outbox = Outbox(None)
            outbox.append(failing().id, encode(failing()), NOW)
            reporter = Reporter(outbox, ReportSettings(address=running.grpc_address), node="node-a")
            task = asyncio.create_task(reporter.run())
            await until(lambda: not len(outbox))
            _, answer, _ = await asyncio.to_thread(get, running.http_address, "/api/v1/findings")
            assert len(answer["items"]) == 1
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(scenario())
