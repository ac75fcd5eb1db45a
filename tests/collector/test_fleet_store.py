"""What the store keeps of the fleet: problems made of findings, with their counts, filters and pages."""

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collector.fleetstored import MINUTE, only, probe, report, run, stated
from collector.samples import NOW, Clock, encoded, finding, heard_of_the_past, until
from collector.stored import WHO

from pullwhy.collector.fleet import Change, ProblemQuery
from pullwhy.collector.problem import problem_key
from pullwhy.collector.records import NodeFacts, Query
from pullwhy.collector.store import SQLStore
from pullwhy.collector.store import database as database_module
from pullwhy.collector.store.sqliteschema import MIGRATIONS
from pullwhy.model import CauseId, Finding, Scope, State

REFUSED = CauseId.CONNECTION_REFUSED


def refused(number: int, node: str = "node-a", **changed: Any) -> Finding:
    sample = finding(number, node=node, **changed)
    return replace(sample, diagnosis=replace(sample.diagnosis, cause=REFUSED))


def test_one_bad_tag_on_many_nodes_is_one_problem_with_its_counts(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        findings = [finding(1, node=f"node-{number}") for number in range(5)]
        await report(store, *findings, finding(2, node="node-9"))
        one, other = await store.problems(ProblemQuery())
        assert (one.active, one.nodes, one.pods) == (5, 5, 5)
        assert (other.active, other.nodes, other.pods) == (1, 1, 1)
        assert one.key == problem_key(findings[0])
        assert (one.first_seen, one.last_seen) == (findings[0].first_seen, findings[0].last_seen)
        assert one.example == encoded(1)
        assert await store.failing(one.key) == [each.node for each in findings]
        (same,) = await store.problem(one.key.id, "")
        assert same == one
        assert await store.problem(one.key.id, "other") == []

    run(database, scenario)


def test_a_pod_whose_images_all_fail_counts_once(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        pods = finding(1).pods
        await report(store, refused(1, pods=pods), sequence=1)
        await report(store, refused(2, pods=pods), sequence=2)
        (found,) = await store.problems(ProblemQuery())
        assert (found.active, found.nodes, found.pods) == (2, 1, 1)

    run(database, scenario)


def test_counts_follow_findings_that_recover_return_and_move(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(WHO, NodeFacts())
        sample = finding(1)
        for sequence, (state, active) in enumerate((("Active", 1), ("Recovered", 0), ("Active", 1)), 1):
            await store.write(opened, [stated(sample, sequence, state=state)], sequence)
            (found,) = await store.problems(ProblemQuery(active=None))
            assert (found.active, found.nodes) == (active, active)
            assert len(await store.problems(ProblemQuery(active=True))) == active
            assert len(await store.problems(ProblemQuery(active=False))) == 1 - active
        await store.write(opened, [stated(sample, 4, problem=problem_key(refused(1)))], 4)
        (moved,) = await store.problems(ProblemQuery(active=None))
        assert (moved.key.cause, moved.active) == (REFUSED, 1)

    run(database, scenario)


def test_what_was_overtaken_changes_no_problem(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(WHO, NodeFacts())
        await store.write(opened, [stated(finding(1), 5)], 5)
        before = await store.problems(ProblemQuery())
        await store.write(opened, [stated(finding(1), 4, state="Recovered", problem=problem_key(refused(1)))], 5)
        assert await store.problems(ProblemQuery(active=None)) == before

    run(database, scenario)


def test_filters_ask_for_problems_with_such_a_finding(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        await report(store, refused(1), refused(2, node="node-b", pods=(replace(finding().pods[0], namespace="ops"),)))
        await report(store, finding(3, node="node-b"))
        down, missing = problem_key(refused(1)), problem_key(finding(3))
        repository = "registry.example/shop/web"
        for query, wanted in (
            (ProblemQuery(), {down, missing}),
            (ProblemQuery(cluster="other"), set()),
            (ProblemQuery(id_prefix=down.id[:6]), {down}),
            (ProblemQuery(cause=REFUSED), {down}),
            (ProblemQuery(namespace="ops"), {down}),
            (ProblemQuery(namespace="shop"), {down, missing}),
            (ProblemQuery(node="node-b"), {down, missing}),
            (ProblemQuery(node="node-a"), {down}),
            (ProblemQuery(node="node-a", namespace="ops"), set()),
            (ProblemQuery(node="node-b", namespace="ops"), {down}),
            (ProblemQuery(image=f"{repository}2:1.4", repository=f"{repository}2"), {down}),
            (ProblemQuery(repository=f"{repository}3"), {missing}),
            (ProblemQuery(repository=f"{repository}1", namespace="ops"), set()),
            (ProblemQuery(registry="registry.example"), {down, missing}),
            (ProblemQuery(since=NOW - 2.5 * MINUTE), {down}),
            (ProblemQuery(silenced=True), set()),
            (ProblemQuery(silenced=False), {down, missing}),
        ):
            assert {each.key for each in await store.problems(query)} == wanted, query
        await report(store, replace(refused(2, node="node-b"), state=State.RECOVERED), sequence=2)
        assert await store.problems(ProblemQuery(repository=f"{repository}2")) == []
        assert len(await store.problems(ProblemQuery(repository=f"{repository}2", active=None))) == 1

    run(database, scenario)


def test_pages_of_problems_go_through_all_once(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        opened = await store.open_session(WHO, NodeFacts())
        await store.write(opened, [stated(finding(number, last_seen=NOW), number) for number in range(1, 26)], 25)
        seen, after = [], None
        while page := await store.problems(ProblemQuery(limit=4, after=after)):
            seen += page
            after = page[-1].position
        assert len({each.key for each in seen}) == len(seen) == 25

    run(database, scenario)


def test_what_is_of_a_namespace_is_found_among_what_is_of_others(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        pod = finding().pods[0]
        shop, ops, both = (pod,), (replace(pod, namespace="ops"),), (pod, replace(pod, namespace="ops"))
        for number, pods in enumerate((shop, ops, both, ops), 1):
            await report(store, refused(number, node=f"node-{number}", pods=pods))
        await report(store, replace(refused(4, node="node-4", pods=ops), state=State.GONE), sequence=2)
        await report(store, finding(5, node="node-5", pods=ops))
        key = problem_key(refused(1))
        assert await store.namespaces(key) == ["ops", "shop"]
        assert await store.failing(key) == ["node-1", "node-2", "node-3"]
        assert await store.failing(key, ["ops"]) == ["node-2", "node-3"]
        assert await store.failing(key, ["other"]) == []

        assert len(await store.findings(Query(namespace="ops", state=State.ACTIVE))) == 3
        assert len(await store.findings(Query(namespace="ops", state=State.ACTIVE, problem=key.id))) == 2
        assert len(await store.findings(Query(namespace="ops", state=State.GONE))) == 1
        assert len(await store.findings(Query(namespace="ops", state=State.ACTIVE, pod="other"))) == 0
        assert len(await store.findings(Query(problem=key.id, namespaces=["shop"]))) == 2
        assert len(await store.findings(Query(problem=key.id, namespaces=["shop", "ops"]))) == 4

    run(database, scenario)


def test_the_images_that_a_problem_fails_for_now(database: str) -> None:
    async def scenario(store: SQLStore, _: Clock) -> None:
        await report(store, refused(1), refused(1, node="node-b"), refused(2), refused(3))
        await report(store, replace(refused(3), state=State.RECOVERED), sequence=2)
        key = await only(store)
        assert sorted(await store.failing_images(key, 20)) == [refused(1).image, refused(2).image]
        assert len(await store.failing_images(key, 1)) == 1
        told = [(each.node, each.image, each.last_seen) for each in await store.failures(key, NOW - MINUTE, 9)]
        assert told == [(node, refused(1).image, refused(1).last_seen) for node in ("node-a", "node-b")]
        assert len(await store.failures(key, NOW - MINUTE, 1)) == 1
        assert len(await store.failures(key, NOW - 2 * MINUTE, 9)) == 3

    run(database, scenario)


def test_changes_of_a_moment_are_told_together(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A moment in which even a busy machine commits a few things.
    monkeypatch.setattr(database_module, "TELL_SECONDS", 2.0)

    async def scenario(store: SQLStore, _: Clock) -> None:
        told: list[Change] = []
        await heard_of_the_past(store)
        store.listen(told.append)
        await report(store, finding(1))
        await store.add_probe(probe(), ["node-a"])
        await until(lambda: told)
        assert told == [Change.FINDINGS | Change.PROBLEMS | Change.NODES | Change.WALKS]
        await store.note_seen([("", "node-a")])
        await store.set_scope(await only(store), Scope(), NOW, 1)
        await until(lambda: len(told) == 2)
        assert told[1] == Change.PROBLEMS

    run(database, scenario)


def test_findings_of_schema_1_get_their_problems(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "c.db", isolation_level=None)) as old:
        old.executescript(MIGRATIONS[0][0] + "PRAGMA user_version = 1; PRAGMA application_id = 0x70756C6C;")
        columns = "cluster, node, id, session, sequence, image, repository, registry, cause, state, first_us, last_us, received_us, document"
        for number in range(1, 5):
            document = encoded(1, node=f"node-{number}") if number < 4 else b"from another time"
            state = "Recovered" if number == 3 else "Active"
            row = ("", f"node-{number}", finding(1).id, 1, 1, "i", "r", "registry.example", "TagNotFound", state)
            old.execute(
                f"INSERT INTO findings ({columns}) VALUES ({', '.join('?' * 14)})", (*row, 1, number, number, document)
            )
            old.execute("INSERT INTO pods VALUES ('shop', 'web-1', last_insert_rowid())")

    async def scenario(store: SQLStore, _: Clock) -> None:
        (found,) = await store.problems(ProblemQuery())
        assert found.key == problem_key(finding(1))
        assert (found.active, found.nodes, found.pods) == (2, 2, 2)
        assert len(await store.problems(ProblemQuery(namespace="shop"))) == 1
        assert len(await store.findings(Query(problem=found.key.id))) == 3
        assert len(await store.findings(Query())) == 4

    run(str(tmp_path / "c.db"), scenario)
