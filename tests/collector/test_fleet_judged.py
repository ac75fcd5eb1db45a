"""When a problem is judged, silenced and forgotten."""

from dataclasses import replace
from datetime import timedelta

from collector.fleetstored import MINUTE, SECOND, only, report, run, stated
from collector.samples import NOW, Clock, finding

from pullwhy.collector.fleet import Canary, ProblemQuery, Silence, WalkState
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import NodeFacts, Query, Speaker
from pullwhy.collector.retention import Keep, forget
from pullwhy.collector.store import SQLStore
from pullwhy.model import Scope, ScopeVerdict, State


def test_a_findings_scope_is_that_of_its_problem(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1), finding(1, node="node-b"))
        key = await only(store)
        assert {each.scope for each in await store.findings(Query(problem=key.id))} == {Scope()}
        scope = Scope(ScopeVerdict.IMAGE_WIDE, 2, 0, 1, ("zone=a",))
        await store.set_scope(key, scope, clock.now, 1)
        assert [each.scope for each in await store.findings(Query(problem=key.id))] == [scope, scope]
        ((one, _), *_) = await store.finding(finding(1).id, "")
        assert (one.scope, one.problem) == (scope, key.id)
        (stored,) = await store.problems(ProblemQuery())
        assert (stored.scope, stored.scope_at) == (scope, clock.now)

    run(database, scenario)


def test_a_problem_is_judged_again_when_its_findings_changed_or_the_judgement_is_old(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        async def unscoped() -> int:
            return len(await store.unscoped(clock.now - MINUTE, 10))

        async def judge() -> None:
            (read,) = await store.problems(ProblemQuery())
            await store.set_scope(key, Scope(), clock.now, read.revision)

        await report(store, finding(1))
        key = await only(store)
        assert await unscoped() == 1
        await judge()
        assert await unscoped() == 0
        clock.now += SECOND
        await report(store, finding(1, count=7), sequence=2)  # fails on as before
        assert await unscoped() == 0
        await report(store, finding(1, node="node-b"), sequence=3)
        assert await unscoped() == 1
        await judge()
        assert await unscoped() == 0
        clock.now += SECOND
        await report(store, replace(finding(1, node="node-b"), state=State.RECOVERED), sequence=4)
        assert await unscoped() == 1
        await judge()
        clock.now += 2 * MINUTE
        assert await unscoped() == 1
        await report(store, replace(finding(1), state=State.GONE), sequence=5)
        assert await unscoped() == 0

    run(database, scenario)


def test_of_those_never_judged_the_ones_found_last_are_told(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        for number in range(4):
            began = NOW - number * MINUTE
            await report(store, finding(number, first_seen=began), sequence=number + 1)
        first, *_ = await store.never_judged(10)
        assert [each.key.subject for each in await store.never_judged(3)] == [
            finding(number).image for number in range(3)
        ]
        await store.set_scope(first.key, Scope(), clock.now, first.revision)
        await report(store, replace(finding(1), state=State.GONE), sequence=9)
        assert [each.key.subject for each in await store.never_judged(3)] == [finding(2).image, finding(3).image]

    run(database, scenario)


def test_a_finding_that_is_committed_while_a_problem_is_judged_has_it_judged_again(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        (read,) = await store.unscoped(clock.now - MINUTE, 10)
        came = clock.now
        clock.now += SECOND
        judged_at = clock.now
        failing = await store.failing(read.key)
        clock.now = came  # it came before, and is committed only now
        await report(store, finding(1, node="node-b"), sequence=2)
        clock.now = judged_at
        await store.set_scope(read.key, Scope(failing=len(failing)), judged_at, read.revision)
        (again,) = await store.unscoped(clock.now - MINUTE, 10)
        await store.set_scope(again.key, Scope(failing=2), judged_at, again.revision)
        assert await store.unscoped(clock.now - MINUTE, 10) == []

    run(database, scenario)


def test_what_was_judged_of_a_forgotten_problem_says_nothing_of_its_successor(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        await store.set_scope(await only(store), Scope(), clock.now, 57)
        assert len(await store.unscoped(clock.now - MINUTE, 10)) == 1

    run(database, scenario)


def test_a_silence_has_a_reason_and_an_end(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        await report(store, finding(1))
        key, silence = await only(store), Silence("known, moves on Monday", "alice", NOW, NOW + MINUTE)
        await store.silence(key, silence)
        (silenced,) = await store.problems(ProblemQuery(silenced=True))
        assert silenced.silence == silence
        await store.silence(key, None)
        assert await store.problems(ProblemQuery(silenced=True)) == []
        await store.silence(key, silence)
        clock.now += MINUTE
        (over,) = await store.problems(ProblemQuery(silenced=False))
        assert over.silence is None

    run(database, scenario)


def test_a_canary_is_kept(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        await report(store, finding(1))
        canary = Canary("node-a", NOW, WalkState.PASSES)
        await store.set_canary(await only(store), canary)
        (stored,) = await store.problems(ProblemQuery())
        assert stored.canary == canary

    run(database, scenario)


def test_a_problem_goes_with_its_last_finding_unless_it_is_silenced(database: str) -> None:
    async def scenario(store: SQLStore, clock: Clock) -> None:
        keep = Keep(timedelta(days=30), 2**30)
        await report(store, finding(1), finding(2))
        key = problem_key(finding(2))
        await store.silence(key, Silence("known", "alice", NOW, NOW + timedelta(days=40)))
        clock.now += timedelta(days=31)
        assert await forget(store, keep, clock.now) == 2
        (silenced,) = await store.problems(ProblemQuery(active=None))
        assert (silenced.key, silenced.active, silenced.example) == (key, 0, b"")
        clock.now += timedelta(days=10)
        await forget(store, keep, clock.now)
        assert await store.problems(ProblemQuery(active=None)) == []

    run(database, scenario)


def test_what_no_finding_has_any_more_is_forgotten_of_a_problem_that_lives(database: str) -> None:
    async def facts(store: SQLStore) -> set[tuple[str, str]]:
        return {(kind, value) for kind, value in await store._database.read("SELECT kind, value FROM problem_facts")}

    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(Speaker("", "node-a", "box"), NodeFacts())
        sample = finding(1)
        await store.write(opened, [stated(sample, 1, pods=(("old", "web"),), registry="old.example")], 1)
        await store.write(opened, [stated(sample, 2, pods=(("new", "web"),), registry="new.example")], 2)
        had = await facts(store)
        gone = {("namespace", "old"), ("registry", "old.example")}
        assert gone < had
        last = await store.forget_facts("", 1)
        assert last == problem_key(sample).id
        assert await store.forget_facts(last, 1) == ""
        assert await facts(store) == had - gone

    run(database, scenario)
