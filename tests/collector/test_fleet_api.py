"""Problems, silences and registries over real HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from collector.fleetasked import MISSING, asking
from collector.samples import Clock, fill, finding, get, recovered

from pullwhy.collector.fleet import Canary, WalkState
from pullwhy.collector.problem import problem_key
from pullwhy.collector.service import Collector
from pullwhy.collector.settings import CollectorSettings
from pullwhy.model import CauseId, Scope, ScopeVerdict

PROBLEMS = "/api/v1/problems"
ELSEWHERE = [
    finding(
        11, node="node-1", cause=CauseId.CERTIFICATE_UNTRUSTED, image="other.example/a:1", registry="other.example"
    ),
    finding(12, node="node-4", cause=CauseId.DISK_FULL),
    recovered(13, node="node-4", image="registry.example/old:1"),
]


def test_one_fault_on_three_nodes_is_one_problem(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING, *ELSEWHERE) as (ask, store):
            key = problem_key(MISSING[0])
            scope = Scope(ScopeVerdict.IMAGE_WIDE, 3, 0, 1, ("zone z1",))
            await store.set_scope(key, scope, datetime.now(UTC), 1)
            await store.set_canary(key, Canary("node-1", datetime.now(UTC), WalkState.FAILS))
            status, answer, _ = await ask(f"{PROBLEMS}?active=true")
            assert (status, answer["next"]) == (200, None)
            assert {each["cause"] for each in answer["items"]} == {"TagNotFound", "CertificateUntrusted", "DiskFull"}
            problem = next(each for each in answer["items"] if each["id"] == key.id)
            assert problem["subject"] == {"kind": "image", "name": "registry.example/shop/web:1.4"}
            assert (problem["nodes"], problem["pods"], problem["findings"]) == (3, 3, 3)
            assert problem["scope"]["verdict"] == "ImageWide"
            assert problem["owners"] == ["shop/ReplicaSet/web"]
            assert (problem["canary"]["state"], problem["silence"]) == ("Fails", None)
            status, detail, _ = await ask(f"{PROBLEMS}/{key.id}")
            assert detail["failing_nodes"] == ["node-1", "node-2", "node-3"]
            assert detail["finding"]["remedy"]["text"]
            assert detail["finding"]["scope"] == detail["scope"] == problem["scope"]
            assert detail["finding"]["id"] == detail["example"]
            _, found, _ = await ask(f"/api/v1/findings?problem={key.id}")
            assert {each["node"] for each in found["items"]} == {"node-1", "node-2", "node-3"}
            assert {each["scope"]["verdict"] for each in found["items"]} == {"ImageWide"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("query", "causes"),
    [
        ("active=true&node=node-1", {"TagNotFound", "CertificateUntrusted"}),
        ("active=false", {"TagNotFound"}),
        ("namespace=shop&active=true&image=registry.example/shop/web", {"TagNotFound"}),
        ("registry=other.example", {"CertificateUntrusted"}),
        ("cause=diskfull", {"DiskFull"}),
        ("cluster=blue", set()),
        ("since=2100-01-01T00:00:00Z", set()),
        ("silenced=true", set()),
        ("silenced=false&node=node-2", {"TagNotFound"}),
        (f"id={problem_key(MISSING[0]).id[:6]}", {"TagNotFound"}),
    ],
)
def test_problems_are_filtered(tmp_path: Path, query: str, causes: set[str]) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING, *ELSEWHERE) as (ask, _):
            status, answer, _ = await ask(f"{PROBLEMS}?{query}")
            assert (status, {each["cause"] for each in answer["items"]}) == (200, causes)

    asyncio.run(scenario())


def test_pages_of_problems_follow_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *(finding(number) for number in range(1, 8))) as (ask, _):
            seen: list[str] = []
            following: str | None = ""
            while following is not None:
                _, answer, _ = await ask(f"{PROBLEMS}?limit=3{following}")
                seen += [each["id"] for each in answer["items"]]
                following = f"&cursor={answer['next']}" if answer["next"] else None
            assert len(seen) == len(set(seen)) == 7

    asyncio.run(scenario())


def test_a_silence_has_a_reason_and_an_end_and_can_be_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING) as (ask, _):
            path = f"{PROBLEMS}/{problem_key(MISSING[0]).id}"
            _, _, headers = await ask(path)
            status, silence, _ = await ask(
                f"{path}/silence", "PUT", {"reason": " known\x1b ", "until": "4h", "by": "ann"}
            )
            assert (status, silence["reason"], silence["by"]) == (200, "known\\x1b", "ann")
            length = datetime.fromisoformat(silence["until"]) - datetime.fromisoformat(silence["since"])
            assert length == timedelta(hours=4)
            assert (await ask(path, **{"if-none-match": headers["etag"]}))[1]["silence"] == silence
            assert len((await ask(f"{PROBLEMS}?silenced=true"))[1]["items"]) == 1
            for _ in range(2):
                assert (await ask(f"{path}/silence", "DELETE"))[:2] == (204, "")
            assert (await ask(path))[1]["silence"] is None

    asyncio.run(scenario())


def test_an_etag_does_not_outlive_a_silence(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        address = "127.0.0.1:0"
        settings = CollectorSettings(grpc_listen=address, http_listen=address, database=str(tmp_path / "c.db"))
        running = Collector(settings, clock)
        await running.start()
        try:
            assert running._store
            await fill(running._store, MISSING)
            path = f"{PROBLEMS}/{problem_key(MISSING[0]).id}"

            async def ask(path: str, method: str = "GET", body: Any = None, **headers: str) -> Any:
                return await asyncio.to_thread(get, running.http_address, path, headers, method, body)

            await ask(f"{path}/silence", "PUT", {"reason": "known", "until": "5m"})
            _, silenced, headers = await ask(path)
            assert silenced["silence"]
            clock.now += timedelta(minutes=6)
            status, later, _ = await ask(path, **{"if-none-match": headers["etag"]})
            assert (status, later["silence"]) == (200, None)
        finally:
            await running.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"until": "4h"}, 400, "missing required field `reason`"),
        ({"reason": "known"}, 400, "missing required field `until`"),
        ({"reason": "  ", "until": "4h"}, 400, "$.reason"),
        ({"reason": "r" * 501, "until": "4h"}, 400, "$.reason"),
        ({"reason": "known", "until": "tomorrow"}, 400, "until=tomorrow is no time: write how long (30m, 4h, 2d)"),
        ({"reason": "known", "until": "0s"}, 409, "it must lie after now"),
        ({"reason": "known", "until": "2020-01-01T00:00:00Z"}, 409, "until is 2020-01-01T00:00:00.000Z: it must lie"),
        ({"reason": "known", "until": "91d"}, 409, "by 90 days at most"),
        ("[", 400, "the body"),
    ],
)
def test_a_silence_without_reason_or_end_is_refused(tmp_path: Path, body: Any, status: int, told: str) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING) as (ask, _):
            path = f"{PROBLEMS}/{problem_key(MISSING[0]).id}/silence"
            got, answer, _ = await ask(path, "PUT", body)
            assert got == status
            assert told in answer["error"]

    asyncio.run(scenario())


def test_bodies_are_json_small_and_of_something_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING) as (ask, _):
            path = f"{PROBLEMS}/{problem_key(MISSING[0]).id}/silence"
            assert (await ask(path, "PUT", {}, **{"content-type": "text/plain"}))[0] == 415
            assert (await ask(path, "PUT", {"reason": "x" * 3_000_000, "until": "1h"}))[0] == 413
            unknown = f"{PROBLEMS}/{'0' * 16}"
            for method, body in (("PUT", {"reason": "known", "until": "4h"}), ("DELETE", None)):
                status, answer, _ = await ask(f"{unknown}/silence", method, body)
                assert (status, answer["error"][:30]) == (404, "no problem '0000000000000000' ")
            assert (await ask(unknown))[0] == 404
            assert (await ask(f"{PROBLEMS}/%00"))[0] == 404

    asyncio.run(scenario())


def test_many_changes_at_once_are_put_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asking(tmp_path, *MISSING) as (ask, _):
            path = f"{PROBLEMS}/{problem_key(MISSING[0]).id}/silence"
            answers = [await ask(path, "DELETE") for _ in range(80)]
            status, answer, headers = next(each for each in answers if each[0] != 204)
            assert (status, headers["retry-after"]) == (429, "1")
            assert answer["error"] == "too many changes at once: try again in 1 s"

    asyncio.run(scenario())


def test_registries_tell_who_fails_and_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        more = finding(14, node="node-2", cause=CauseId.CONNECTION_REFUSED)
        async with asking(tmp_path, *MISSING, *ELSEWHERE, more) as (ask, _):
            _, answer, _ = await ask("/api/v1/registries")
            assert [each["registry"] for each in answer["items"]] == ["registry.example", "other.example"]
            causes = [(each["cause"], each["nodes"], each["problems"]) for each in answer["items"][0]["causes"]]
            assert causes == [
                ("TagNotFound", 3, 1),
                ("ConnectionRefused", 1, 1),
            ]  # a full disk is no fault of the registry
            assert (await ask("/api/v1/registries?cluster=blue"))[1]["items"] == []
            nodes: list[Any] = []
            following: str | None = ""
            while following is not None:
                _, page, _ = await ask(f"/api/v1/registries/registry.example?limit=2{following}")
                nodes += page["items"]
                following = f"&cursor={page['next']}" if page["next"] else None
            assert [each["node"] for each in nodes] == ["node-1", "node-2", "node-3"]
            assert [each["cause"] for each in nodes[1]["causes"]] == ["ConnectionRefused", "TagNotFound"]
            assert nodes[0]["causes"][0]["problem"] == problem_key(MISSING[0]).id
            assert (await ask("/api/v1/registries/absent.example:5000"))[1] == {"items": [], "next": None}

    asyncio.run(scenario())
