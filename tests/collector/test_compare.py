"""Within seconds of the first finding the collector knows how far a fault reaches; few nodes are asked, and none twice."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from collector.fleetsim import HOST, IMAGE, Agent, Script, World, fails, failure, passes, silent, world
from collector.samples import until

from pullwhy.collector.compare import task as compare
from pullwhy.collector.problem import problem_key
from pullwhy.diagnose.document.finding import encode
from pullwhy.model import CauseId, Finding
from pullwhy.pb.v1 import report_pb2 as pb

UNTRUSTED = CauseId.CERTIFICATE_UNTRUSTED
CA = f"{HOST}: ca"


def run(folder: Path, scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with world(folder, **settings) as made:
            await scenario(made)

    asyncio.run(main())


def test_one_node_that_fails_what_others_pull_is_the_nodes_own_fault(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", "c", "d", zone="z1", configuration={CA: "sha256:1"})
        bad = await made.node("bad", zone="z1", configuration={CA: "none"})
        await bad.report(failure("bad", UNTRUSTED))
        scope = await made.scope("NodeSpecific")
        await until(lambda: healthy(made, 4))
        assert scope["in_common"][0].startswith(f"{CA} = none on the failing node, sha256:1 on the ")
        assert made.asked() == ["a", "b", "c", "d"]

    run(tmp_path, scenario)


async def healthy(made: World, number: int) -> bool:
    (problem,) = await made.problems()
    return bool(problem["scope"]["healthy"] == number)


def test_two_nodes_with_another_resolver_are_a_group(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", "c", configuration={"nameservers": "10.0.0.2"})
        for name in ("x", "y"):
            bad = await made.node(name, fails(CauseId.DNS_NAME_NOT_FOUND), configuration={"nameservers": "10.0.0.9"})
            await bad.report(failure(name, CauseId.DNS_NAME_NOT_FOUND))
        scope = await made.scope("GroupSpecific")
        assert (scope["failing"], scope["healthy"], scope["unknown"]) == (2, 3, 0)
        assert scope["in_common"] == ["nameservers = 10.0.0.9 on the 2 failing nodes, 10.0.0.2 on the 3 healthy ones"]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("cause", "verdict"), [(CauseId.TAG_NOT_FOUND, "ImageWide"), (CauseId.CONNECTION_REFUSED, "RegistryWide")]
)
def test_what_fails_wherever_it_is_tried_is_not_a_nodes_fault(tmp_path: Path, cause: CauseId, verdict: str) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", "c", "d", script=fails(cause))
        bad = await made.node("bad")
        await bad.report(failure("bad", cause))
        scope = await made.scope(verdict)
        assert (scope["failing"], scope["healthy"]) == (5, 0)
        assert len(made.asked()) == 4

    run(tmp_path, scenario)


def test_agents_that_do_not_answer_leave_it_open_and_that_is_said(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", script=silent)
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        await until(lambda: judged(made))
        scope = await made.scope("Unknown")
        assert scope["unknown"] == 2
        assert scope["in_common"] == ["2 nodes asked, without a clear answer: no answer in time (2)"]

    run(tmp_path, scenario, second_opinion_seconds=1.0)


async def judged(made: World, number: int = 1) -> bool:
    lines = [
        line for line in (await made.metrics()).splitlines() if line.startswith("pullwhy_collector_scopes_judged_total")
    ]
    return sum(float(line.split()[-1]) for line in lines) >= number


def test_a_silent_agent_does_not_keep_the_verdict(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", "c")
        await made.nodes("s", script=silent)
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        assert (await made.scope("NodeSpecific"))["unknown"] == 1

    run(tmp_path, scenario)


def later(answer: Script, times: int = 1) -> Script:
    """Refuse so many times before."""
    refused: Counter[str] = Counter()

    def script(agent: Agent, asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
        refused[agent.node] += 1
        if refused[agent.node] > times:
            return answer(agent, asked)
        return [pb.WalkAnswer(id=asked.id, outcome=pb.WalkAnswer.REFUSED, reason="it does not know the registry yet")]

    return script


@pytest.mark.slow
def test_who_could_not_tell_is_asked_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "AGAIN_SECONDS", (0.6, 0.8, 600.0))

    async def scenario(made: World) -> None:
        await made.node("a", later(passes, 2), configuration={CA: "sha256:1"})
        bad = await made.node("bad", configuration={CA: "none"})
        await bad.report(failure("bad", UNTRUSTED))
        scope = await made.scope("Unknown")
        await until(lambda: judged(made))
        scope = await made.scope("NodeSpecific")
        assert (scope["failing"], scope["healthy"], scope["unknown"]) == (1, 1, 0)
        assert made.asked() == ["a"] * 3, "and not once it is clear"

    run(tmp_path, scenario)


@pytest.mark.slow
def test_who_never_tells_is_asked_less_and_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "AGAIN_SECONDS", (0.6, 600.0))

    async def scenario(made: World) -> None:
        await made.node("a", later(passes, 100))
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        await until(lambda: judged(made, 2))
        await asyncio.sleep(1.5)
        assert made.asked() == ["a"] * 2
        assert (await made.scope("Unknown"))["in_common"] == [
            "1 node asked, without a clear answer: refused to walk: it does not know the registry yet"
        ]

    run(tmp_path, scenario)


def test_a_node_that_comes_after_nobody_could_be_asked_is_asked_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "AGAIN_SECONDS", (1.5, 1.5, 600.0))

    async def scenario(made: World) -> None:
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        await until(lambda: judged(made))
        assert (await made.scope("Unknown"))["in_common"] == ["no other node could be asked"]
        await made.node("a")
        await made.scope("NodeSpecific")

    run(tmp_path, scenario)


@pytest.mark.slow
def test_two_collectors_ask_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "AGAIN_SECONDS", (1.0, 600.0))

    async def scenario(made: World) -> None:
        await made.node("a", later(passes), at=1)
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        await made.scope("NodeSpecific")
        await asyncio.sleep(1.5)
        assert made.asked() == ["a"] * 2

    run(tmp_path, scenario, collectors=2)


def lies(agent: Agent, asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
    """Tell of another node, then of another image, then flood."""
    for node, image in (("a", asked.image), (agent.node, f"{HOST}/other:1")):
        document = encode(failure(node, UNTRUSTED, image))
        yield pb.WalkAnswer(id=asked.id, outcome=pb.WalkAnswer.FAILS, document=document)
    for number in range(50):
        yield pb.WalkAnswer(id=f"made-up-{number}", outcome=pb.WalkAnswer.PASSES)


def twice(agent: Agent, asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
    """Pass, then fail."""
    return [*passes(agent, asked), *fails(UNTRUSTED)(agent, asked)]


@pytest.mark.slow
def test_an_agent_that_lies_or_answers_twice_changes_nothing_but_its_own_answer(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", script=twice)
        await made.nodes("liar", script=lies)
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        await until(lambda: judged(made), 20)
        scope = await made.scope("NodeSpecific")
        assert (scope["failing"], scope["healthy"], scope["unknown"]) == (1, 2, 1)
        assert "pullwhy_collector_refused_walk_answers_total 54.0" in await made.metrics()

    run(tmp_path, scenario, second_opinion_seconds=5.0)


def test_nobody_is_asked_where_a_walk_tells_nothing(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", "c")
        bad = await made.node("bad", pool="p")
        await bad.report(failure("bad", CauseId.RATE_LIMITED))
        scope = await made.scope("Unknown")
        await until(lambda: judged(made))
        scope = await made.scope("Unknown")
        assert "limits requests" in scope["in_common"][0]
        assert made.asked() == []

    run(tmp_path, scenario)


def test_full_disks_are_compared_with_the_nodes_that_have_room(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes("a", "b", "c", pool="web")
        for bad in await made.nodes("x", "y", pool="gpu"):
            await bad.report(failure(bad.node, CauseId.DISK_FULL))
        scope = await made.scope("GroupSpecific")
        assert scope["in_common"] == ["pool = gpu on the 2 failing nodes, web on the 3 healthy ones"]
        assert made.asked() == []

    run(tmp_path, scenario)


def test_it_is_judged_again_when_a_healthy_node_begins_to_fail_without_asking_anew(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        a, *_ = await made.nodes("a", "b", "c", "d")
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED))
        await until(lambda: healthy(made, 4))
        await a.report(failure("a", UNTRUSTED))
        await until(lambda: healthy(made, 3))
        (problem,) = await made.problems()
        assert problem["scope"]["failing"] == 2
        assert len(made.asked()) == 4

    run(tmp_path, scenario)


def test_two_collectors_on_one_database_ask_once_and_reach_every_node(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        for number in range(6):
            await made.node(f"n{number}", at=number % 2)
        bad = await made.node("bad", at=1)
        await bad.report(failure("bad", UNTRUSTED))
        await made.scope("NodeSpecific")
        await until(lambda: healthy(made, 6))
        assert made.asked() == [f"n{number}" for number in range(6)]

    run(tmp_path, scenario, collectors=2)


def test_two_problems_of_one_image_share_what_was_said(tmp_path: Path) -> None:
    async def scenario(made: World) -> None:
        await made.nodes(*"abcd")
        bad = await made.node("bad")
        await bad.report(failure("bad", UNTRUSTED), failure("bad", CauseId.DNS_NAME_NOT_FOUND))
        await until(lambda: judged(made, 2))
        assert [problem["scope"]["healthy"] for problem in await made.problems()] == [4, 4]
        assert len(made.asked()) == 4

    run(tmp_path, scenario)


def refuses_one(agent: Agent, asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
    script = fails(CauseId.CREDENTIALS_REJECTED) if asked.image == IMAGE else passes
    return script(agent, asked)


@pytest.mark.parametrize("readable", [True, False])
def test_a_registry_that_serves_another_image_is_not_called_down(tmp_path: Path, *, readable: bool) -> None:
    async def scenario(made: World) -> None:
        bad, worse, *_ = await made.nodes("bad", "worse", *"abcd", script=refuses_one)
        await bad.report(failure("bad", CauseId.CREDENTIALS_REJECTED))
        await until(lambda: verdicts(made, {"RegistryWide"}))
        await bad.report(failure("bad", UNTRUSTED, f"{HOST}/other:1"))
        await until(lambda: verdicts(made, {"RegistryWide", "NodeSpecific"}))
        if not readable:
            with sqlite3.connect(tmp_path / "collector.db") as database:
                database.execute("UPDATE findings SET document = 'of a newer version' WHERE image = ?", (IMAGE,))
        await worse.report(failure("worse", CauseId.CREDENTIALS_REJECTED))
        await until(lambda: verdicts(made, {"ImageWide", "NodeSpecific"}))

    run(tmp_path, scenario)


def test_problems_of_one_registry_that_wait_do_not_keep_another_registrys_from_being_judged(tmp_path: Path) -> None:
    def behind(number: int) -> Finding:
        found = failure("bad", CauseId.TAG_NOT_FOUND, f"other.example/shop/web:{number}")
        return found if problem_key(found).id > "f" else behind(number + 1)

    async def scenario(made: World) -> None:
        bad = await made.node("bad")
        await made.nodes("a", "b", registries=[HOST, "other.example"])
        waiting = [failure("bad", CauseId.TAG_NOT_FOUND, f"{HOST}/shop/web:{number}") for number in range(300)]
        for begin in range(0, 300, 50):
            await bad.report(*waiting[begin : begin + 50])
        await asyncio.sleep(1.0)
        other = behind(0)
        await bad.report(other)
        await until(lambda: is_judged(made, other.image))

    async def is_judged(made: World, image: str) -> bool:
        return any(each["subject"]["name"] == image and each["scope"]["healthy"] for each in await made.problems())

    run(tmp_path, scenario)


def test_a_new_problem_does_not_wait_for_old_ones_that_were_never_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "AT_ONCE", 1)

    def script(agent: Agent, asked: pb.WalkRequest) -> Iterable[pb.WalkAnswer]:
        return passes(agent, asked) if asked.image == IMAGE else silent(agent, asked)

    async def scenario(made: World) -> None:
        bad = await made.node("bad")
        await made.nodes("a", "b", script=script)
        old = [failure("bad", UNTRUSTED, f"old-{number}.example/shop/web:1") for number in range(3)]
        await bad.report(*(replace(each, first_seen=each.first_seen - timedelta(hours=1)) for each in old))
        await until(made.asked)  # and nobody answers
        await bad.report(failure("bad", UNTRUSTED))
        await until(lambda: verdicts(made, {"Unknown", "NodeSpecific"}), seconds=6)  # the old ones take three each

    run(tmp_path, scenario)


async def verdicts(made: World, expected: set[str]) -> bool:
    return {problem["scope"]["verdict"] for problem in await made.problems()} == expected
